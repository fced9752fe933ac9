//! The value of a keyword, wherever it was given: in the string, or in its variable. Errors name
//! the place and not the value.

use super::keywords;
use super::text::Setting;
use crate::error::Error;
use std::fmt;

/// Looks a variable of the environment up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value and where it came from.
pub struct Word {
    pub key: &'static str,
    pub value: String,
    pub from: From,
}

pub enum From {
    String(usize),
    Variable(&'static str),
}

impl Word {
    /// An error that names the keyword and its place, and not its value.
    pub fn wrong(&self, what: impl fmt::Display) -> Error {
        let key = self.key;
        Error::config(match self.from {
            From::String(at) => format!("connection string, character {at}: {key} {what}"),
            From::Variable(name) => format!("{name}: {key} {what}"),
        })
    }

    pub fn list(&self) -> Vec<&str> {
        self.value.split(',').map(str::trim).collect()
    }

    /// A whole number. Negative ones mean "whatever the system does" and become 0, as in libpq.
    pub fn number(&self) -> Result<u64, Error> {
        match self.value.trim().parse::<i32>() {
            Ok(number) => Ok(u64::try_from(number).unwrap_or(0)),
            Err(_) => Err(self.wrong("is not a whole number")),
        }
    }

    /// One of a list of words.
    pub fn choose<T: Copy>(&self, choices: &[(&str, T)], advice: &str) -> Result<T, Error> {
        if let Some((_, chosen)) = choices.iter().find(|(name, _)| *name == self.value) {
            return Ok(*chosen);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        Err(self.wrong(format_args!("must be one of {}{advice}", names.join(", "))))
    }
}

pub struct Words<'a> {
    pub given: Vec<Setting>,
    pub env: Lookup<'a>,
}

impl Words<'_> {
    /// The last value given for `key`, else that of its variable.
    pub fn get(&self, key: &'static str) -> Option<Word> {
        if let Some(setting) = self.given.iter().rfind(|setting| setting.key == key) {
            let from = From::String(setting.at);
            return Some(Word { key, value: setting.value.clone(), from });
        }
        let (_, name) = keywords::READ.iter().find(|(known, _)| *known == key)?;
        let value = self.variable(name)?;
        Some(Word { key, value, from: From::Variable(name) })
    }

    /// As `get`, where an empty value means the default.
    pub fn filled(&self, key: &'static str) -> Option<Word> {
        self.get(key).filter(|word| !word.value.is_empty())
    }

    /// A variable that is set to something.
    pub fn variable(&self, name: &str) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        (self.env)(name).filter(|value| !value.is_empty())
    }

    pub fn refuse_unread(&self) -> Result<(), Error> {
        for Setting { key, value, at, plain } in &self.given {
            if keywords::READ.iter().any(|(known, _)| known == key) {
                continue;
            }
            let place = format!("connection string, character {at}");
            let Some(unread) = keywords::UNREAD.iter().find(|unread| unread.key == key) else {
                let simple = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                let name = if simple && *plain && key.len() <= 30 { key } else { "before it" };
                return Err(Error::config(format!(
                    "{place}: the keyword {name} is not known to libpq; \
                     a value that holds spaces needs 'quotes', in a URI %20"
                )));
            };
            if !value.is_empty() && !unread.harmless.contains(&value.as_str()) {
                return Err(Error::config(format!(
                    "{place}: {key} is not supported with this value: {}",
                    unread.advice
                )));
            }
        }
        for unread in keywords::UNREAD {
            let given = self.given.iter().any(|setting| setting.key == unread.key);
            let Some(value) = self.variable(unread.var).filter(|_| !given) else { continue };
            if !unread.harmless.contains(&value.as_str()) {
                return Err(Error::config(format!(
                    "{}: {} is not supported with this value: {}; unset the variable",
                    unread.var, unread.key, unread.advice
                )));
            }
        }
        Ok(())
    }
}
