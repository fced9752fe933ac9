//! The JSON of `SendBulkEmail`: the body of a call, and the results in its reply.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

use crate::mail::kind::{data, empty_data};
use crate::mail::model::Message;
use crate::mail::recipient;
use serde::Deserialize;
use serde_json::{Value, json};

/// What of the account mails go through; each may be empty: none.
#[derive(Clone, Debug, Default)]
pub struct Through {
    /// The configuration set.
    pub config_set: String,
    /// The tenant, which the identity, the configuration set and the templates must belong to.
    pub tenant: String,
}

/// The body of a call.
pub(crate) fn body(
    from: &str,
    through: &Through,
    template: &str,
    messages: &[&Message],
) -> Vec<u8> {
    let entry = |message: &&Message| {
        let mut entry = json!({
            "Destination": { "ToAddresses": [recipient::wire(&message.email)] },
            "ReplacementEmailContent": {
                "ReplacementTemplate": { "ReplacementTemplateData": data(message).to_string() },
            },
        });
        if let Some(list) = &message.list {
            let headers =
                list.headers().map(|(name, value)| json!({ "Name": name, "Value": value }));
            entry["ReplacementHeaders"] = headers.to_vec().into();
        }
        entry
    };
    let mut call = json!({
        "BulkEmailEntries": messages.iter().map(entry).collect::<Vec<Value>>(),
        "DefaultContent": {
            "Template": { "TemplateData": empty_data(), "TemplateName": template },
        },
        "FromEmailAddress": from,
    });
    if let Some(reply_to) = messages.first().and_then(|message| message.reply_to.as_ref()) {
        call["ReplyToAddresses"] = json!([recipient::wire(reply_to)]);
    }
    let Through { config_set, tenant } = through;
    for (name, value) in [("ConfigurationSetName", config_set), ("TenantName", tenant)] {
        if !value.is_empty() {
            call[name] = value.as_str().into();
        }
    }
    call.to_string().into_bytes()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    bulk_email_entry_results: Vec<EntryResult>,
}

/// What SES says of one message.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct EntryResult {
    /// `SUCCESS`, or in a word why not.
    pub(crate) status: Option<String>,
    /// The same for people.
    pub(crate) error: Option<String>,
    /// SES's id of the mail.
    pub(crate) message_id: Option<String>,
}

/// The results in the body of a reply, one for each message; `None`: it has none.
pub(crate) fn results(body: &[u8]) -> Option<Vec<EntryResult>> {
    let reply: Reply = serde_json::from_slice(body).ok()?;
    Some(reply.bulk_email_entry_results)
}
