//! Credentials as a JSON object: of a metadata service, or of a credential process.

use crate::edges::aws::credentials::Found;
use serde_json::Value;
use zeroize::Zeroizing;

/// Reads `AccessKeyId`, `SecretAccessKey`, `Expiration`, and the session token under the name it
/// has there. The session token and the expiration may be missing.
///
/// # Errors
/// What is wrong with it, without any value.
pub(crate) fn read(
    body: &Zeroizing<Vec<u8>>,
    token: &str,
    source: impl Into<String>,
) -> Result<Found, String> {
    let mut value: Value = serde_json::from_slice(body).map_err(|_| "the answer is not JSON")?;
    let mut text = |name: &str| match value.get_mut(name).map(Value::take) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("{name} is not a text")),
    };
    let (id, secret) = (text("AccessKeyId")?, text("SecretAccessKey")?);
    let (token, expires) = (text(token)?, text("Expiration")?);
    Found::new(source, id, secret, token, expires.as_deref())
}
