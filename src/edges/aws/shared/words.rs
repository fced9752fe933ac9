//! A line split into words as a POSIX shell reads quotes, without anything else of a shell.
//!
//! In scope: blanks, quotes and backslashes, as Python's `shlex.split` reads them, which the AWS
//! tools use. Out of scope: variables, wildcards, comments, pipes.

/// The words of a line; `None` if a quote is not closed or a backslash ends the line.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let open = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        inside => open.push(inside),
                    }
                }
            }
            '"' => {
                let open = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            escaped @ ('"' | '\\') => open.push(escaped),
                            other => open.extend(['\\', other]),
                        },
                        inside => open.push(inside),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_and_backslashes_are_those_of_a_posix_shell() {
        for (line, words) in [
            ("", &[] as &[&str]),
            ("  a\tb\n c ", &["a", "b", "c"]),
            ("'a b' \"c d\"", &["a b", "c d"]),
            ("a'b'\"c\"d", &["abcd"]),
            (r#""a\"b\\c\d" 'e\f' g\ h \\"#, &[r#"a"b\c\d"#, r"e\f", "g h", r"\"]),
            ("'' \"\" x", &["", "", "x"]),
            ("a #b $C `d` | e;f", &["a", "#b", "$C", "`d`", "|", "e;f"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for open in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(open), None, "{open}");
        }
    }
}
