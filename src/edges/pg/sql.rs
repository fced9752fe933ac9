//! Statements from files, without what explains them to whoever reads the file: of a line that is a
//! comment only its end is left, so that errors name the right line. The first line stays, by which a
//! statement is known in `pg_stat_activity` and in the server's log.

/// A statement, or a migration, without its comments: the lines that begin with `--`, but for the
/// first line of the file.
macro_rules! statement {
    ($($file:tt)+) => {{
        const TEXT: &[u8] = include_str!($($file)+).as_bytes();
        const LENGTH: usize = $crate::edges::pg::sql::strip(TEXT, &mut []);
        const BARE: [u8; LENGTH] = {
            let mut bare = [0; LENGTH];
            $crate::edges::pg::sql::strip(TEXT, &mut bare);
            bare
        };
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

/// Writes what is left of `text` to `bare`, as far as there is room; gives how long it is.
pub(crate) const fn strip(text: &[u8], bare: &mut [u8]) -> usize {
    let (mut at, mut length) = (0, 0);
    let mut comment = false;
    while at < text.len() {
        if at > 0 && text[at - 1] == b'\n' {
            comment = at + 1 < text.len() && text[at] == b'-' && text[at + 1] == b'-';
        }
        if !comment || text[at] == b'\n' {
            if length < bare.len() {
                bare[length] = text[at];
            }
            length += 1;
        }
        at += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_but_for_the_first_line() {
        const TEXT: &[u8] = b"-- What it does.\n--   $1 x\nSELECT 1 -- y\n  -- z\n-- end\n  + 2";
        let mut bare = [0; strip(TEXT, &mut [])];
        strip(TEXT, &mut bare);
        let text = std::str::from_utf8(&bare).unwrap();
        assert_eq!(text, "-- What it does.\n\nSELECT 1 -- y\n  -- z\n\n  + 2");
    }
}
