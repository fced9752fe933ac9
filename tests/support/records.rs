//! Records of the wire for `send`, written by hand: valid tokens, and quoting by the csv crate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A well-formed token, another one for every number.
pub fn token(number: u32) -> String {
    let mut bytes = [0x5a; 64];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The five fields of an activation for `name@example.com`.
pub fn activation(name: &str, number: u32) -> [String; 5] {
    ["1".to_owned(), format!("{name}@example.com"), name.to_owned(), token(number), String::new()]
}

/// Fields as one record, ended by a line feed.
pub fn record<F: AsRef<[u8]>>(fields: impl IntoIterator<Item = F>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    writer.write_record(fields).unwrap();
    writer.into_inner().unwrap()
}

/// A record of `count` activations for `name1@example.com`, …
pub fn activations(name: &str, count: u32) -> Vec<u8> {
    record((1..=count).flat_map(|n| activation(&format!("{name}{n}"), n)))
}
