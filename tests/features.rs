//! What a build without some provider says when it is asked for it, and that the full one is full.

use crate::support::program::Program;

#[test]
fn a_provider_is_there_or_is_said_to_have_been_left_out() {
    for (transport, built) in
        [("smtp", cfg!(feature = "smtp")), ("postmark", cfg!(feature = "postmark"))]
    {
        let finished = Program::new(&["send"]).env("MAILROOM_TRANSPORT", transport).input("");
        assert_eq!(finished.code, Some(78), "{}", finished.log);
        let left_out = format!("built without the cargo feature `{transport}`");
        assert_eq!(finished.log.contains(&left_out), !built, "{}", finished.log);
        assert_eq!(finished.log.contains("is required by MAILROOM_TRANSPORT"), built);
    }
}
