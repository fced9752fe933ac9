//! The text of the shared files, read as botocore reads it: by Python's `configparser`.
//!
//! In scope: sections, options, values over several lines, and the line of a mistake. Out of
//! scope: which section is which profile.
//! <https://docs.python.org/3/library/configparser.html#supported-ini-file-structure>

use zeroize::Zeroizing;

/// Options of this section stand in every other one that does not set them.
const EVERYWHERE: &str = "DEFAULT";

/// A section of a file.
pub(crate) struct Section {
    /// What stands between the brackets.
    pub name: String,
    /// Names in lower case, and values; some are secrets.
    pub options: Vec<(String, Zeroizing<String>)>,
}

impl Section {
    /// An option's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.trim_end())
    }
}

/// The sections, in the order of the file.
///
/// # Errors
/// The line that is at fault and what is wrong with it, without its text.
pub(crate) fn parse(text: &str) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    let mut current = None;
    // Whether a deeper line goes on with the last option, and how deep that one stands.
    let (mut open, mut depth) = (false, 0);
    // Editors of Windows put a byte order mark before the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let fault = |what: &str| Err(format!("line {number}: {what}"));
        let content = line.trim();
        if content.starts_with(['#', ';']) {
            continue;
        }
        let section = current.and_then(|index: usize| sections.get_mut(index));
        let indent = line.len() - line.trim_start().len();
        if open && (content.is_empty() || indent > depth) {
            if let Some((_, value)) = section.and_then(|section| section.options.last_mut()) {
                // No copy of a secret is left behind.
                *value = Zeroizing::new([value.as_str(), content].join("\n"));
            }
            continue;
        }
        if content.is_empty() {
            continue;
        }
        depth = indent;
        if let Some(name) = header(content) {
            open = false;
            let known = sections.iter().position(|section| section.name == name);
            if known.is_some() && name != EVERYWHERE {
                return fault(&format!("there are two sections [{name}]"));
            }
            current = known.or(Some(sections.len()));
            if known.is_none() {
                sections.push(Section { name: name.to_owned(), options: Vec::new() });
            }
            continue;
        }
        let Some(section) = section else {
            return fault("a section such as [default] is expected first");
        };
        let Some((name, value)) = content.split_once(['=', ':']) else {
            return fault("`name = value` is expected");
        };
        let name = name.trim_end().to_lowercase();
        if name.is_empty() {
            return fault("the name before the sign is missing");
        }
        if section.get(&name).is_some() {
            return fault(&format!("{name} is set twice in [{}]", section.name));
        }
        section.options.push((name, Zeroizing::new(value.trim().to_owned())));
        open = true;
    }
    Ok(finished(sections))
}

/// What stands between brackets at the start of a line.
fn header(content: &str) -> Option<&str> {
    let rest = content.strip_prefix('[')?;
    let end = rest.rfind(']').filter(|end| *end > 0)?;
    rest.get(..end)
}

/// Hands out what stands in every section.
fn finished(mut sections: Vec<Section>) -> Vec<Section> {
    if let Some(index) = sections.iter().position(|section| section.name == EVERYWHERE) {
        for (name, value) in sections.remove(index).options {
            for section in sections.iter_mut().filter(|section| section.get(&name).is_none()) {
                section.options.push((name.clone(), value.clone()));
            }
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn get(text: &str, section: &str, name: &str) -> Option<String> {
        let sections = parse(text).unwrap();
        let section = sections.iter().find(|found| found.name == section)?;
        section.get(name).map(str::to_owned)
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        // botocore refuses such a file.
        assert_eq!(get("\u{feff}[default]\na = 1\n", "default", "a").unwrap(), "1");
        assert!(parse("[x]\n\u{feff}[default]\n").is_err());
    }

    #[test]
    fn names_are_case_blind_and_both_signs_and_comments_are_known() {
        let text = "# a\n; b\n[a]\nKey = v # no comment\n  # c\nother:x=y\n\n[b]\nkey=\n";
        assert_eq!(get(text, "a", "key").as_deref(), Some("v # no comment"));
        assert_eq!(get(text, "a", "other").as_deref(), Some("x=y"));
        assert_eq!(get(text, "b", "key").as_deref(), Some(""));
        assert_eq!(get(text, "b", "other"), None);
    }

    #[test]
    fn deeper_lines_go_on_with_a_value_and_indented_files_are_fine() {
        let text = "  [a]\n  s3 =\n    x = 1\n\n    # c\n    [y]\n  next = 2\n";
        assert_eq!(get(text, "a", "s3").as_deref(), Some("\nx = 1\n\n[y]"));
        assert_eq!(get(text, "a", "next").as_deref(), Some("2"));
    }

    #[test]
    fn the_section_in_capitals_stands_in_every_other_one() {
        let text = "[DEFAULT]\nregion = r\n[a]\n[b]\nregion = s\n";
        assert_eq!(get(text, "a", "region").as_deref(), Some("r"));
        assert_eq!(get(text, "b", "region").as_deref(), Some("s"));
    }

    #[test]
    fn a_mistake_is_named_by_its_line_and_shows_no_value() {
        for (text, fault) in [
            ("key = hunter2", "line 1: a section"),
            ("[a]\nhunter2", "line 2: `name = value`"),
            ("[a]\n= hunter2", "line 2: the name"),
            ("[a]\n\n[a]", "line 3: there are two sections [a]"),
            ("[a]\nk = hunter2\nK = hunter2", "line 3: k is set twice in [a]"),
        ] {
            let Err(error) = parse(text) else { panic!("{text}") };
            assert!(error.starts_with(fault) && !error.contains("hunter2"), "{error}");
        }
    }
}
