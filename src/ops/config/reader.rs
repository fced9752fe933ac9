//! Where the text of a setting comes from: a flag, a variable, a file, a systemd credential.
//!
//! In scope: finding it, and keeping what is wrong. Out of scope: which settings there are.

use crate::ops::config::VARS;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

const MONTH_MS: u64 = 31 * 24 * 3600 * 1000;

/// Where values come from: flags before environment before defaults.
pub struct Inputs<'a> {
    /// The command, which decides what is read.
    pub command: &'a str,
    /// Values of flags, by variable name.
    pub flags: &'a [(&'static str, String)],
    /// The environment; a value that is not UTF-8 is an error there.
    pub env: &'a dyn Fn(&str) -> Option<std::ffi::OsString>,
}

/// Reads the variables of one command, and keeps what is wrong with them.
pub(crate) struct Reader<'a> {
    pub(crate) inputs: &'a Inputs<'a>,
    pub(crate) problems: Vec<String>,
}

impl Reader<'_> {
    pub(crate) fn problem(&mut self, name: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    fn env(&mut self, name: &str) -> Option<Zeroizing<String>> {
        match (self.inputs.env)(name)?.into_string() {
            Ok(value) => Some(Zeroizing::new(value)),
            Err(_) => {
                self.problem(name, "is not UTF-8");
                None
            }
        }
    }

    /// The text of a variable, if its command reads it and somebody set it or it has a default.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        let var = VARS.iter().find(|var| var.name == name)?;
        if !var.used_by.contains(&self.inputs.command) {
            return var.default.map(|value| Zeroizing::new(value.to_owned()));
        }
        if let Some((_, value)) = self.inputs.flags.iter().find(|(flag, _)| *flag == name) {
            return Some(Zeroizing::new(value.clone()));
        }
        let direct = self.env(name);
        if !var.is_secret() {
            return direct.or_else(|| var.default.map(|value| Zeroizing::new(value.to_owned())));
        }
        let file_name = format!("{name}_FILE");
        let file = self.env(&file_name);
        match (direct, file) {
            (Some(value), Some(_)) if !value.is_empty() => {
                self.problem(name, format_args!("set it or {file_name}, not both"));
                None
            }
            (Some(value), None) => Some(value),
            (_, Some(path)) => self.file(&file_name, Path::new(path.as_str())),
            (None, None) => {
                let directory = self.env("CREDENTIALS_DIRECTORY")?;
                let path = Path::new(directory.as_str()).join(name);
                if path.exists() { self.file(name, &path) } else { None }
            }
        }
    }

    fn file(&mut self, name: &str, path: &Path) -> Option<Zeroizing<String>> {
        let text = match read_file(path).map(String::from_utf8) {
            Ok(Ok(text)) => Zeroizing::new(text),
            Ok(Err(_)) => {
                self.problem(name, format_args!("{} is not UTF-8", path.display()));
                return None;
            }
            Err(error) => {
                self.problem(name, format_args!("cannot read {}: {error}", path.display()));
                return None;
            }
        };
        let trimmed = text.strip_suffix('\n').unwrap_or(&text);
        let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
        if trimmed.is_empty() {
            self.problem(name, format_args!("{} is empty", path.display()));
            return None;
        }
        Some(Zeroizing::new(trimmed.to_owned()))
    }

    /// A value that `parse` understands. What it refuses is reported; the text is shown, unless
    /// the variable is a secret.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(mut why) => {
                if ['"', '\''].iter().any(|quote| {
                    text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote)
                }) {
                    why += "; the quotes around it are part of the value";
                }
                let secret = VARS.iter().any(|var| var.name == name && var.is_secret());
                // One of several entries is quoted by its own fault.
                if secret || why.starts_with('"') {
                    self.problem(name, why);
                } else {
                    self.problem(name, format_args!("{why}, not {:?}", text.as_str()));
                }
                None
            }
        }
    }

    pub(crate) fn number(&mut self, name: &'static str, least: u64, most: u64) -> u64 {
        let parse = |text: &str| match text.parse::<u64>() {
            Ok(n) if (least..=most).contains(&n) => Ok(n),
            _ => Err(format!("must be a whole number from {least} to {most}")),
        };
        self.parsed(name, parse).unwrap_or(least)
    }

    pub(crate) fn millis(&mut self, name: &'static str) -> Duration {
        Duration::from_millis(self.number(name, 1, MONTH_MS))
    }

    pub(crate) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> T {
        let parse = |text: &str| {
            let found = choices.iter().find(|(word, _)| *word == text);
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
            found.map(|(_, value)| *value).ok_or_else(|| format!("must be {}", words.join(" or ")))
        };
        self.parsed(name, parse).unwrap_or(choices[0].1)
    }

    /// A secret that must be there.
    #[cfg(any(feature = "smtp", feature = "postmark"))]
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let before = self.problems.len();
        let value = self.parsed(name, parse);
        if value.is_none() && self.problems.len() == before {
            self.problem(name, "is required by MAILROOM_TRANSPORT");
        }
        value
    }

    pub(crate) fn name(&mut self, name: &'static str) -> String {
        let parse = |text: &str| match text {
            "" => Err("must not be empty".to_owned()),
            _ if text.contains('\0') => Err("must not hold a NUL".to_owned()),
            _ => Ok(text.to_owned()),
        };
        self.parsed(name, parse).unwrap_or_default()
    }
}

/// The longest file that a setting is read from, in bytes.
const FILE_LIMIT: u64 = 64 * 1024;

/// What is in a file, which may be anything that a name leads to.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(FILE_LIMIT + 1).read_to_end(&mut bytes)?;
    if read as u64 > FILE_LIMIT {
        let why = format!("it holds more than {FILE_LIMIT} bytes; is it the right file?");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(bytes)
}
