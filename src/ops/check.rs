//! What a preflight found: one line a check, and what all of them say together.
//!
//! In scope: the words, the order, the JSON. Out of scope: making a check (the files in `check/`
//! and those of the providers), and its looks.

pub mod clock;
pub mod database;
pub mod settings;

use crate::edges::stop::Stop;
use crate::ops::config::Config;
use crate::ops::config::reader::is_about;
use crate::queue::samples::Sample;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// How one check came out; the later the worse: what may mend by waiting before what does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// As it should be.
    Ok,
    /// Mail moves, or it could not be found out; a person may want to look.
    Warning,
    /// Mail cannot move: something is not reached, and may be back later.
    Unreachable,
    /// Mail cannot move before a person changes something.
    Misconfigured,
}

impl Status {
    /// The word for it; both kinds of failure are `failed`.
    pub fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Unreachable | Status::Misconfigured => "failed",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// One check, by the keys of its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or three: stable, so that programs may go by it.
    pub name: String,
    /// How it came out.
    pub status: Status,
    /// What was found. Holds no secret.
    pub detail: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
}

/// All checks, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    list: Vec<Check>,
}

impl Checks {
    /// As the status says.
    pub fn add(&mut self, name: &str, status: Status, detail: String, advice: &str) {
        let (name, advice) = (name.to_owned(), advice.to_owned());
        self.list.push(Check { name, status, detail, advice });
    }

    /// It is as it should be.
    pub fn ok(&mut self, name: &str, detail: impl Into<String>) {
        self.add(name, Status::Ok, detail.into(), "");
    }

    /// It is not, but mail moves.
    pub fn warning(&mut self, name: &str, detail: impl Into<String>, advice: &str) {
        self.add(name, Status::Warning, detail.into(), advice);
    }

    /// It could not be found out, because of something else.
    pub fn unknown(&mut self, name: &str, because: &str) {
        self.add(name, Status::Warning, format!("not checked: {because}"), "");
    }

    /// It was not reached.
    pub fn unreachable(&mut self, name: &str, detail: impl Into<String>, advice: &str) {
        self.add(name, Status::Unreachable, detail.into(), advice);
    }

    /// It is wrong, and stays so until a person changes it.
    pub fn misconfigured(&mut self, name: &str, detail: impl Into<String>, advice: &str) {
        self.add(name, Status::Misconfigured, detail.into(), advice);
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Check> {
        self.list.iter()
    }

    /// How many came out so.
    pub fn count(&self, word: &str) -> usize {
        self.iter().filter(|check| check.status.word() == word).count()
    }

    /// The worst of them.
    pub fn worst(&self) -> Status {
        self.iter().map(|check| check.status).max().unwrap_or(Status::Ok)
    }

    /// `{"ok":…,"checks":[{"name":…,"status":…,"detail":…,"advice":…}]}`; `ok` is true if nothing
    /// failed.
    pub fn json(&self) -> Value {
        json!({ "ok": self.count("failed") == 0, "checks": self.list })
    }
}

/// What every check is given.
pub struct Round<'a> {
    /// The settings.
    pub config: &'a Config,
    /// What is wrong with them.
    pub problems: &'a [String],
    /// The request to stop.
    pub stop: &'a Stop,
    /// The kinds of mail of the queue; none: not known.
    pub kinds: Vec<Sample>,
    /// What was found so far.
    pub checks: Checks,
}

impl Round<'_> {
    /// Whether a setting is wrong, so that what it says is not known.
    pub fn is_wrong(&self, name: &str) -> bool {
        self.problems.iter().any(|problem| is_about(problem, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_change_outweighs_what_is_not_reached() {
        let mut checks = Checks::default();
        assert_eq!(checks.worst(), Status::Ok);
        checks.ok("a", "fine");
        checks.unknown("b", "a was away");
        assert_eq!((checks.worst(), &checks.json()["ok"]), (Status::Warning, &json!(true)));
        checks.unreachable("c", "away", "wait");
        assert_eq!((checks.worst(), &checks.json()["ok"]), (Status::Unreachable, &json!(false)));
        checks.misconfigured("d", "wrong", "change it");
        checks.unreachable("e", "away", "wait");
        assert_eq!((checks.worst(), checks.count("failed")), (Status::Misconfigured, 3));
        assert_eq!(checks.json()["checks"][1]["detail"], "not checked: a was away");
    }
}
