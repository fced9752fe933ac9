//! What Postmark does with `batchWithTemplates`, for the scripted endpoint.

use super::endpoint::{Mail, Request};
use serde_json::{Value, json};

/// The path of the call.
pub const PATH: &str = "/email/batchWithTemplates";
/// The only API token that is taken.
pub const API_TOKEN: &str = "11111111-2222-3333-4444-555555555555";

/// Remembers the mails and gives the status and body of the reply. A status of the script is an
/// error code; `SUCCESS` is none.
pub fn accept(
    request: &Request,
    statuses: &[(&'static str, &'static str)],
    mails: &mut Vec<Mail>,
) -> (u16, Value) {
    if request.header("x-postmark-server-token") != Some(API_TOKEN) {
        return (401, json!({ "ErrorCode": 10, "Message": "No Account or Server API tokens" }));
    }
    let json = Some("application/json");
    if request.header("accept") != json || request.header("content-type") != json {
        return (422, json!({ "ErrorCode": 409, "Message": "JSON required" }));
    }
    let body = request.json();
    let messages = body["Messages"].as_array().unwrap();
    if messages.len() > 500 {
        return (422, json!({ "ErrorCode": 410, "Message": "Too many batch messages" }));
    }
    let mut results = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let to = message["To"].as_str().unwrap();
        let (status, error) = *statuses.get(index).unwrap_or(&("SUCCESS", "OK"));
        if status != "SUCCESS" {
            let code: u64 = status.parse().unwrap();
            results.push(json!({ "ErrorCode": code, "Message": error }));
            continue;
        }
        let id = format!("pm-{:06}", mails.len() + 1);
        mails.push(Mail {
            to: to.to_owned(),
            template: message["TemplateAlias"].as_str().unwrap().to_owned(),
            data: message["TemplateModel"].clone(),
            id: id.clone(),
        });
        results.push(json!({ "ErrorCode": 0, "Message": "OK", "MessageID": id, "To": to }));
    }
    (200, Value::from(results))
}
