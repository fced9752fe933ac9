//! What a server offers in its answer to EHLO.
//!
//! Keywords and mechanisms are read without regard to case, as RFC 5321 asks for: a `StartTLS` that
//! counted as none would send mail in the clear. lettre's own reading compares exactly.
//! <https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.1>

use crate::edges::smtp::server::Secret;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::response::Response;

/// The longest name of a mechanism. <https://www.rfc-editor.org/rfc/rfc4422#section-3.1>
const NAME: usize = 20;
/// So many mechanisms are named in a refusal.
const NAMED: usize = 10;

/// The lines of the answer, in upper case, without the first, which names the server.
#[derive(Default)]
pub(crate) struct Offers(Vec<String>);

impl Offers {
    pub(crate) fn read(reply: &Response) -> Offers {
        Offers(reply.message().skip(1).map(|line| line.trim().to_ascii_uppercase()).collect())
    }

    /// Whether a keyword is offered: STARTTLS, PIPELINING (commands may be sent in groups), SMTPUTF8
    /// (addresses may have other letters than ASCII's: <https://www.rfc-editor.org/rfc/rfc6531>).
    pub(crate) fn has(&self, keyword: &str) -> bool {
        self.parameters(keyword).next().is_some()
    }

    /// XOAUTH2 for a token, and for a password the first of PLAIN and LOGIN, if it is offered.
    ///
    /// # Errors
    /// None is: the names of those that are, for people.
    pub(crate) fn login(&self, secret: &Secret) -> Result<Mechanism, String> {
        let words = self.parameters("AUTH").flat_map(str::split_ascii_whitespace);
        let mut offered: Vec<&str> = words.filter(|word| is_name(word)).collect();
        offered.sort_unstable();
        offered.dedup();
        let known: &[Mechanism] = match secret {
            Secret::Token(_) => &[Mechanism::Xoauth2],
            Secret::Password(_) => &[Mechanism::Plain, Mechanism::Login],
        };
        let found = known.iter().copied().find(|one| offered.contains(&one.to_string().as_str()));
        offered.truncate(NAMED);
        found.ok_or_else(|| match offered.is_empty() {
            true => "no AUTH".to_owned(),
            false => format!("AUTH {}", offered.join(" ")),
        })
    }

    /// What stands behind a keyword, for each line that begins with it. Old servers write `AUTH=`.
    fn parameters(&self, keyword: &str) -> impl Iterator<Item = &str> {
        let rests = self.0.iter().filter_map(move |line| line.strip_prefix(keyword));
        rests.filter_map(|rest| match rest.strip_prefix([' ', '\t', '=']) {
            None if rest.is_empty() => Some(""),
            parameters => parameters,
        })
    }
}

/// Whether it can be the name of a mechanism: nothing else of the server's is repeated.
fn is_name(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    word.len() <= NAME && word.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn password() -> Secret {
        Secret::Password(Zeroizing::default())
    }

    fn offers(lines: &[&str]) -> Offers {
        let mut text = "250-AUTH.example.com STARTTLS\r\n".to_owned();
        lines.iter().for_each(|line| text += &format!("250-{line}\r\n"));
        text += "250 8BITMIME\r\n";
        Offers::read(&text.parse().unwrap())
    }

    #[test]
    fn starttls_is_known_in_whatever_case() {
        for line in ["STARTTLS", "starttls", "StartTLS", "StartTls ", "STARTTLS required"] {
            assert!(offers(&["SIZE 1000", line]).has("STARTTLS"), "{line}");
        }
        for line in ["STARTTLSX", "XSTARTTLS", "START TLS", "HELP STARTTLS"] {
            assert!(!offers(&[line]).has("STARTTLS"), "{line}");
        }
        assert!(!offers(&[]).has("STARTTLS"), "the first line names the server");
    }

    #[test]
    fn auth_is_known_in_whatever_case_and_in_its_old_form() {
        for line in ["AUTH LOGIN PLAIN", "auth LOGIN PLAIN", "Auth Plain", "AUTH=LOGIN PLAIN"] {
            assert_eq!(offers(&[line]).login(&password()), Ok(Mechanism::Plain), "{line}");
        }
        for line in ["AUTH LOGIN", "auth login", "AUTH=LOGIN", "Auth=login CRAM-MD5", "AUTH\tLogin"]
        {
            assert_eq!(offers(&[line]).login(&password()), Ok(Mechanism::Login), "{line}");
        }
        assert_eq!(
            offers(&["AUTH=LOGIN", "AUTH CRAM-MD5 PLAIN"]).login(&password()),
            Ok(Mechanism::Plain)
        );
        assert_eq!(
            offers(&["auth Login xOAuth2"]).login(&Secret::Token(Zeroizing::default())),
            Ok(Mechanism::Xoauth2)
        );
        assert_eq!(
            offers(&["AUTH LOGIN"]).login(&Secret::Token(Zeroizing::default())),
            Err("AUTH LOGIN".to_owned())
        );
    }

    #[test]
    fn what_is_offered_in_place_of_a_known_login_is_named() {
        for (lines, offered) in [
            (&[] as &[&str], "no AUTH"),
            (&["AUTH"], "no AUTH"),
            (&["AUTHENTICATE PLAIN"], "no AUTH"),
            (&["auth Cram-MD5 GSSAPI", "AUTH=CRAM-MD5"], "AUTH CRAM-MD5 GSSAPI"),
            (&["AUTH PLAINLY john@example.com XOAUTH2"], "AUTH PLAINLY XOAUTH2"),
        ] {
            assert_eq!(offers(lines).login(&password()), Err(offered.to_owned()), "{lines:?}");
        }
    }
}
