//! `undelivered.csv`: what could not be delivered and has no database to wait in.
//!
//! In scope: appending records in the wire format, so that they can be read again with
//! `mailroom send < undelivered.csv`. Out of scope: deciding what belongs here.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name of the file in the output directory.
pub const NAME: &str = "undelivered.csv";

/// How often, and how long apart, the lock on the file is tried: two seconds in all.
const TRIES: u32 = 40;
const BETWEEN: Duration = Duration::from_millis(50);

/// The file, which several processes may append to.
pub struct Undelivered {
    path: PathBuf,
}

impl Undelivered {
    /// The file in `dir`, which is made with mode 0700 if it is not there.
    ///
    /// If `input` is that very file, it is given another name first, `undelivered.SECONDS.csv`:
    /// reading a file while appending to it would never end.
    ///
    /// # Errors
    /// The directory cannot be made or written to, or the file is there and cannot be written to.
    pub fn new(dir: &Path, input: impl AsFd, now: SystemTime) -> io::Result<Undelivered> {
        make_dir(dir)?;
        let path = dir.join(NAME);
        let input = File::from(input.as_fd().try_clone_to_owned()?).metadata()?;
        if let Ok(old) = fs::metadata(&path) {
            let file = OpenOptions::new().append(true).open(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            if (old.dev(), old.ino()) == (input.dev(), input.ino()) {
                // Who appends now has done so when the file has its new name.
                let _alone = lock(file);
                fs::rename(&path, free_name(dir, now))?;
            }
        }
        Ok(Undelivered { path })
    }

    /// Appends whole records, ended by line feeds, and brings them to the disk. Those of other
    /// processes stand before or behind them.
    ///
    /// # Errors
    /// They were not all written.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        // Opened each time: it may have been given another name, to be read.
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        for _ in 0..TRIES {
            match lock(open()?) {
                Ok(mut file) if self.is_there(&file)? => return write(&mut file, records),
                // It was given another name meanwhile, and nobody reads what comes at its end now.
                Ok(_) => {}
                // Whoever has the lock does not get on, or the file system has none. A mail kept
                // between two halves of another is better than one that is lost.
                Err(Errno::EWOULDBLOCK | Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::ENOSYS) => {
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        write(&mut open()?, records)
    }

    /// Whether the file still has its name.
    fn is_there(&self, file: &File) -> io::Result<bool> {
        let ours = file.metadata()?;
        Ok(fs::metadata(&self.path)
            .is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
    }

    /// The path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The lock on a file, which ends with it. Waits two seconds for somebody else who has it.
/// <https://man7.org/linux/man-pages/man2/flock.2.html>
///
/// # Errors
/// `EWOULDBLOCK`: somebody else keeps it; others: the file system has no locks.
pub fn lock(mut file: File) -> Result<Flock<File>, Errno> {
    for _ in 0..TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) => file = back,
            Err((_, error)) => return Err(error),
        }
        sleep(BETWEEN);
    }
    Err(Errno::EWOULDBLOCK)
}

/// Appends these records, or takes off again what was written of them: half a record would spoil
/// the next one.
fn write(file: &mut File, records: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(records).and_then(|()| file.sync_data());
    if written.is_err() {
        let after = file.metadata()?.len();
        // More than these records: somebody appended without the lock.
        if (before..=before + records.len() as u64).contains(&after) {
            // What cannot be shortened is no file on a disk.
            let _ = file.set_len(before);
        }
    }
    written
}

/// A name for a file that is to be read again, which no other file has.
fn free_name(dir: &Path, now: SystemTime) -> PathBuf {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut number = seconds;
    loop {
        let path = dir.join(format!("undelivered.{number}.csv"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}

/// Makes a directory that only we may use, with its parents, if it is not there, and checks that it
/// can be written to.
///
/// # Errors
/// It cannot be made, or files cannot be made in it.
pub fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    File::create(&probe)?;
    fs::remove_file(&probe)
}
