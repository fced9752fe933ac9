//! Standard input and output as the pipes of a daemon, refused where mail would be lost in them.

use crate::mail::error::Error;
use crate::pipe::undelivered::lock;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, OFlag, fcntl};
use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

/// A file of our own on a standard stream, without the buffering of the standard library.
pub fn stream(stream: impl AsFd) -> Result<File, Error> {
    let owned = stream.as_fd().try_clone_to_owned();
    owned.map(File::from).map_err(|error| Error::io("a standard stream is not open", error))
}

/// Standard output as a file of our own, to which batches can be written.
pub fn output() -> Result<File, Error> {
    let output = stream(std::io::stdout().as_fd())?;
    refuse_closed(&output)?;
    refuse_half_record(&output)?;
    Ok(output)
}

/// Device number of /dev/null. <https://www.kernel.org/doc/html/latest/admin-guide/devices.html>
const NULL_DEVICE: u64 = nix::sys::stat::makedev(1, 3);

/// A standard output that was closed is /dev/null by now, opened for reading and writing by Rust's
/// start; a batch written there would count as handed over. Who redirects to /dev/null opens it
/// for writing only, and means it.
fn refuse_closed(output: &File) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::io("standard output is unusable", error);
    let device = output.metadata().map_err(|error| failed(&error))?.rdev();
    let flags = fcntl(output, FcntlArg::F_GETFL).map_err(|error| failed(&error))?;
    let both_ways = OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE == OFlag::O_RDWR;
    if device == NULL_DEVICE && both_ways {
        return Err(failed(&"it is closed, and batches would be lost; give it a reader"));
    }
    Ok(())
}

/// A process that was killed, or met the end of its disk, may have left half a record in a file: the
/// first one of ours would be joined to it.
fn refuse_half_record(output: &File) -> Result<(), Error> {
    let Ok(found) = output.metadata() else { return Ok(()) };
    let Some(last) = found.len().checked_sub(1).filter(|_| found.is_file()) else { return Ok(()) };
    // Ours is open for writing only.
    let mut byte = [b'\n'];
    let read = File::open("/proc/self/fd/1").and_then(|file| file.read_exact_at(&mut byte, last));
    if read.is_ok() && byte != [b'\n'] {
        let what =
            "standard output is a file that ends in the middle of a record: give another one";
        return Err(Error::config(what));
    }
    Ok(())
}

/// Standard input as a file of our own, and no other of it: when that is closed, the writer is told.
/// With it the lock that keeps other processes from reading it too. `known`: the database knows what
/// is in each record.
pub fn input(known: bool) -> Result<(File, Option<Flock<File>>), Error> {
    let input = stream(std::io::stdin().as_fd())?;
    if !known {
        refuse_named_fifo(&input)?;
    }
    let alone = alone(&input)?;
    std::io::pipe()
        .and_then(|(nothing, _)| Ok(nix::unistd::dup2_stdin(nothing)?))
        .map_err(|error| Error::io("standard input cannot be taken over", error))?;
    Ok((input, alone))
}

/// Two processes that read one pipe each get pieces of records: what the one joins may be an address
/// here and a token there. Opened anew, for a process that was started with the same standard input
/// would share the lock.
fn alone(input: &File) -> Result<Option<Flock<File>>, Error> {
    let kind = input.metadata().map(|found| found.file_type());
    if !kind.is_ok_and(|kind| kind.is_fifo()) {
        return Ok(None);
    }
    let anew = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open("/proc/self/fd/0");
    match anew.map(lock) {
        Ok(Ok(locked)) => Ok(Some(locked)),
        Ok(Err(Errno::EWOULDBLOCK)) => Err(Error::config(
            "another process reads this standard input too: each would get pieces of records; give \
             each `send` a pipe of its own",
        )),
        // Without locks, or without /proc, nobody can tell.
        _ => Ok(None),
    }
}

/// The writer of a FIFO with a name may go on while its reader is started again. The new one begins
/// anywhere, and inside a quoted login a line feed looks like the end of a record: what follows
/// could name anybody. Only the database knows then what was meant. A pipe without a name ends
/// with its reader.
fn refuse_named_fifo(input: &File) -> Result<(), Error> {
    let is_fifo = input.metadata().is_ok_and(|found| found.file_type().is_fifo());
    let name = std::fs::read_link("/proc/self/fd/0").unwrap_or_default();
    if is_fifo && name.is_absolute() {
        return Err(Error::config(format!(
            "standard input is the FIFO {}, where a record may begin in its middle: use a plain \
             pipe (collect | send), or set MAILROOM_ACK=sent for both",
            name.display()
        )));
    }
    Ok(())
}
