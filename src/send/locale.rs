//! Templates in languages: which of them a message is made from.
//!
//! Out of scope: whether there is one; a provider is asked, or a directory.

use crate::mail::model::Message;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a template is thought to be missing that was not found.
const MISSING: Duration = Duration::from_secs(300);

/// SES takes no name that is longer. The others are held to it too, so that what fits one fits all.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Template.html>
const LONGEST: usize = 64;

/// The templates that a message may be made from, the best first: the one of its locale, of its
/// language, and the one without either. `mark` stands between the name and the locale.
pub(crate) fn candidates(message: &Message, name: &str, mark: char) -> Vec<String> {
    let Some(locale) = &message.locale else { return vec![name.to_owned()] };
    let locale = locale.replace('_', "-");
    let language = locale.split('-').next().unwrap_or_default();
    let mut found = vec![format!("{name}{mark}{locale}"), format!("{name}{mark}{language}")];
    found.retain(|name| name.len() <= LONGEST);
    found.push(name.to_owned());
    found.dedup();
    found
}

/// Templates that the provider did not find, and until when they are thought to be missing.
#[derive(Default)]
pub(crate) struct Missing(BTreeMap<String, Instant>);

impl Missing {
    /// The best template that may be there.
    pub(crate) fn choose(
        &self,
        message: &Message,
        name: &str,
        mark: char,
        now: impl Fn() -> Instant,
    ) -> String {
        let is_missing = |one: &String| self.0.get(one).is_some_and(|until| now() < *until);
        let found = candidates(message, name, mark).into_iter().find(|one| !is_missing(one));
        found.unwrap_or_else(|| name.to_owned())
    }

    /// The provider does not have it. Gives whether another one should be tried.
    pub(crate) fn note(&mut self, template: String, name: &str, now: Instant) -> bool {
        let others = template != name;
        if others {
            self.0.retain(|_, until| now < *until);
            self.0.insert(template, now + MISSING);
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(locale: Option<&str>) -> Message {
        Message { locale: locale.map(str::to_owned), ..Message::default() }
    }

    #[test]
    fn the_locale_comes_first_then_its_language_then_the_name_alone() {
        for (locale, expected) in [
            (None, vec!["a"]),
            (Some("de"), vec!["a.de", "a"]),
            (Some("pt-BR"), vec!["a.pt-BR", "a.pt", "a"]),
            (Some("pt_BR"), vec!["a.pt-BR", "a.pt", "a"]),
        ] {
            assert_eq!(candidates(&message(locale), "a", '.'), expected);
        }
    }

    #[test]
    fn what_was_not_found_is_looked_for_again_after_a_while() {
        let now = Instant::now();
        let (mut missing, message) = (Missing::default(), message(Some("pt-BR")));
        assert_eq!(missing.choose(&message, "a", '-', || now), "a-pt-BR");
        assert!(missing.note("a-pt-BR".to_owned(), "a", now));
        assert!(missing.note("a-pt".to_owned(), "a", now));
        assert_eq!(missing.choose(&message, "a", '-', || now), "a");
        assert!(!missing.note("a".to_owned(), "a", now), "there is no other");
        assert_eq!(missing.choose(&message, "a", '-', || now + MISSING), "a-pt-BR");
    }
}
