//! A small file that others read while it is written anew.
//!
//! In scope: readers see the old text or the new one, never a part. Out of scope: what it says.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Whoever collects the file runs as another user.
const MODE: u32 = 0o644;

/// A file, and the one beside it that is written first.
pub struct Textfile {
    path: PathBuf,
    temporary: PathBuf,
}

impl Textfile {
    /// The file at `path`; `path` with `.tmp` behind it is ours too.
    pub fn new(path: &Path) -> Textfile {
        let mut temporary = OsString::from(path);
        temporary.push(".tmp");
        Textfile { path: path.to_owned(), temporary: temporary.into() }
    }

    /// Replaces the text. It is not waited for the disk: after a crash of the machine the numbers
    /// begin anew anyway.
    ///
    /// # Errors
    /// The directory cannot be written to, or its disk is full; the old text stands.
    pub fn write(&self, text: &str) -> io::Result<()> {
        // A device or a link at this place is somebody else's.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::other("there is something that is not a file"));
        }
        let written = self.fill(text).and_then(|()| fs::rename(&self.temporary, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&self.temporary);
        }
        written
    }

    fn fill(&self, text: &str) -> io::Result<()> {
        // Nobody may have put a link there that leads elsewhere.
        let mut options = OpenOptions::new();
        let mut file: File =
            match options.write(true).create_new(true).mode(MODE).open(&self.temporary) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&self.temporary)?;
                    options.open(&self.temporary)?
                }
                opened => opened?,
            };
        // Whatever the umask.
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.write_all(text.as_bytes())
    }
}
