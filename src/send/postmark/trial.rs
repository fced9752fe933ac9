//! Trying a token and templates without sending anything.
//! <https://postmarkapp.com/developer/api/server-api> and
//! <https://postmarkapp.com/developer/api/templates-api#get-template>

use crate::edges::http::Http;
use http::Request;
use serde_json::Value;
use zeroize::Zeroizing;

/// Asks, and changes nothing.
pub struct Trial {
    /// Where Postmark is, without a slash at the end.
    pub url: String,
    /// The server's API token.
    pub token: Zeroizing<String>,
    /// The way there.
    pub http: Http,
}

/// What Postmark said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is there: its parts as JSON.
    Good(Value),
    /// It refuses the token.
    Refused(String),
    /// It knows no such thing.
    Missing(String),
    /// It gave no answer, or one that says nothing: why.
    None(String),
}

impl Trial {
    /// What the token's server is; any server token may ask.
    pub fn server(&self) -> Answer {
        self.get("/server")
    }

    /// A template by its alias, which needs no escaping.
    pub fn template(&self, alias: &str) -> Answer {
        self.get(&format!("/templates/{alias}"))
    }

    fn get(&self, path: &str) -> Answer {
        let request = Request::get(format!("{}{path}", self.url))
            .header("accept", "application/json")
            .header("x-postmark-server-token", self.token.as_str())
            .body(Vec::new());
        // The error could quote the token.
        let Ok(request) = request else {
            return Answer::Refused("the token cannot stand in a header".to_owned());
        };
        let reply = match self.http.call(request) {
            Ok(reply) => reply,
            Err(fault) => return Answer::None(fault.why),
        };
        let body = serde_json::from_slice::<Value>(&reply.body).unwrap_or_default();
        let said = body.get("Message").and_then(Value::as_str).unwrap_or_default();
        let status = reply.status.as_u16();
        let why = match said {
            "" => format!("HTTP {status}"),
            said => said.chars().take(200).collect(),
        };
        // 1101: there is no such template. <https://postmarkapp.com/developer/api/overview>
        match (status, body.get("ErrorCode").and_then(Value::as_u64)) {
            (200, _) if body.is_object() => Answer::Good(body),
            (401 | 403, _) => Answer::Refused(why),
            (404, _) | (_, Some(1101)) => Answer::Missing(why),
            _ => Answer::None(why),
        }
    }
}
