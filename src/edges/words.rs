//! A line split into words as a POSIX shell reads quotes, without anything else of a shell.
//!
//! In scope: blanks, quotes and backslashes, as Python's `shlex.split` reads them, which the AWS
//! tools use. Out of scope: variables, wildcards, comments, pipes.

/// The words of a line; `None` if a quote is not closed or a backslash ends the line.
pub(crate) fn split(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && matches!(c, ' ' | '\t' | '\r' | '\n') {
            words.extend(word.take());
            continue;
        }
        let word = word.get_or_insert_default();
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, '\\') => word.push(chars.next()?),
            (Some('"'), '\\') => match chars.next()? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            _ => word.push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
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
