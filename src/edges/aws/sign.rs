//! Signature Version 4, or 4A where any region may answer, over a request just before it is sent.
//!
//! In scope: the headers that make a request ours. Out of scope: sending it; the body must be sent
//! exactly as it is signed.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>

use crate::edges::aws::endpoint::ANY;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningParams, SigningSettings};
use aws_sigv4::sign::{v4, v4a};
use http::Request;
use std::time::SystemTime;

/// Adds `x-amz-date`, `x-amz-security-token` (for temporary credentials), `x-amz-region-set` (for any
/// region) and `authorization`.
///
/// `time` is the provider's time as far as it is known; `service` is `ses` for SES v2.
///
/// # Errors
/// The request has a header that is not text.
pub fn sign(
    request: &mut Request<Vec<u8>>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    time: SystemTime,
) -> Result<(), String> {
    let identity = credentials.clone().into();
    let settings = SigningSettings::default();
    let parameters: SigningParams<'_> = match region {
        ANY => v4a::SigningParams::builder()
            .identity(&identity)
            .region_set(ANY)
            .name(service)
            .time(time)
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into(),
        region => v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(service)
            .time(time)
            .settings(settings)
            .build()
            .map_err(|error| error.to_string())?
            .into(),
    };
    let mut headers = Vec::with_capacity(request.headers().len());
    for (name, value) in request.headers() {
        let value = value.to_str().map_err(|_| format!("the header {name} is not text"))?;
        headers.push((name.as_str(), value));
    }
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )
    .map_err(|error| error.to_string())?;
    let signed = aws_sigv4::http_request::sign(signable, &parameters);
    let (instructions, _) = signed.map_err(|error| error.to_string())?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}
