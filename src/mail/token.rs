//! The signed text that goes into a mail, and the only holder of the key.
//!
//! HMAC-SHA256 ([RFC 2104](https://www.rfc-editor.org/rfc/rfc2104)) over the path of the action,
//! the 32 bytes of the secret, and for some actions the five digits of the code. The token is
//! unpadded base64url ([RFC 4648, section 5](https://www.rfc-editor.org/rfc/rfc4648#section-5))
//! of secret and MAC: 64 bytes, 86 characters.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use zeroize::Zeroizing;

/// Characters of a token.
const TOKEN_LEN: usize = 86;
const SECRET_LEN: usize = 32;
const MAC_LEN: usize = 32;
const CODE_LEN: usize = 5;

/// The HMAC key: 32 bytes. It has no `Debug`, and is wiped when dropped.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<[u8; 32]>);

impl SigningKey {
    /// Reads a key from 64 hexadecimal digits of either case.
    ///
    /// # Errors
    /// What is wrong with the text, without the text.
    pub fn from_hex(text: &str) -> Result<SigningKey, String> {
        let mut key = Zeroizing::new([0; 32]);
        match hex::decode_to_slice(text, &mut *key) {
            Ok(()) => Ok(SigningKey(key)),
            Err(hex::FromHexError::InvalidHexCharacter { index, .. }) => {
                Err(format!("character {} is no hexadecimal digit", index + 1))
            }
            Err(_) => {
                let length = text.len();
                Err(format!("must be 64 hexadecimal digits (32 bytes), but has {length}"))
            }
        }
    }

    /// What signs: made once for many tokens, because half the work of a MAC is in it, and not kept
    /// for longer than that, because it is not wiped.
    pub fn signer(&self) -> Signer {
        Signer(hmac::Key::new(hmac::HMAC_SHA256, &*self.0))
    }

    /// Whether the token was signed with this key for `path`, and for `code` if there is one.
    /// Compares in constant time.
    fn signed(&self, token: &Parsed, path: &str, code: Option<&str>) -> bool {
        let code = code.unwrap_or_default().as_bytes();
        let data = Zeroizing::new([path.as_bytes(), token.secret(), code].concat());
        hmac::verify(&self.signer().0, &data, &token.0[SECRET_LEN..]).is_ok()
    }
}

/// A key that is ready to sign.
pub struct Signer(hmac::Key);

impl Signer {
    /// Signs a secret for a path, and its code where that is signed (`with_code`), and gives the
    /// token.
    ///
    /// # Errors
    /// Why this row cannot be signed: the secret is not 32 bytes, or the code is to be signed and
    /// is not five ASCII digits.
    pub fn sign(
        &self,
        path: &str,
        with_code: bool,
        secret: &[u8],
        code: Option<&str>,
    ) -> Result<String, String> {
        if secret.len() != SECRET_LEN {
            return Err(format!("the secret is {} bytes long, not {SECRET_LEN}", secret.len()));
        }
        let mut context = hmac::Context::with_key(&self.0);
        context.update(path.as_bytes());
        context.update(secret);
        if with_code {
            let code = code.ok_or("the code is missing, and this kind of mail signs it")?;
            if !is_code(code) {
                return Err(
                    "the code is not five digits, and this kind of mail signs it".to_owned()
                );
            }
            context.update(code.as_bytes());
        }
        let mut bytes = Zeroizing::new([0; SECRET_LEN + MAC_LEN]);
        bytes[..SECRET_LEN].copy_from_slice(secret);
        bytes[SECRET_LEN..].copy_from_slice(context.sign().as_ref());
        Ok(URL_SAFE_NO_PAD.encode(*bytes))
    }
}

