//! Statements from files, without what explains them to whoever reads the file: of a line that is a
//! comment only its end is left, so that errors name the right line. The first line stays, by which a
//! statement is known in `pg_stat_activity` and in the server's log.

/// A statement, or a migration, without its comments: the lines that begin with `--`, but for the
/// first line of the file.
macro_rules! statement {
    ($($file:tt)+) => {{
        const TEXT: &[u8] = include_str!($($file)+).as_bytes();
        const BARE: [u8; $crate::edges::pg::sql::length(TEXT)] = $crate::edges::pg::sql::bare(TEXT);
        const {
            match std::str::from_utf8(&BARE) {
                Ok(text) => text,
                // It was UTF-8, and whole lines were taken out.
                Err(_) => "",
            }
        }
    }};
}
pub(crate) use statement;

/// How many bytes are left.
pub(crate) const fn length(text: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        let end = line_end(text, at);
        count += if is_kept(text, at) { end - at } else { 1 };
        at = end;
    }
    count
}

/// What is left.
pub(crate) const fn bare<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut kept = [0; N];
    let (mut at, mut to) = (0, 0);
    while at < text.len() {
        let end = line_end(text, at);
        let copied = is_kept(text, at);
        while at < end {
            if copied || at == end - 1 {
                kept[to] = text[at];
                to += 1;
            }
            at += 1;
        }
    }
    kept
}

const fn line_end(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && text[at] != b'\n' {
        at += 1;
    }
    if at < text.len() { at + 1 } else { at }
}

const fn is_kept(text: &[u8], start: usize) -> bool {
    let is_comment = start + 1 < text.len() && text[start] == b'-' && text[start + 1] == b'-';
    start == 0 || !is_comment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_but_for_the_first_line() {
        const TEXT: &[u8] = b"-- What it does.\n--   $1 x\nSELECT 1 -- y\n  -- z\n-- end\n  + 2";
        let bare: [u8; length(TEXT)] = bare(TEXT);
        let text = std::str::from_utf8(&bare).unwrap();
        assert_eq!(text, "-- What it does.\n\nSELECT 1 -- y\n  -- z\n\n  + 2");
    }
}
