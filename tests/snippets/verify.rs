use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

pub fn verify(key: &[u8; 32], token: &str, path: &str, code: &str) -> Option<[u8; 32]> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (secret, mac) = bytes.split_first_chunk::<32>()?;
    let signed = [path.as_bytes(), secret, code.as_bytes()].concat();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), &signed, mac).ok()?;
    Some(*secret)
}
