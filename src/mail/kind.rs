//! Which template an action's mail is made from, and the data that fills it.
//!
//! In scope: parsing MAILROOM_TEMPLATES, the template data as JSON. Out of scope: sending, and the
//! templates themselves, which live at the provider.

use crate::mail::model::{Kind, Message};
use serde::Serializer as _;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The longest template name that SES takes.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Template.html>
const NAME_LIMIT: usize = 64;

/// The template of each action number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates(BTreeMap<u16, String>);

impl Templates {
    /// Reads `1=activationv1,2=passwordrecoveryv1`: a number, `=` and a name, separated by commas;
    /// blanks around each part are ignored.
    ///
    /// # Errors
    /// Text that says which entry is wrong and what is expected there.
    pub fn parse(text: &str) -> Result<Templates, String> {
        let mut templates = BTreeMap::new();
        for entry in text.split(',').map(str::trim) {
            let (number, name) = entry.split_once('=').ok_or_else(|| {
                format!("{entry:?} is not NUMBER=TEMPLATE, such as 1=activationv1")
            })?;
            let (text, name) = (number.trim(), name.trim());
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if !(1..=NAME_LIMIT).contains(&name.len()) || !name.bytes().all(fits) {
                return Err(format!(
                    "{name:?} is not a template name (1 to {NAME_LIMIT} letters, digits, - and _)"
                ));
            }
            let number = Kind::parse_number(text)
                .ok_or_else(|| format!("{text:?} is not an action number (1 to 32767)"))?;
            if templates.insert(number, name.to_owned()).is_some() {
                return Err(format!("{entry:?} names a second template for action {number}"));
            }
        }
        Ok(Templates(templates))
    }

    /// The template of a kind, if it has one: what MAILROOM_TEMPLATES says of its number, or what
    /// the database says.
    pub fn name<'a>(&'a self, kind: &'a Kind) -> Option<&'a str> {
        let named = kind.number.and_then(|number| self.0.get(&number));
        named.or(kind.template.as_ref()).map(String::as_str)
    }

    /// All pairs, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &str)> {
        self.0.iter().map(|(number, name)| (*number, name.as_str()))
    }
}

/// What fills the template of every message: `login`, and, if it has a token, `secret` (the signed
/// token) and `code`; an issue of a list has the link `unsubscribe`.
fn ours(message: &Message) -> impl Iterator<Item = (&'static str, &str)> {
    let Message { code, login, token, list, .. } = message;
    let link = list.as_ref().map(|list| ("unsubscribe", &list.unsubscribe));
    let all = [("code", code), ("login", login), ("secret", token)].into_iter().chain(link);
    let there =
        |(name, _): &(&str, &String)| !token.is_empty() || !["code", "secret"].contains(name);
    all.filter(there).map(|(name, text)| (name, text.as_str()))
}

/// The data that fills the template of a message: its own and ours.
pub fn data(message: &Message) -> Value {
    // Nothing else gets here: the database has objects alone, and what cannot be read was refused.
    let own = message.data.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut data: Map<String, Value> = own.unwrap_or_default();
    data.extend(ours(message).map(|(name, value)| (name.to_owned(), value.into())));
    Value::Object(data)
}

/// [`data`] as JSON. Most messages have none of their own, and then nothing is copied.
pub fn data_text(message: &Message) -> String {
    if message.data.is_some() {
        return data(message).to_string();
    }
    let mut text = Vec::with_capacity(256);
    // Writing into memory cannot fail, and what is written is text.
    let _ = serde_json::Serializer::new(&mut text).collect_map(ours(message));
    String::from_utf8(text).unwrap_or_default()
}

/// Our names with empty texts: SES asks for default data and ours must never show in a mail.
pub const EMPTY_DATA: &str = r#"{"code":"","login":"","secret":""}"#;

/// A message like those that are sent, to show and to try templates with; its token is none.
pub fn example(action: u16) -> Message {
    Message {
        kind: Kind::numbered(action).into(),
        email: "john@example.com".to_owned(),
        login: "john".to_owned(),
        token: format!("{:A<86}", "EXAMPLE"),
        code: "01234".to_owned(),
        ..Message::default()
    }
}

