//! A program that prints credentials.

use super::Place;
use crate::support::cloud::Cloud;
use crate::support::program::wait_until;
use std::time::Duration;

fn place(line: &str) -> Place {
    let place = Place::new(&Cloud::start());
    place.write(".aws/config", &format!("[default]\ncredential_process = {line}\n"));
    place
}

/// A command that prints this text.
fn printing(place: &Place, text: &str) -> String {
    let path = place.write("printed", text);
    place.write(".aws/config", &format!("[default]\ncredential_process = cat '{path}'\n"));
    path
}

#[test]
fn what_a_process_prints_are_credentials_and_its_words_see_no_shell() {
    let place = Place::new(&Cloud::start());
    let path = place.write(
        "a dir/$HOME;x",
        r#"{"Version":1,"AccessKeyId":"AKIDP","SecretAccessKey":"hunter2","SessionToken":"t"}"#,
    );
    place.write(".aws/config", &format!("[default]\ncredential_process = cat \"{path}\"\n"));
    let found = place.keeper().get().unwrap();
    assert_eq!(found.access_key_id(), "AKIDP");
    assert_eq!(found.session_token(), Some("t"));
}

#[test]
fn a_process_is_asked_again_before_its_credentials_expire() {
    let place = Place::new(&Cloud::start());
    let text = |id: &str| {
        let end = crate::support::cloud::later(Duration::from_secs(3600));
        format!(
            r#"{{"Version":1,"AccessKeyId":"{id}","SecretAccessKey":"hunter2","Expiration":"{end}"}}"#
        )
    };
    let path = printing(&place, &text("AKID1"));
    let mut keeper = place.keeper();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    std::fs::write(path, text("AKID2")).unwrap();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    place.pass(Duration::from_secs(3600 - 299));
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID2");
}

#[test]
fn what_is_wrong_with_a_process_is_said_without_what_it_printed() {
    for (line, fault) in [
        ("/nonexistent/program x", "cannot start \"/nonexistent/program\""),
        ("'open", "a quote is not closed"),
        ("\"\"", "cannot start"),
    ] {
        assert!(place(line).setup().contains(fault), "{line}");
    }
    assert!(
        place("sh -c 'echo hunter2; echo hunter2 >&2; exit 3'")
            .passing()
            .contains("exit status: 3")
    );
    assert!(place("yes hunter2").passing().contains("more than 65536 bytes"));
    for (text, fault) in [
        ("hunter2", "does not print JSON"),
        (r#"{"Version":2,"AccessKeyId":"A","SecretAccessKey":"hunter2"}"#, "Version 2"),
        (r#"{"AccessKeyId":"A","SecretAccessKey":"hunter2"}"#, "no Version"),
        (r#"{"Version":1,"SecretAccessKey":"hunter2"}"#, "the access key id is missing"),
    ] {
        let place = Place::new(&Cloud::start());
        printing(&place, text);
        let why = place.setup();
        assert!(why.contains(fault) && why.contains("credential_process of \"default\""), "{why}");
    }
}

#[test]
fn a_process_is_given_up_with_all_it_started_when_mailroom_stops() {
    let place = Place::new(&Cloud::start());
    let pid = place.home.path().join("pid");
    let line = format!("sh -c 'sleep 1000 & echo $! > \"$0\"; wait' {}", pid.display());
    place.write(".aws/config", &format!("[default]\ncredential_process = {line}\n"));
    let written = || std::fs::read_to_string(&pid).ok().filter(|text| text.ends_with('\n'));
    let why = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the process has begun", || written().is_some());
            place.stop.request();
        });
        place.keeper().get().unwrap_err().to_string()
    });
    assert!(why.contains("asked to stop"), "{why}");
    let path = format!("/proc/{}/stat", written().unwrap().trim());
    // Killed, it stays a zombie until whoever inherited it looks.
    let gone = || std::fs::read_to_string(&path).map_or(true, |stat| stat.contains(") Z "));
    wait_until("what it started has ended", gone);
}
