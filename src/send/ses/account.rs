//! What the provider allows this account.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html>

use crate::mail::model::Quota;
use crate::send::ses::client::{Client, Refused};
use ::http::Method;
use serde_json::Value;

/// What SES says of this account; needs the permission ses:GetAccount.
///
/// # Errors
/// As [`Client::ask`].
pub fn account(client: &mut Client) -> Result<Value, Refused> {
    client.ask(&Method::GET, "/v2/email/account", None)
}

/// Its quota, if it says one. `Max24HourSend` is -1 where there is no limit.
pub fn quota(account: &Value) -> Option<Quota> {
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
        let read = |of: Value| quota(&json!({ "SendQuota": of }));
        let sandbox = json!({"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 50.0});
        let wanted = Quota { rate: Some(1.0), daily: Some(200), left: Some(150) };
        assert_eq!(read(sandbox), Some(wanted));
        let free = json!({"Max24HourSend": -1, "MaxSendRate": 14, "SentLast24Hours": 9});
        assert_eq!(read(free), Some(Quota { rate: Some(14.0), daily: None, left: None }));
        let over = json!({"Max24HourSend": 10, "SentLast24Hours": 11});
        assert_eq!(read(over), Some(Quota { rate: None, daily: Some(10), left: Some(0) }));
        assert_eq!(quota(&json!({})), None);
    }
}
