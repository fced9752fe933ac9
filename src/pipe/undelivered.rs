//! `undelivered.csv`: what could not be delivered and has no database to wait in; in memory as long
//! as the file cannot be written.
//!
//! In scope: appending records in the wire format, so that they can be read again with
//! `mailroom send < undelivered.csv`; trying again; saying what is kept where, and what could not
//! be. Out of scope: deciding what belongs here.

use crate::edges::log;
use crate::mail::error::{Error, Kind};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Name of the file in the output directory.
pub const NAME: &str = "undelivered.csv";

/// What waits in memory, in bytes, before nothing more is to be read.
const LIMIT: usize = 1024 * 1024;

/// Between two tries of a file that could not be written.
const RETRY: Duration = Duration::from_secs(1);

/// How often, and how long apart, the lock on the file is tried: two seconds in all.
const TRIES: u32 = 40;
const BETWEEN: Duration = Duration::from_millis(50);

/// The file, which several processes may append to, and what it did not take yet.
pub struct Undelivered {
    path: PathBuf,
    /// Whole records.
    unwritten: Vec<u8>,
    /// How many records those are.
    count: usize,
    retry_at: Option<Instant>,
    /// Something belonged there.
    used: bool,
}

impl Undelivered {
    /// The file in `dir`, which is made with mode 0700 if it is not there.
    ///
    /// If `input` is that very file, it is given another name first, `undelivered.SECONDS.csv`:
    /// reading a file while appending to it would never end.
    ///
    /// # Errors
    /// The directory cannot be made or written to, or the file is there and cannot be written to.
    pub fn new(dir: &Path, input: &File, now: SystemTime) -> io::Result<Undelivered> {
        make_dir(dir)?;
        let path = dir.join(NAME);
        if path.exists() {
            let file = OpenOptions::new().append(true).open(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            if is_at(input, &path)? {
                // Who appends now has done so when the file has its new name.
                let _alone = lock(file);
                let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let mut names = (seconds..).map(|n| dir.join(format!("undelivered.{n}.csv")));
                let free = names.find(|name| !name.exists());
                fs::rename(&path, free.unwrap_or_default())?;
            }
        }
        Ok(Undelivered { path, unwritten: Vec::new(), count: 0, retry_at: None, used: false })
    }

    /// Keeps records for a person, each ended by its line feed and given with what the log is to say
    /// of it; one that is empty is only spoken of. One write for all, as each waits for the disk.
    pub fn keep(&mut self, records: Vec<(String, Vec<u8>)>, now: Instant) {
        let before = self.count;
        for (_, record) in records.iter().filter(|(_, record)| !record.is_empty()) {
            self.unwritten.extend_from_slice(record);
            self.count += 1;
        }
        let mut place = String::new();
        if self.count > before {
            self.used = true;
            let written = self.write(before, now);
            let path = self.path.display();
            place = match written {
                Ok(()) => format!("; kept in {path}"),
                Err(error) => format!("; held in memory, for {path} cannot be written: {error}"),
            };
        }
        for (what, record) in records {
            let place = if record.is_empty() { "" } else { &place };
            log::error("SEND", format_args!("{what}{place}"));
        }
    }

    /// Tries the file again, if it is time. Gives when to do so next.
    pub fn retry(&mut self, now: Instant) -> Option<Instant> {
        if self.retry_at.is_some_and(|at| at <= now) {
            // It is tried again.
            let _ = self.write(self.count, now);
        }
        self.retry_at
    }

    /// Whether no more may be read: there might be no place for it.
    pub fn is_full(&self) -> bool {
        self.unwritten.len() >= LIMIT
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where to look, if there is anything.
    pub fn place(&self) -> Option<&Path> {
        self.used.then_some(self.path.as_path())
    }

    /// Tries the file for the last time.
    ///
    /// # Errors
    /// What is in memory is lost.
    pub fn close(&mut self, now: Instant) -> Result<(), Error> {
        let count = self.count;
        let Err(error) = self.write(count, now) else { return Ok(()) };
        // Said here, for the process may end with another error.
        let path = self.path.display();
        let what = format_args!("messages lost: {count}; {path} cannot be written: {error}");
        log::error("SEND", what);
        Err(Error::new(Kind::Io, "messages that could not be delivered could not be kept either"))
    }

    /// Writes what is in memory; says so of the first `waited` records.
    fn write(&mut self, waited: usize, now: Instant) -> io::Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        if let Err(error) = self.append() {
            self.retry_at = Some(now + RETRY);
            return Err(error);
        }
        (self.unwritten, self.count, self.retry_at) = (Vec::new(), 0, None);
        if waited > 0 {
            let path = self.path.display();
            log::info("SEND", format_args!("messages from memory now kept in {path}: {waited}"));
        }
        Ok(())
    }

    /// Appends what is in memory and brings it to the disk. Records of other processes stand before
    /// or behind.
    fn append(&self) -> io::Result<()> {
        // Opened each time: it may have been given another name, to be read.
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path);
        for _ in 0..TRIES {
            match lock(open()?) {
                Ok(mut file) if is_at(&file, &self.path)? => {
                    return append_whole(&mut file, &self.unwritten);
                }
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
        append_whole(&mut open()?, &self.unwritten)
    }
}

/// Whether a file is the one that has this name now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    Ok(fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())))
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
fn append_whole(file: &mut File, records: &[u8]) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const NO_FILE: &str = "/dev/null";

    fn undelivered(dir: &Path) -> Undelivered {
        let input = File::open(NO_FILE).unwrap();
        Undelivered::new(dir, &input, UNIX_EPOCH + Duration::from_secs(7)).unwrap()
    }

    fn records(texts: &[&str]) -> Vec<(String, Vec<u8>)> {
        texts.iter().map(|text| ("said".to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn kept(dir: &Path) -> String {
        fs::read_to_string(dir.join(NAME)).unwrap()
    }

    #[test]
    fn records_are_appended_and_what_is_only_spoken_of_makes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut file, now) = (undelivered(dir.path()), Instant::now());
        file.keep(records(&["", ""]), now);
        assert_eq!((file.place(), dir.path().join(NAME).exists()), (None, false));
        file.keep(records(&["a\n", "", "b\n"]), now);
        file.keep(records(&["c\n"]), now);
        assert_eq!(kept(dir.path()), "a\nb\nc\n");
        assert_eq!(file.place(), Some(dir.path().join(NAME).as_path()));
        assert!(file.close(now).is_ok());
    }

    #[test]
    fn what_the_file_does_not_take_waits_until_it_does() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/full", dir.path().join(NAME)).unwrap();
        let (mut file, now) = (undelivered(dir.path()), Instant::now());
        file.keep(records(&["a\n"]), now);
        assert_eq!(file.retry(now), Some(now + RETRY));
        assert_eq!(file.retry(now + RETRY), Some(now + 2 * RETRY), "it is still full");
        fs::remove_file(dir.path().join(NAME)).unwrap();
        assert_eq!(file.retry(now + 2 * RETRY), None);
        assert_eq!(kept(dir.path()), "a\n");
    }

    #[test]
    fn a_mebibyte_in_memory_is_full_and_at_the_end_it_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/dev/full", dir.path().join(NAME)).unwrap();
        let (mut file, now) = (undelivered(dir.path()), Instant::now());
        file.keep(records(&[&"x".repeat(LIMIT - 1)]), now);
        assert!(!file.is_full());
        file.keep(records(&["\n"]), now);
        assert!(file.is_full());
        assert_eq!(file.close(now).unwrap_err().kind, Kind::Io);
    }

    #[test]
    fn a_file_that_is_read_gets_another_name_that_is_free() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("undelivered.7.csv"), "taken").unwrap();
        fs::write(dir.path().join(NAME), "a\n").unwrap();
        let input = File::open(dir.path().join(NAME)).unwrap();
        let wall = UNIX_EPOCH + Duration::from_secs(7);
        let mut file = Undelivered::new(dir.path(), &input, wall).unwrap();
        file.keep(records(&["b\n"]), Instant::now());
        assert_eq!(fs::read_to_string(dir.path().join("undelivered.8.csv")).unwrap(), "a\n");
        assert_eq!(kept(dir.path()), "b\n");
    }
}
