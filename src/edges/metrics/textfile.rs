//! A small file that others read while it is written anew.
//!
//! In scope: readers see the old text or the new one, never a part. Out of scope: what it says.

use std::ffi::OsString;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Whoever collects the file runs as another user.
const MODE: u32 = 0o644;

/// Replaces the text of the file at `path`; `path` with `.tmp` behind it is ours too. It is not
/// waited for the disk: after a crash of the machine the numbers begin anew anyway.
///
/// # Errors
/// The directory cannot be written to, or its disk is full; the old text stands.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // A device or a link at this place is somebody else's.
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("there is something that is not a file"));
    }
    let mut temporary = OsString::from(path);
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let written = fill(temporary, text).and_then(|()| fs::rename(temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(temporary);
    }
    written
}

fn fill(path: &Path, text: &str) -> io::Result<()> {
    // A killed process may have left a part, and nobody may have put a link there that leads
    // elsewhere.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.write_all(text.as_bytes())
}
