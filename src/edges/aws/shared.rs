//! The variables of AWS, the shared files `config` and `credentials`, and the profile in use.
//!
//! In scope: where the files are, what a profile in them sets. Out of scope: what the settings
//! mean. Whatever can be read is read as botocore reads it.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use crate::edges::aws::ini;
use crate::edges::aws::ini::Section;
use crate::edges::words::split;
use std::fs::File;
use std::io::{Error, ErrorKind, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// How variables are looked up by name: in the process's environment, or a test's list.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The longest file that is read.
const LONGEST: u64 = 1024 * 1024;

/// The variables, both files, and which profile is in use.
pub struct Shared<'a> {
    variables: &'a Variables<'a>,
    /// The name of the profile in use.
    pub profile: String,
    /// The file `config`.
    pub config: Profiles,
    /// The file `credentials`.
    pub credentials: Profiles,
}

/// One file.
pub struct Profiles {
    /// By `profile NAME` or `services NAME`. The last one counts, if several have the same name.
    sections: Vec<Section>,
    /// Its path, with why it says nothing, if so.
    place: String,
}

impl Profiles {
    /// What a profile sets, blank values aside.
    pub fn get(&self, profile: &str, name: &str) -> Option<&str> {
        let section = self.section("profile", profile)?;
        section.get(name).filter(|text| !text.trim().is_empty())
    }

    fn section(&self, kind: &str, name: &str) -> Option<&Section> {
        let name = format!("{kind} {name}");
        self.sections.iter().rfind(|section| section.name == name)
    }
}

impl<'a> Shared<'a> {
    /// Reads AWS_CONFIG_FILE (else `~/.aws/config`) and AWS_SHARED_CREDENTIALS_FILE (else
    /// `~/.aws/credentials`); the profile is that of AWS_DEFAULT_PROFILE, AWS_PROFILE, else
    /// `default`. A file that is not there or may not be read counts as empty.
    ///
    /// # Errors
    /// A file with a mistake, and where; a profile that is asked for but not there.
    pub fn read(variables: &'a Variables<'a>) -> Result<Shared<'a>, String> {
        let names = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];
        let chosen = names.iter().find_map(|name| Some((*name, value(variables, name)?)));
        let own = |header: &str| Some(format!("profile {header}"));
        let credentials = load(variables, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", own)?;
        let shared = Shared {
            variables,
            profile: chosen.as_ref().map_or("default", |(_, profile)| profile).to_owned(),
            config: load(variables, "AWS_CONFIG_FILE", ".aws/config", in_config)?,
            credentials,
        };
        match chosen {
            Some((name, profile)) if !shared.has(&profile) => {
                Err(format!("{name}: there is no profile {profile:?} in {}", shared.files()))
            }
            _ => Ok(shared),
        }
    }

    /// Both files, in words.
    pub fn files(&self) -> String {
        format!("{} and {}", self.credentials.place, self.config.place)
    }

    /// Whether either file has this profile.
    pub fn has(&self, profile: &str) -> bool {
        let has = |file: &Profiles| file.section("profile", profile).is_some();
        has(&self.credentials) || has(&self.config)
    }

    /// What a profile sets, blank values aside; the credentials file goes before the config file.
    pub fn get(&self, profile: &str, name: &str) -> Option<&str> {
        self.credentials.get(profile, name).or_else(|| self.config.get(profile, name))
    }

    /// A variable's value, unless it is not set or blank.
    pub fn variable(&self, name: &str) -> Option<String> {
        value(self.variables, name)
    }

    /// A variable; if it is not set, what the profile in use sets in its place: under the same name in
    /// lower case, without the `AWS_` in front.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.variable(name).or_else(|| {
            let option = name.strip_prefix("AWS_")?.to_lowercase();
            self.get(&self.profile, &option).map(|text| text.trim().to_owned())
        })
    }

    /// Whether a setting is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// What the `services` section of the profile in use sets for one service, such as `sesv2`.
    ///
    /// # Errors
    /// The profile names a section that is not there, or that cannot be read.
    pub fn service(&self, service: &str, name: &str) -> Result<Option<String>, String> {
        let (profile, place) = (&self.profile, &self.config.place);
        let Some(section) = self.get(profile, "services") else { return Ok(None) };
        let Some(found) = self.config.section("services", section) else {
            return Err(format!(
                "the profile {profile:?} names the services section {section:?}, which is not in {place}"
            ));
        };
        let lines = found.get(service).unwrap_or_default().lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=').ok_or_else(|| {
                format!("{place}: [services {section}]: {service}: `name = value` is expected")
            })?;
            if key.trim() == name {
                return Ok(Some(value.trim().to_owned()).filter(|text| !text.is_empty()));
            }
        }
        Ok(None)
    }
}

fn value(variables: &Variables, name: &str) -> Option<String> {
    variables(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// `profile NAME` or `services NAME` for the header of a section in `config`, where the name may
/// stand in quotes.
fn in_config(header: &str) -> Option<String> {
    if header == "default" {
        return Some("profile default".to_owned());
    }
    let kind = ["profile", "services"].into_iter().find(|kind| header.starts_with(kind))?;
    let [_, name] = <[String; 2]>::try_from(split(header)?).ok()?;
    Some(format!("{kind} {name}"))
}

/// A file; `named` names its sections, or leaves them out.
fn load(
    variables: &Variables,
    variable: &str,
    usual: &str,
    named: fn(&str) -> Option<String>,
) -> Result<Profiles, String> {
    let empty = |place| Ok(Profiles { sections: Vec::new(), place });
    let path = value(variables, variable).unwrap_or_else(|| format!("~/{usual}"));
    let path = match (path.strip_prefix("~/"), variables("HOME").filter(|home| !home.is_empty())) {
        (None, _) => PathBuf::from(path),
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        (Some(_), None) => return empty(format!("{path} (HOME is not set)")),
    };
    let place = path.display().to_string();
    match read(&path, LONGEST, "longer than 1 MiB") {
        Ok(text) => {
            let sections = ini::parse(&text).map_err(|why| format!("{place}: {why}"))?;
            let named = |of: Section| Some(Section { name: named(&of.name)?, ..of });
            Ok(Profiles { sections: sections.into_iter().filter_map(named).collect(), place })
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(format!("{place}: {error}")),
        Err(error) if error.kind() == ErrorKind::NotFound => empty(format!("{place} (not there)")),
        Err(error) => empty(format!("{place} ({error})")),
    }
}

/// A file's text. What is not a plain file is not opened: it could block.
pub(crate) fn read(path: &Path, limit: u64, too_long: &str) -> Result<Zeroizing<String>, Error> {
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(Error::other("not a file"));
    }
    // With room for all of it, no copies are left where the buffer was before it grew.
    let room = usize::try_from(about.len().min(limit)).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    match text.len() as u64 > limit {
        true => Err(Error::new(ErrorKind::InvalidData, too_long)),
        false => Ok(text),
    }
}
