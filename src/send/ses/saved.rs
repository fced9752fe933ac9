//! The replies of SES that were no plain success, saved for people to read. A request is never
//! saved: it holds tokens.

use crate::edges::http::Reply;
use crate::edges::log;
use crate::mail::model::Kind;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use time::OffsetDateTime;

/// So many replies are saved: an outage must not fill the disk.
const MOST: usize = 1000;

/// How many were saved.
#[derive(Default)]
pub(crate) struct Saved(usize);

impl Saved {
    /// Saves a reply to a call about mail of this kind, if it is not one of too many.
    pub(crate) fn keep(&mut self, dir: &Path, reply: &Reply, kind: &Kind, now: OffsetDateTime) {
        if self.0 >= MOST {
            return;
        }
        let path = dir.display();
        if let Err(error) = save(dir, now, kind, reply) {
            return log::warn("SES", format_args!("cannot save SES's reply in {path}: {error}"));
        }
        self.0 += 1;
        if self.0 == MOST {
            let what = "replies saved; this process saves no more";
            log::warn("SES", format_args!("{MOST} {what} in {path}"));
        }
    }
}

/// Writes `ses_YYYYmmddHHMMSS.mmm_{number-1}.http`, or with the kind's name if it has no number; if the
/// name is taken, a later millisecond's.
fn save(dir: &Path, mut at: OffsetDateTime, kind: &Kind, reply: &Reply) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let format = time::macros::format_description!(
        "[year][month][day][hour][minute][second].[subsecond digits:3]"
    );
    let mut text = format!("HTTP/1.1 {}\r\n", reply.status).into_bytes();
    for (name, value) in &reply.headers {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend([b"\r\n", reply.body.as_slice()].concat());
    let which = kind.number.map_or(kind.name.to_string(), |n| n.saturating_sub(1).to_string());
    loop {
        let stamp = at.format(format).map_err(std::io::Error::other)?;
        let path = dir.join(format!("ses_{stamp}_{which}.http"));
        match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => return file.write_all(&text),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                at += time::Duration::MILLISECOND;
            }
            Err(error) => return Err(error),
        }
    }
}
