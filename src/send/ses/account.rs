//! What the provider allows this account.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html>

use crate::mail::model::Quota;
use crate::send::ses::client::{Client, Refused};
use ::http::Method;
use serde_json::Value;

/// What SES says of an account. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// The quota.
    pub quota: Option<Quota>,
    /// Whether it may send in this region.
    pub sending: Option<bool>,
    /// Whether it is out of the sandbox.
    pub production: Option<bool>,
    /// `HEALTHY`, `PROBATION` or `SHUTDOWN`.
    pub standing: Option<String>,
}

/// Asks about the account; needs the permission ses:GetAccount.
///
/// # Errors
/// As [`Client::ask`].
pub fn account(client: &mut Client) -> Result<Account, Refused> {
    let account = client.ask(&Method::GET, "/v2/email/account", None)?;
    let flag = |name: &str| account.get(name).and_then(Value::as_bool);
    Ok(Account {
        quota: read(&account),
        sending: flag("SendingEnabled"),
        production: flag("ProductionAccessEnabled"),
        standing: account.get("EnforcementStatus").and_then(Value::as_str).map(str::to_owned),
    })
}

/// Asks for the account's quota; needs the permission ses:GetAccount.
///
/// # Errors
/// As [`Client::ask`]; an answer without a quota is one too.
pub fn quota(client: &mut Client) -> Result<Quota, Refused> {
    account(client)?.quota.ok_or_else(|| Refused {
        status: Some(200),
        code: String::new(),
        text: "the reply has no SendQuota".to_owned(),
    })
}

/// `Max24HourSend` is -1 where there is no limit.
fn read(account: &Value) -> Option<Quota> {
    let quota = account.get("SendQuota")?;
    let number = |name: &str| quota.get(name).and_then(Value::as_f64).filter(|n| n.is_finite());
    let daily = number("Max24HourSend").filter(|most| *most >= 0.0);
    let sent = number("SentLast24Hours").unwrap_or(0.0).max(0.0);
    Some(Quota {
        rate: number("MaxSendRate").filter(|rate| *rate > 0.0),
        daily: daily.map(|most| most as u64),
        left: daily.map(|most| (most - sent).max(0.0) as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quota_is_read_and_what_is_missing_or_unlimited_is_no_limit() {
        let read = |quota: Value| read(&json!({ "SendQuota": quota }));
        let sandbox = json!({"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 50.0});
        let quota = Quota { rate: Some(1.0), daily: Some(200), left: Some(150) };
        assert_eq!(read(sandbox), Some(quota));
        let free = json!({"Max24HourSend": -1, "MaxSendRate": 14, "SentLast24Hours": 9});
        assert_eq!(read(free), Some(Quota { rate: Some(14.0), daily: None, left: None }));
        let over = json!({"Max24HourSend": 10, "SentLast24Hours": 11});
        assert_eq!(read(over), Some(Quota { rate: None, daily: Some(10), left: Some(0) }));
        assert_eq!(super::read(&json!({})), None);
    }
}
