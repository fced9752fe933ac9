//! The password file, `~/.pgpass`.
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// The text of a password file. `None` when there is none; the error says why libpq would ignore
/// it too, and is for a warning.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
    let Ok(meta) = std::fs::metadata(path) else { return Ok(None) };
    let shown = path.display();
    if !meta.is_file() {
        return Err(format!("password file {shown} is ignored: it is not a plain file"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "password file {shown} is ignored: others may read it; run: chmod 0600 {shown}"
        ));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(cause) => Err(format!("password file {shown} is ignored: {cause}")),
    }
}

/// The password of the first line whose four fields fit: host, port, database and user.
pub(crate) fn find(text: &str, wanted: [&str; 4]) -> Option<Zeroizing<String>> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let rest = wanted.iter().try_fold(line, |rest, wanted| {
            let (value, next) = field(rest);
            next.filter(|_| value == *wanted || rest.starts_with("*:"))
        })?;
        Some(Zeroizing::new(field(rest).0)).filter(|password| !password.is_empty())
    })
}

/// The field at the start of `text`, without its backslashes, and what follows its colon.
fn field(text: &str) -> (String, Option<&str>) {
    let mut field = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => return (field, Some(chars.as_str())),
            '\\' => field.push(chars.next().unwrap_or('\\')),
            c => field.push(c),
        }
    }
    (field, None)
}
