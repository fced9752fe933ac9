//! The shared files `config` and `credentials`, and the profile that is in use.
//!
//! In scope: where the files are, what a profile in them sets. Out of scope: what the settings
//! mean. Whatever can be read is read as botocore reads it.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

mod ini;
mod words;

use crate::edges::aws::{Variables, value};
use ini::Section;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
pub use words::split;
use zeroize::Zeroizing;

/// The longest file that is read.
const LONGEST: u64 = 1024 * 1024;

/// Variables that a profile can set too.
const SETTINGS: &[(&str, &str)] = &[
    ("AWS_DEFAULT_REGION", "region"),
    ("AWS_CA_BUNDLE", "ca_bundle"),
    ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
    ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls"),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint"),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode"),
];

/// Both files, and which profile is in use.
pub struct Shared {
    profile: String,
    config: Content,
    credentials: Content,
}

/// One file.
struct Content {
    sections: Vec<Section>,
    /// Its path, with why it says nothing, if so.
    told: String,
}

impl Shared {
    /// Reads AWS_CONFIG_FILE (else `~/.aws/config`) and AWS_SHARED_CREDENTIALS_FILE (else
    /// `~/.aws/credentials`); the profile is that of AWS_DEFAULT_PROFILE, AWS_PROFILE, else
    /// `default`. A file that is not there or may not be read counts as empty.
    ///
    /// # Errors
    /// A file with a mistake, and where; a profile that is asked for but not there.
    pub fn read(variables: &Variables) -> Result<Shared, String> {
        let names = ["AWS_DEFAULT_PROFILE", "AWS_PROFILE"];
        let chosen = names.iter().find_map(|name| Some((*name, value(variables, name)?)));
        let shared = Shared {
            profile: chosen.as_ref().map_or("default", |(_, profile)| profile).to_owned(),
            config: load(variables, "AWS_CONFIG_FILE", ".aws/config")?,
            credentials: load(variables, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
        };
        match chosen {
            Some((name, profile)) if !shared.has(&profile) => {
                Err(format!("{name}: there is no profile {profile:?} in {}", shared.files()))
            }
            _ => Ok(shared),
        }
    }

    /// The name of the profile in use.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// Both files, in words.
    pub fn files(&self) -> String {
        format!("{} and {}", self.credentials.told, self.config.told)
    }

    /// Whether either file has this profile.
    pub fn has(&self, profile: &str) -> bool {
        self.credentials_section(profile).is_some() || self.config_section(profile).is_some()
    }

    /// What a profile sets, blank values aside; the credentials file goes before the config file.
    pub fn get(&self, profile: &str, name: &str) -> Option<&str> {
        self.in_credentials(profile, name).or_else(|| self.in_config(profile, name))
    }

    /// What a profile sets in the credentials file.
    pub fn in_credentials(&self, profile: &str, name: &str) -> Option<&str> {
        self.credentials_section(profile)?.get(name).filter(|text| !text.trim().is_empty())
    }

    /// What a profile sets in the config file.
    pub fn in_config(&self, profile: &str, name: &str) -> Option<&str> {
        self.config_section(profile)?.get(name).filter(|text| !text.trim().is_empty())
    }

    /// A variable; if it is not set, what the profile in use sets in its place.
    pub fn variable(&self, variables: &Variables, name: &str) -> Option<String> {
        value(variables, name).or_else(|| {
            let (_, setting) = SETTINGS.iter().find(|(variable, _)| *variable == name)?;
            self.get(&self.profile, setting).map(str::to_owned)
        })
    }

    /// What the `services` section of the profile in use sets for one service, such as `sesv2`.
    ///
    /// # Errors
    /// The profile names a section that is not there, or that cannot be read.
    pub fn service(&self, service: &str, name: &str) -> Result<Option<String>, String> {
        let Some(section) = self.get(&self.profile, "services") else { return Ok(None) };
        let named = |found: &&Section| named(&found.name, "services").as_deref() == Some(section);
        let Some(found) = self.config.sections.iter().rev().find(named) else {
            let profile = &self.profile;
            return Err(format!(
                "the profile {profile:?} names the services section {section:?}, which is not in {}",
                self.config.told
            ));
        };
        for line in found.get(service).unwrap_or_default().lines().map(str::trim) {
            match line.split_once('=') {
                Some((key, value)) if key.trim() == name => {
                    return Ok(Some(value.trim().to_owned()).filter(|text| !text.is_empty()));
                }
                None if !line.is_empty() => {
                    let place = &self.config.told;
                    return Err(format!(
                        "{place}: [services {section}]: {service}: `name = value` is expected"
                    ));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    fn credentials_section(&self, profile: &str) -> Option<&Section> {
        self.credentials.sections.iter().find(|section| section.name == profile)
    }

    /// `[default]` or `[profile NAME]`; the last one, if both stand for the same profile.
    fn config_section(&self, profile: &str) -> Option<&Section> {
        let same = |section: &&Section| match section.name.as_str() {
            "default" => profile == "default",
            name => named(name, "profile").as_deref() == Some(profile),
        };
        self.config.sections.iter().rev().find(same)
    }
}

/// `NAME` of a section `[kind NAME]`, which may stand in quotes.
fn named(section: &str, kind: &str) -> Option<String> {
    let [_, name] =
        <[String; 2]>::try_from(split(section.strip_prefix(kind).map(|_| section)?)?).ok()?;
    Some(name)
}

fn load(variables: &Variables, variable: &str, usual: &str) -> Result<Content, String> {
    let home = || variables("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let path = match value(variables, variable) {
        Some(path) => match path.strip_prefix("~/") {
            Some(rest) => home().map(|home| home.join(rest)),
            None => Some(PathBuf::from(path)),
        },
        None => home().map(|home| home.join(usual)),
    };
    let Some(path) = path else {
        let told = format!("~/{usual} (HOME is not set)");
        return Ok(Content { sections: Vec::new(), told });
    };
    let shown = path.display();
    let text = match text(&path) {
        Ok(text) => text,
        Err(error) => {
            let why = match error.kind() {
                std::io::ErrorKind::NotFound => "not there".to_owned(),
                std::io::ErrorKind::InvalidData => return Err(format!("{shown}: {error}")),
                _ => error.to_string(),
            };
            return Ok(Content { sections: Vec::new(), told: format!("{shown} ({why})") });
        }
    };
    let sections = ini::parse(&text).map_err(|why| format!("{shown}: {why}"))?;
    Ok(Content { sections, told: shown.to_string() })
}

/// A file's text. What is not a plain file is not opened: it could block.
fn text(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let invalid = |why| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    let about = std::fs::metadata(path)?;
    if !about.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    if about.len() > LONGEST {
        return Err(invalid("longer than 1 MiB"));
    }
    // With room for all of it, no copies are left where the buffer was before it grew.
    let room = usize::try_from(about.len()).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}
