//! The password file, `~/.pgpass`.
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

/// The text of a password file. `None` when there is none; the error says why libpq would ignore
/// it too, and is for a warning.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
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

/// The password of the first line whose four fields fit.
pub fn find(text: &str, fields: [&str; 4]) -> Option<Zeroizing<String>> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let rest = fields.iter().try_fold(line, |rest, wanted| skip(rest, wanted))?;
        Some(Zeroizing::new(unescape(rest))).filter(|password| !password.is_empty())
    })
}

/// What follows the first field of `line` and its colon, if the field is `*` or says `wanted`.
fn skip<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut wanted = wanted.chars();
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            ':' if !escaped => {
                return wanted.next().is_none().then(|| line.get(at + 1..)).flatten();
            }
            c if wanted.next() == Some(c) => escaped = false,
            _ => return None,
        }
    }
    None
}

/// The field at the start of `text`, without its backslashes, up to a colon or the end.
fn unescape(text: &str) -> String {
    let mut field = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ':' => break,
            '\\' => field.push(chars.next().unwrap_or('\\')),
            c => field.push(c),
        }
    }
    field
}
