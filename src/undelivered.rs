//! `undelivered.csv`: what could not be delivered and has no database to wait in.
//!
//! In scope: appending records in the wire format, so that they can be read again with
//! `mailroom send < undelivered.csv`. Out of scope: deciding what belongs here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Name of the file in the output directory.
pub const NAME: &str = "undelivered.csv";

/// The file, opened when the first record comes.
pub struct Undelivered {
    path: PathBuf,
    file: Option<File>,
}

impl Undelivered {
    /// The file in `dir`, which is made with mode 0700 if it is not there.
    ///
    /// If `input` is that very file, it is given another name first, `undelivered.SECONDS.csv`:
    /// reading a file while appending to it would never end.
    ///
    /// # Errors
    /// The directory cannot be made or written to.
    pub fn new(dir: &Path, input: impl AsFd, now: SystemTime) -> io::Result<Undelivered> {
        make_dir(dir)?;
        let path = dir.join(NAME);
        let input = File::from(input.as_fd().try_clone_to_owned()?).metadata()?;
        if let Ok(old) = fs::metadata(&path)
            && (old.dev(), old.ino()) == (input.dev(), input.ino())
        {
            let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            fs::rename(&path, dir.join(format!("undelivered.{seconds}.csv")))?;
        }
        Ok(Undelivered { path, file: None })
    }

    /// Appends whole records, ended by line feeds, and brings them to the disk.
    ///
    /// # Errors
    /// They may not have been written.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file =
                    OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
                none.insert(file)
            }
        };
        file.write_all(records)?;
        file.sync_data()
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a directory that only we may use, with its parents, and checks that it can be written to.
///
/// # Errors
/// It cannot be made, or files cannot be made in it.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    File::create(&probe)?;
    fs::remove_file(&probe)
}
