//! The text of a statement as the program carries it, without what stands in its file for readers alone;
//! and the rows that it gives.

/// What is sent of a file of SQL: no comments but the first line, which names the statement, and no
/// indentation.
macro_rules! sql {
    ($path:literal) => {{
        const FILE: &[u8] = include_str!($path).as_bytes();
        const TEXT: [u8; $crate::edges::pg::statement::shorten(FILE, &mut [])] = {
            let mut text = [0; $crate::edges::pg::statement::shorten(FILE, &mut [])];
            $crate::edges::pg::statement::shorten(FILE, &mut text);
            text
        };
        const SQL: &str = match std::str::from_utf8(&TEXT) {
            Ok(text) => text,
            // A file that is not UTF-8 does not compile.
            Err(_) => unreachable!(),
        };
        SQL
    }};
}
pub(crate) use sql;

/// A struct whose fields are the columns of a row that have their names; behind `;` those that are not.
macro_rules! of_row {
    ($row:ident, $of:ident { $($name:ident),* $(; $($own:ident $(: $value:expr)?),*)? }) => {
        $of { $($name: $row.try_get(stringify!($name))?,)* $($($own $(: $value)?),*)? }
    };
}
pub(crate) use of_row;

/// Writes what is sent, as far as there is room; gives how long it is, in bytes.
pub(crate) const fn shorten(file: &[u8], text: &mut [u8]) -> usize {
    let (mut from, mut to) = (0, 0);
    while from < file.len() {
        let is_first = from == 0;
        while from < file.len() && file[from] == b' ' {
            from += 1;
        }
        let is_comment = from + 1 < file.len() && file[from] == b'-' && file[from + 1] == b'-';
        let mut ends = false;
        while from < file.len() && !ends {
            if is_first || !is_comment {
                if to < text.len() {
                    text[to] = file[from];
                }
                to += 1;
            }
            ends = file[from] == b'\n';
            from += 1;
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_but_the_first_and_indentation_are_left_out() {
        let file =
            b"-- name\n-- why\nSELECT 1 - 1,\n       2\n    -- here\n  FROM t -- there\n\n WHERE x";
        let mut text = [0; 100];
        let length = shorten(file, &mut text);
        assert_eq!(shorten(file, &mut []), length);
        assert_eq!(&text[..length], b"-- name\nSELECT 1 - 1,\n2\nFROM t -- there\n\nWHERE x");
    }
}