/// Whether a text is a code: five ASCII digits.
pub fn is_code(text: &str) -> bool {
    text.len() == CODE_LEN && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The bytes of a token: secret and MAC, not checked.
pub struct Parsed(Zeroizing<[u8; SECRET_LEN + MAC_LEN]>);

impl Parsed {
    /// Reads a token.
    ///
    /// # Errors
    /// What is wrong with its shape, without the text.
    pub fn from_text(text: &str) -> Result<Parsed, String> {
        let length = text.chars().count();
        if length != TOKEN_LEN {
            return Err(format!(
                "a token has {TOKEN_LEN} characters, this has {length}; of a link it is what \
                 follows the last `/` or `=`"
            ));
        }
        let mut bytes = Zeroizing::new([0; SECRET_LEN + MAC_LEN]);
        match URL_SAFE_NO_PAD.decode_slice(text, &mut *bytes) {
            Ok(n) if n == bytes.len() => Ok(Parsed(bytes)),
            _ => Err("not unpadded base64url".to_owned()),
        }
    }

    /// The secret: the first 32 bytes.
    pub fn secret(&self) -> &[u8] {
        &self.0[..SECRET_LEN]
    }
}

/// Looks for the path that the token was signed for; gives it, and whether a retired key signed it.
///
/// `keys` are tried in order; all but the first are retired ones. Every path is tried alone and,
/// if there is a code, with the code.
pub fn verify<'a>(
    keys: &[SigningKey],
    token: &Parsed,
    paths: &[&'a str],
    code: Option<&str>,
) -> Option<(&'a str, bool)> {
    for (index, key) in keys.iter().enumerate() {
        for &path in paths {
            if key.signed(token, path, None) || code.is_some() && key.signed(token, path, code) {
                return Some((path, index > 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "cafebabecafebabecafebabecafebabecafebabecafebabecafebabecafebabe";

    fn key() -> SigningKey {
        SigningKey::from_hex(KEY).unwrap()
    }

    #[test]
    fn a_token_is_the_base64url_of_secret_and_mac() {
        // Computed with Python's hmac, hashlib and base64 modules.
        let secret: Vec<u8> = (0..32).collect();
        let activation = key().signer().sign("/activate", false, &secret, None).unwrap();
        assert_eq!(activation, ACTIVATION);
        let recovery = key().signer().sign("/recover", true, &secret, Some("01234")).unwrap();
        assert_eq!(recovery, RECOVERY);
        assert_eq!(activation.len(), TOKEN_LEN);
    }

    const ACTIVATION: &str =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh_Ri3Yy9eHzSYzQ27mlxgmLvANFsuUMXQadIzL8Ldn_vg";
    const RECOVERY: &str =
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9i5OlN1SlaXoECDwHhTfKVusWAe9V0mmmeiRqSVmnb5A";

    #[test]
    fn a_token_verifies_for_its_own_path_and_code_only() {
        let secret = [7; 32];
        let token = key().signer().sign("/recover", true, &secret, Some("12345")).unwrap();
        let parsed = Parsed::from_text(&token).unwrap();
        assert_eq!(parsed.secret(), secret);
        let paths = ["/activate", "/recover"];
        let found = verify(&[key()], &parsed, &paths, Some("12345"));
        assert_eq!(found, Some(("/recover", false)));
        assert_eq!(verify(&[key()], &parsed, &paths, Some("12346")), None);
        assert_eq!(verify(&[key()], &parsed, &paths, None), None);
        assert_eq!(verify(&[key()], &parsed, &["/activate"], Some("12345")), None);
    }

    #[test]
    fn a_retired_key_still_verifies_and_says_so() {
        let new = SigningKey::from_hex(&"ab".repeat(32)).unwrap();
        let token = key().signer().sign("/activate", false, &[1; 32], None).unwrap();
        let parsed = Parsed::from_text(&token).unwrap();
        assert_eq!(verify(std::slice::from_ref(&new), &parsed, &["/activate"], None), None);
        assert!(verify(&[new, key()], &parsed, &["/activate"], None).unwrap().1);
    }

    #[test]
    fn a_changed_character_makes_a_token_invalid() {
        let token = key().signer().sign("/activate", false, &[1; 32], None).unwrap();
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let valid = Parsed::from_text(&changed)
                .is_ok_and(|token| verify(&[key()], &token, &["/activate"], None).is_some());
            assert!(!valid, "character {index}");
        }
    }

    #[test]
    fn rows_that_cannot_be_signed_say_why_without_their_content() {
        let sign = |secret: &[u8], code| key().signer().sign("/recover", true, secret, code);
        let why = |secret: &[u8], code| sign(secret, code).unwrap_err();
        assert!(why(&[0; 16], Some("12345")).contains("16 bytes"));
        assert!(why(&[0; 32], None).contains("missing"));
        for code in ["#####", "1234", "123456", "١٢٣٤٥", ""] {
            let why = why(&[0; 32], Some(code));
            assert!(why.contains("not five digits"), "{why}");
            assert!(code.is_empty() || !why.contains(code));
        }
        // Where the code is not signed it does not matter.
        assert!(key().signer().sign("/activate", false, &[0; 32], Some("#####")).is_ok());
    }

    #[test]
    fn a_key_that_is_not_64_digits_is_refused_without_showing_it() {
        for text in ["", "abc", &"ab".repeat(31), &"zz".repeat(32), &"ab".repeat(33)] {
            let why = SigningKey::from_hex(text).err().unwrap();
            assert!(text.is_empty() || !why.contains(text));
        }
        assert_eq!(
            SigningKey::from_hex(&"zz".repeat(32)).err().as_deref(),
            Some("character 1 is no hexadecimal digit")
        );
        assert!(SigningKey::from_hex(&"AB".repeat(32)).is_ok());
    }
}
