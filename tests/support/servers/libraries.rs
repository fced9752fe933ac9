//! Servers that are libraries of a language, each run by a few lines beside the tests of SMTP.

use super::{Place, Server};
use crate::support::python::python;
use std::path::{Path, PathBuf};
use std::process::Command;

fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp").join(name)
}

fn module(name: &str) -> PathBuf {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/node_modules");
    let path = modules.join(name);
    assert!(path.exists(), "{} is missing: run scripts/setup", path.display());
    path
}

/// smtp-server, of those who made nodemailer.
pub fn smtp_server() -> Server {
    let place = Place::new("smtp-server");
    let mut command = Command::new("node");
    command.arg(beside("smtp_server.js")).arg(module("smtp-server"));
    command.arg(place.port.to_string());
    place.start(&command)
}

/// Haraka, with a plugin that keeps mails.
pub fn haraka() -> Server {
    let place = Place::new("haraka");
    let theirs = module("Haraka/config/connection.ini");
    for (name, text) in [
        ("plugins", "keep\n".to_owned()),
        ("me", "mail.mailroom.test\n".to_owned()),
        // It knows no values of its own for these.
        ("connection.ini", std::fs::read_to_string(theirs).unwrap()),
        ("smtp.ini", format!("listen=127.0.0.1:{}\n", place.port)),
    ] {
        place.write(&format!("config/{name}"), &text);
    }
    let plugin = std::fs::read_to_string(beside("haraka.js")).unwrap();
    place.write("plugins/keep.js", &plugin);
    let mut command = Command::new("node");
    command.arg(module("Haraka/bin/haraka")).arg("-c").arg(place.dir.path());
    place.start(&command)
}

/// aiosmtpd, of those who made Mailman.
pub fn aiosmtpd() -> Server {
    let place = Place::new("aiosmtpd");
    let mut command = Command::new(python());
    command.arg(beside("aiosmtpd_takes.py")).arg(place.port.to_string());
    place.start(&command)
}
