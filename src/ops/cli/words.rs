//! How a word that is not taken is answered.

use crate::mail::error::Error;

/// A word that is not taken, in quotes; not what stands behind `=`, nor what is no word, for it may be
/// a secret in the wrong place.
pub fn shown(word: &str) -> String {
    let name = word.split('=').next().unwrap_or_default();
    let is_word = |c: char| c.is_ascii_alphabetic() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= 32 && name.chars().all(is_word) {
        true => format!(" {name:?}"),
        false => " a word that is given (not shown: it may be a secret)".to_owned(),
    }
}

/// What may have been meant by a word that is not among `known`; nothing if none is like it.
pub fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    let likest = known.map(|one| (distance(word, one), one)).min();
    match likest.filter(|(distance, one)| *distance <= 2 && distance * 2 < one.len()) {
        Some((_, one)) => format!("; did you mean {one}?"),
        None => String::new(),
    }
}

/// How many bytes have to be put in, taken out or changed to make one word of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, from) in one.bytes().enumerate() {
        let mut before = row[0];
        row[0] = place + 1;
        for (column, to) in other.bytes().enumerate() {
            let changed = before + usize::from(from != to);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// What the parser refused (exit 64).
impl From<pico_args::Error> for Error {
    fn from(error: pico_args::Error) -> Error {
        Error::usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_suggested_that_is_like_the_one_that_was_given() {
        let known = || ["status", "send", "queue", "--to", "--reason"].into_iter();
        for (word, meant) in [("stauts", "status"), ("sedn", ""), ("queu", "queue"), ("q", "")] {
            let expected = match meant {
                "" => String::new(),
                meant => format!("; did you mean {meant}?"),
            };
            assert_eq!(near(word, known()), expected, "{word}");
        }
        assert_eq!(near("--resaon", known()), "; did you mean --reason?");
        assert_eq!(near("--xyz", known()), "");
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
