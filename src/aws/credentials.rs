//! Where the credentials come from, in the order of the AWS SDKs, and keeping them.
//!
//! In scope: finding credentials and fetching them anew. Out of scope: using them. Sources are
//! asked in turn by `find`; the first that has credentials wins, and one that is set up but
//! broken is an error, not a reason to go on to the next.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

use super::{Credentials, Variables, value};
use zeroize::Zeroizing;

/// The credentials of this process, found when first asked for and kept.
pub struct Keeper {
    variables: Box<Variables<'static>>,
    kept: Option<Credentials>,
}

impl Keeper {
    /// Nothing is read yet.
    pub fn new(variables: Box<Variables<'static>>) -> Keeper {
        Keeper { variables, kept: None }
    }

    /// The credentials.
    ///
    /// # Errors
    /// What is missing or broken and what to do about it, without any value.
    pub fn get(&mut self) -> Result<Credentials, String> {
        if self.kept.is_none() {
            self.kept = Some(find(&*self.variables)?);
        }
        self.kept.clone().ok_or_else(|| "no credentials".to_owned())
    }

    /// Forgets what is kept: the provider said that it has expired. The next [`Keeper::get`]
    /// asks the sources again.
    pub fn forget(&mut self) {
        self.kept = None;
    }
}

/// Asks the sources in turn.
fn find(variables: &Variables) -> Result<Credentials, String> {
    if let Some(credentials) = environment(variables)? {
        return Ok(credentials);
    }
    Err("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned())
}

/// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; blank ones count as not set.
fn environment(variables: &Variables) -> Result<Option<Credentials>, String> {
    let id = value(variables, "AWS_ACCESS_KEY_ID");
    let secret = value(variables, "AWS_SECRET_ACCESS_KEY").map(Zeroizing::new);
    match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Some(Credentials {
            access_key_id,
            secret_access_key,
            session_token: value(variables, "AWS_SESSION_TOKEN").map(Zeroizing::new),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not".into()),
        (None, Some(_)) => Err("AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper(variables: &'static [(&'static str, &'static str)]) -> Keeper {
        Keeper::new(Box::new(move |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn the_environment_gives_a_key_with_or_without_a_session_token() {
        let all = [
            ("AWS_ACCESS_KEY_ID", " AKID "),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", "session"),
        ];
        let found = environment(&|name| {
            all.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        });
        let found = found.unwrap().unwrap();
        assert_eq!(found.access_key_id, "AKID");
        assert_eq!(*found.secret_access_key, "hunter2");
        assert_eq!(found.session_token.as_deref().map(String::as_str), Some("session"));
        assert_eq!(format!("{found:?}"), "Credentials(..)");
        let mut blank = keeper(&[
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("AWS_SESSION_TOKEN", " "),
        ]);
        assert!(blank.get().unwrap().session_token.is_none());
    }

    #[test]
    fn half_a_key_and_no_key_are_errors_that_say_what_to_set() {
        for (variables, fault) in [
            (&[] as &'static [_], "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
            (&[("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", " ")], "set AWS_ACCESS_KEY_ID"),
            (&[("AWS_ACCESS_KEY_ID", "AKID")], "AWS_SECRET_ACCESS_KEY is not"),
            (&[("AWS_SECRET_ACCESS_KEY", "hunter2")], "AWS_ACCESS_KEY_ID is not"),
        ] {
            let error = keeper(variables).get().unwrap_err();
            assert!(error.contains(fault), "{error}");
            assert!(!error.contains("hunter2") && !error.contains("AKID "), "{error}");
        }
    }

    #[test]
    fn credentials_are_kept_until_they_are_to_be_forgotten() {
        let count = std::rc::Rc::new(std::cell::Cell::new(0));
        let seen = std::rc::Rc::clone(&count);
        let mut keeper = Keeper::new(Box::new(move |name| {
            seen.set(seen.get() + 1);
            Some(format!("{name}-{}", seen.get()))
        }));
        let first = keeper.get().unwrap();
        assert_eq!(keeper.get().unwrap(), first);
        keeper.forget();
        assert_ne!(keeper.get().unwrap(), first);
        assert_eq!(count.get(), 6);
    }
}
