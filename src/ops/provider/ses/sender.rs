//! What a mail is sent from: the identity of its sender, and the configuration set.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetEmailIdentity.html>,
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetConfigurationSet.html>

use crate::ops::provider::ses::calls::{Calls, encoded};
use crate::send::ses::client::Refused;
use http::Method;
use serde_json::Value;

/// The identities that may stand for an address, the address first: a domain stands for those below
/// it, an address for itself with a label behind `+`.
/// <https://docs.aws.amazon.com/ses/latest/dg/creating-identities.html>
pub fn identities(address: &str) -> Vec<String> {
    let (local, domain) = address.rsplit_once('@').unwrap_or(("", address));
    let domain = domain.to_ascii_lowercase();
    let mut found = vec![format!("{local}@{domain}")];
    found.extend(local.split_once('+').map(|(name, _)| format!("{name}@{domain}")));
    let mut rest = domain.as_str();
    loop {
        found.push(rest.to_owned());
        match rest.split_once('.') {
            Some((_, above)) if above.contains('.') => rest = above,
            _ => return found,
        }
    }
}

/// Whether mail may be sent from an identity; `None`: there is no such one. Needs the permission
/// ses:GetEmailIdentity.
///
/// # Errors
/// As [`Calls::ask`].
pub fn identity(calls: &mut Calls, name: &str) -> Result<Option<bool>, Refused> {
    let path = format!("/v2/email/identities/{}", encoded(name));
    found(calls.ask(&Method::GET, &path, None), "/VerifiedForSendingStatus")
}

/// Whether mail may be sent with a configuration set; `None`: there is no such one. Needs the
/// permission ses:GetConfigurationSet.
///
/// # Errors
/// As [`Calls::ask`].
pub fn configuration_set(calls: &mut Calls, name: &str) -> Result<Option<bool>, Refused> {
    let path = format!("/v2/email/configuration-sets/{}", encoded(name));
    found(calls.ask(&Method::GET, &path, None), "/SendingOptions/SendingEnabled")
}

/// Whether what was asked for is allowed, where nothing is said against it. Only SES's own word
/// counts for its not being there: another server may not know the call.
fn found(answer: Result<Value, Refused>, flag: &str) -> Result<Option<bool>, Refused> {
    match answer {
        Ok(body) => Ok(Some(body.pointer(flag).and_then(Value::as_bool).unwrap_or(true))),
        Err(refused) if refused.code == "NotFoundException" => Ok(None),
        Err(refused) => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_allowed_by_itself_or_by_a_domain_above_it() {
        assert_eq!(
            identities("No.Reply+x@Mail.Example.co.uk"),
            [
                "No.Reply+x@mail.example.co.uk",
                "No.Reply@mail.example.co.uk",
                "mail.example.co.uk",
                "example.co.uk",
                "co.uk"
            ]
        );
        assert_eq!(identities("a@localhost"), ["a@localhost", "localhost"]);
    }
}
