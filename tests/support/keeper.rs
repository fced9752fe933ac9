//! A server that somebody else wrote, in a directory of its own.
//!
//! A shell holds it and reads a pipe from this process: when the process ends, however it ends, the
//! shell stops the server and removes the directory.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
dir=$1 signal=$2
shift 2
cd "$dir" || exit
"$@" >>out 2>&1 </dev/null &
server=$!
read -r _
kill -$signal $server 2>/dev/null
wait $server
cd /
rm -rf "$dir"
"#;

/// The server. Dropping it stops it.
pub struct Keeper {
    pub dir: PathBuf,
    shell: Child,
}

impl Keeper {
    /// Runs a program, with its environment, under this shell; `signal` ends it.
    pub fn start(mut shell: Command, dir: PathBuf, signal: &str, program: &Command) -> Keeper {
        shell.args(["-c", SCRIPT, "keeper"]).arg(&dir).arg(signal);
        shell.arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap());
        }
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Keeper { shell: shell.spawn().unwrap(), dir }
    }

    /// What it wrote, and what stands in these files.
    pub fn log(&self, files: &[&str]) -> String {
        let read = |name: &&str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        ["out"].iter().chain(files).map(read).collect()
    }

    /// Waits until it is so; says what stands in these files, too, if that takes too long.
    pub fn wait(&self, what: &str, so: impl Fn() -> bool, files: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !so() {
            assert!(Instant::now() < deadline, "{what}: {}", self.log(files));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
