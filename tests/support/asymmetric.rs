//! Whether a request is signed for any region (SigV4A), by others' words: the headers are those of the
//! AWS common runtime, what is signed is put together by botocore, and both signatures are ring's to
//! verify, by the public key that AWS publishes for these credentials.

use super::python;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use serde_json::json;

/// The credentials of AWS's test suite for signers.
pub const ID: &str = "AKIDEXAMPLE";
/// Their secret.
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// X and Y of the key that is made of both: `public-key.json` of that suite.
/// <https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4a>
const KEY: &str = "b6618f6a65740a99e650b33b6b4b5bd0d43b176d721a3edfea7e7d2d56d936b1\
                   865ed22a7eadc9c5cb9d2cbaca1b3699139fedc5043dc6661864218330c8e518";

/// A request that we signed.
pub struct Signed<'a> {
    pub method: &'a str,
    pub url: &'a str,
    /// The headers that it had before.
    pub given: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    pub token: Option<&'a str>,
    pub service: &'a str,
    /// All that it had then.
    pub headers: &'a [(String, String)],
}

/// Fails unless it is signed as it must be; `name` says which one it is.
pub fn prove(signed: &Signed, name: &str) {
    use base64::Engine;
    let header = |wanted: &str| {
        let mut found = signed.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.as_str())
    };
    let asked = json!({
        "method": signed.method, "url": signed.url, "headers": signed.given,
        "body": base64::engine::general_purpose::STANDARD.encode(signed.body),
        "id": ID, "secret": SECRET, "token": signed.token, "service": signed.service,
        "date": header("x-amz-date"),
    });
    let answers =
        python::ask("tests/signature/botocore_says.py", &json!({ "asymmetric": [asked] }));
    let (theirs, text) = (&answers["asymmetric"][0]["headers"], &answers["asymmetric"][0]["text"]);
    for one in ["x-amz-date", "x-amz-region-set", "x-amz-security-token"] {
        assert_eq!(header(one), theirs[one].as_str(), "{one} of {name}");
    }
    assert_eq!(header("x-amz-region-set"), Some("*"), "{name}");
    let parts = |authorization: &str| {
        let (head, signature) = authorization.split_once(", Signature=").unwrap();
        (head.to_owned(), hex::decode(signature).unwrap())
    };
    let (our_head, ours) = parts(header("authorization").unwrap());
    let (their_head, theirs) = parts(theirs["authorization"].as_str().unwrap());
    assert_eq!(our_head, their_head, "{name}");
    let key = [vec![4], hex::decode(KEY).unwrap()].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
    for (whose, signature) in [("theirs", &theirs), ("ours", &ours)] {
        let text = text.as_str().unwrap();
        key.verify(text.as_bytes(), signature)
            .unwrap_or_else(|_| panic!("{whose}: {name}: {text}"));
        assert!(key.verify(&text.as_bytes()[1..], signature).is_err());
    }
}
