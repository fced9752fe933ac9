//! Libraries of others, in Python, as witnesses.

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A python that has the libraries: MAILROOM_PYTHON, else what scripts/setup made.
pub fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("MAILROOM_PYTHON").filter(|path| !path.is_empty()) {
        return python.into();
    }
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    assert!(python.exists(), "no python in .venv: run scripts/setup");
    python
}

/// What a script answers that is given `asked` as JSON, and says something in JSON.
pub fn ask(script: &str, asked: &Value) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let mut child = Command::new(python())
        .arg(&script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{} failed; if it lacks a library, run scripts/setup\n{errors}",
        script.display()
    );
    serde_json::from_slice(&done.stdout).unwrap()
}
