//! Where the text of a setting comes from: a flag, a variable, a file, a systemd credential.
//!
//! In scope: what a setting is, finding its text, and keeping what is wrong. Out of scope: which
//! settings there are.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use zeroize::Zeroizing;

/// One setting.
#[derive(Debug)]
pub struct Var {
    /// The environment variable.
    pub name: &'static str,
    /// The flag, with its dashes; `None` for a secret, which never stands on a command line.
    pub flag: Option<&'static str>,
    /// The value if none is given; `None`: required, or off.
    pub default: Option<&'static str>,
    /// The commands that read it.
    pub used_by: &'static [&'static str],
    /// What it means, in one line.
    pub meaning: &'static str,
}

impl Var {
    /// Whether its value must not be shown and may come from a file.
    pub fn is_secret(&self) -> bool {
        self.flag.is_none()
    }
}

type Text = &'static str;
type Commands = &'static [&'static str];

/// A setting with a default.
pub const fn setting(name: Text, flag: Text, value: Text, used_by: Commands, meaning: Text) -> Var {
    Var { name, flag: Some(flag), default: Some(value), used_by, meaning }
}

/// A setting that is off unless it is given.
pub const fn optional(name: Text, flag: Text, used_by: Commands, meaning: Text) -> Var {
    Var { name, flag: Some(flag), default: None, used_by, meaning }
}

/// A setting that must not be shown.
pub const fn secret(name: Text, used_by: Commands, meaning: Text) -> Var {
    Var { name, flag: None, default: None, used_by, meaning }
}

/// Where values come from: flags before environment before defaults.
pub struct Inputs<'a> {
    /// The command, which decides what is read.
    pub command: &'a str,
    /// Values of flags, by variable name.
    pub flags: &'a [(&'static str, String)],
    /// The environment; a value that is not UTF-8 is an error there.
    pub env: &'a dyn Fn(&str) -> Option<std::ffi::OsString>,
}

/// Whether a problem is one with this variable, or with its file.
pub fn is_about(problem: &str, name: &str) -> bool {
    // All of the name counts: names begin like others.
    problem.split(':').next().is_some_and(|of| of.trim_end_matches("_FILE") == name)
}

/// Reads the settings of one command, and keeps what is wrong with them.
pub struct Reader<'a> {
    inputs: &'a Inputs<'a>,
    vars: &'static [Var],
    problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet. `vars`: the settings that there are.
    pub fn new(inputs: &'a Inputs<'a>, vars: &'static [Var]) -> Reader<'a> {
        Reader { inputs, vars, problems: Vec::new() }
    }

    /// The command whose settings these are.
    pub fn command(&self) -> &'a str {
        self.inputs.command
    }

    /// The setting of this name.
    pub fn var(&self, name: &str) -> Option<&'static Var> {
        self.vars.iter().find(|var| var.name == name)
    }

    /// All that is wrong, `NAME: what` each.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Keeps what is wrong with a setting.
    pub fn problem(&mut self, name: &str, what: impl std::fmt::Display) {
        self.problems.push(format!("{name}: {what}"));
    }

    /// Whether something is wrong with a setting.
    pub fn is_wrong(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| is_about(problem, name))
    }

    /// As [`Reader::problem`], unless something else is wrong with it already.
    pub fn also(&mut self, name: &str, what: impl std::fmt::Display) {
        if !self.is_wrong(name) {
            self.problem(name, what);
        }
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
    pub fn text(&mut self, name: &'static str) -> Option<Zeroizing<String>> {
        let var = self.var(name)?;
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
        let shown = path.display();
        let text = match read_file(path).map(String::from_utf8) {
            Ok(Ok(text)) => Ok(Zeroizing::new(text)),
            Ok(Err(_)) => Err(format!("{shown} is not UTF-8")),
            Err(error) => Err(format!("cannot read {shown}: {error}")),
        };
        let text = text.and_then(|text| {
            let trimmed = text.strip_suffix('\n').unwrap_or(&text);
            match trimmed.strip_suffix('\r').unwrap_or(trimmed) {
                "" => Err(format!("{shown} is empty")),
                trimmed => Ok(Zeroizing::new(trimmed.to_owned())),
            }
        });
        text.map_err(|why| self.problem(name, why)).ok()
    }

    /// What `parse` reads in a setting. Where there is nothing, or it is wrong: the default; where
    /// there is none, nothing. What is refused is reported; the text is shown, unless the setting is
    /// a secret.
    pub fn value<T: Default>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        if let Some(text) = self.text(name) {
            match parse(&text) {
                Ok(value) => return value,
                Err(why) => self.refuse(name, &text, why),
            }
        }
        let default = self.var(name).and_then(|var| var.default);
        default.and_then(|text| parse(text).ok()).unwrap_or_default()
    }

    /// As [`Reader::value`], for a secret that must be there.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.value(name, |text| parse(text).map(Some));
        if value.is_none() {
            self.also(name, "is required by MAILROOM_TRANSPORT");
        }
        value
    }

    fn refuse(&mut self, name: &str, text: &str, mut why: String) {
        let quoted =
            |quote: &char| text.len() > 1 && text.starts_with(*quote) && text.ends_with(*quote);
        if ['"', '\''].iter().any(quoted) {
            why += "; the quotes around it are part of the value";
        }
        // One of several entries is quoted by its own fault.
        if self.var(name).is_some_and(Var::is_secret) || why.starts_with('"') {
            self.problem(name, why);
        } else {
            self.problem(name, format_args!("{why}, not {text:?}"));
        }
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
