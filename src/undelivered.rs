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
    written: usize,
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
        Ok(Undelivered { path, file: None, written: 0 })
    }

    /// Appends whole records, ended by line feeds, and brings them to the disk.
    ///
    /// After an error the file is opened anew, and what was written of these records is taken off
    /// again: half a record would spoil the next one.
    ///
    /// # Errors
    /// They were not all written.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?,
        };
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(records).and_then(|()| file.sync_data()) {
            let after = file.metadata()?.len();
            // More than these records: another process appends too.
            if (before..=before + records.len() as u64).contains(&after) {
                // What cannot be shortened is no file on a disk.
                let _ = file.set_len(before);
            }
            return Err(error);
        }
        self.file = Some(file);
        self.written += 1;
        Ok(())
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many times something was appended.
    pub fn written(&self) -> usize {
        self.written
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