/// The variables in a template's text that the data has not. Comments and the words of the template
/// language (`#if`, `/if`, `else`, partials) are not variables.
pub fn unsent(text: &str, data: &Value) -> Vec<String> {
    let tags = text.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    let names = tags.map(|(tag, _)| tag.trim_matches(['{', '&', '~', ' ']).trim());
    let variable = |name: &&str| {
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        !name.is_empty() && name.chars().all(plain) && !matches!(*name, "else" | "this")
    };
    let first = |name: &&str| name.split('.').next().is_some_and(|first| data.get(first).is_some());
    let unsent = names.filter(variable).filter(|name| !first(name));
    unsent.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_has_the_template_that_was_named_for_it() {
        let templates =
            Templates::parse(" 1=activationv1, 2 = password-recovery_v1 ,30=x").unwrap();
        assert_eq!(templates.name(&Kind::numbered(1)), Some("activationv1"));
        assert_eq!(templates.name(&Kind::numbered(2)), Some("password-recovery_v1"));
        assert_eq!(templates.name(&Kind::numbered(30)), Some("x"));
        assert_eq!(templates.name(&Kind::numbered(3)), None);
        let template = Some("invoicev2".to_owned());
        for (number, name) in [(None, "invoicev2"), (Some(3), "invoicev2"), (Some(30), "x")] {
            let kind = Kind { number, template: template.clone(), ..Kind::default() };
            assert_eq!(templates.name(&kind), Some(name));
        }
        assert_eq!(templates.iter().count(), 3);
    }

    #[test]
    fn a_malformed_list_is_refused_with_the_entry_at_fault() {
        for (text, fault) in [
            ("", "\"\" is not NUMBER=TEMPLATE"),
            ("1=a,", "\"\" is not NUMBER=TEMPLATE"),
            ("activationv1", "\"activationv1\" is not NUMBER=TEMPLATE"),
            ("0=a", "\"0\" is not an action number"),
            ("01=a", "\"01\" is not an action number"),
            ("+1=a", "\"+1\" is not an action number"),
            ("32768=a", "\"32768\" is not an action number"),
            ("x=a", "\"x\" is not an action number"),
            ("1=", "\"\" is not a template name"),
            ("1=a b", "\"a b\" is not a template name"),
            ("1=a=b", "\"a=b\" is not a template name"),
            ("1=a,2=b,1=c", "\"1=c\" names a second template for action 1"),
        ] {
            let error = Templates::parse(text).unwrap_err();
            assert!(error.contains(fault), "{text:?} gave {error:?}");
        }
        assert!(Templates::parse(&format!("1={}", "a".repeat(65))).is_err());
        assert!(Templates::parse(&format!("1={}", "a".repeat(64))).is_ok());
    }

    #[test]
    fn a_login_stands_in_the_data_as_it_is() {
        for login in ["john", "a,b", "\"q\"", "a\nb", "back\\slash", "\u{1F600}", "{{secret}}", ""]
        {
            let message = Message {
                kind: Kind::numbered(2).into(),
                email: "a@example.com".into(),
                login: login.into(),
                token: "T".into(),
                code: "01234".into(),
                ..Message::default()
            };
            let read = data(&message);
            assert_eq!(read, serde_json::json!({"login": login, "secret": "T", "code": "01234"}));
        }
        let read: serde_json::Value = serde_json::from_str(EMPTY_DATA).unwrap();
        assert_eq!(read, serde_json::json!({"login": "", "secret": "", "code": ""}));
    }

    #[test]
    fn the_example_has_the_variables_that_are_sent() {
        let read = data(&example(1));
        let mut sent: Vec<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
        sent.sort_unstable();
        assert_eq!(sent, ["code", "login", "secret"]);
        assert_eq!(example(1).token.len(), 86);
    }

    #[test]
    fn variables_that_are_not_sent_are_found() {
        let text = "{{login}} {{{secret}}} {{ code }}{{name}} {{&first.name}} {{! note }} \
                    {{#if code}}{{else}}{{/if}} {{> part}} {{ unclosed";
        assert_eq!(unsent(text, &data(&example(1))), ["name", "first.name"]);
    }

    #[test]
    fn data_is_json_whatever_stands_in_it() {
        let odd = [
            "",
            "plain",
            "o'Brien \u{e9}\u{1F600}\u{7f}",
            "a\"b",
            "back\\slash",
            "line\nfeed\0\u{1b}",
        ];
        for login in odd {
            let message = Message { login: login.to_owned(), ..example(1) };
            let wanted = serde_json::json!({
                "code": message.code, "login": message.login, "secret": message.token,
            });
            assert_eq!(data_text(&message), wanted.to_string());
            assert_eq!(data(&message), wanted);
        }
    }
}
