//! A file of variables as systemd's `EnvironmentFile=` reads it, without a shell: `From <…>` and `&`
//! need no care, and what a service is given can be given to a command as it is.
//! <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#EnvironmentFile=>
//!
//! Out of scope: opening it.

use std::collections::BTreeMap;

/// Where the next character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a name, or in one.
    Name,
    /// In a line that says nothing.
    Comment,
    /// Before a value, or behind a closing quote.
    Blank,
    /// In a value without quotes.
    Value,
    /// In quotes of this kind.
    Quoted(char),
}

/// The variables of `text`, the last value of each. A line that begins with `#` or `;`, or has no `=`,
/// says nothing.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut at, mut name, mut value) = (At::Name, String::new(), String::new());
    // The length of the value without the blanks behind it, which do not count.
    let mut end = 0;
    let mut rest = text.chars();
    loop {
        // A last line may have no end.
        let next = rest.next();
        let c = next.unwrap_or('\n');
        match (at, c) {
            (At::Name, '\n') | (At::Comment, '\n') => {
                name.clear();
                at = At::Name;
            }
            (At::Name, '#' | ';') if name.trim().is_empty() => at = At::Comment,
            (At::Name, '=') => at = At::Blank,
            (At::Name, c) => name.push(c),
            (At::Blank | At::Value, '\n') => {
                value.truncate(end);
                found.insert(name.trim().to_owned(), std::mem::take(&mut value));
                name.clear();
                (at, end) = (At::Name, 0);
            }
            (At::Blank, '\'' | '"') => at = At::Quoted(c),
            (At::Quoted(quote), c) if c == quote => at = At::Blank,
            (At::Blank | At::Value | At::Quoted('"'), '\\') => {
                // A line that ends so goes on in the next one.
                match rest.next() {
                    Some('\n') | None => {}
                    Some(c) => {
                        if at == At::Quoted('"') && !"\"\\`$".contains(c) {
                            value.push('\\');
                        }
                        value.push(c);
                        end = value.len();
                    }
                }
                at = if at == At::Blank { At::Value } else { at };
            }
            (At::Blank, c) if c.is_whitespace() => {}
            (At::Value, c) if c.is_whitespace() => value.push(c),
            (At::Comment, _) => {}
            // A quote that nobody closed ends with the file.
            (At::Quoted(_), _) if next.is_none() => {}
            (At::Blank | At::Value | At::Quoted(_), c) => {
                value.push(c);
                end = value.len();
                at = if at == At::Blank { At::Value } else { at };
            }
        }
        if next.is_none() {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_systemd_gives() {
        let text = "# a comment\n; another\n\nnothing\n\
            A=plain\n\
            B = Mail Room <noreply@example.com>  \n\
            C=postgres://u:p@h/db?a=1&b=$HOME\n\
            D=\"with \\\"quotes\\\" and \\$ and \\n\" \n\
            E='single \\ as it is'\n\
            F=one \\\n  two\n\
            G=\"two\nlines\"\n\
            H=\n\
            I=it's \"here\"\n\
            A=again\n\
            J=escaped\\ \\'\n\
            K=last";
        let found = parse(text);
        let of = |name: &str| found.get(name).map(String::as_str);
        assert_eq!(of("A"), Some("again"));
        assert_eq!(of("B"), Some("Mail Room <noreply@example.com>"));
        assert_eq!(of("C"), Some("postgres://u:p@h/db?a=1&b=$HOME"));
        assert_eq!(of("D"), Some("with \"quotes\" and $ and \\n"));
        assert_eq!(of("E"), Some("single \\ as it is"));
        assert_eq!(of("F"), Some("one   two"));
        assert_eq!(of("G"), Some("two\nlines"));
        assert_eq!(of("H"), Some(""));
        assert_eq!(of("I"), Some("it's \"here\""));
        assert_eq!(of("J"), Some("escaped '"));
        assert_eq!(of("K"), Some("last"));
        assert_eq!(found.len(), 11);
    }
}
