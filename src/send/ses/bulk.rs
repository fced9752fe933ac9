//! The JSON of `SendBulkEmail`: the body of a call, and the results in its reply.
//! <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html>

use crate::mail::kind::{EMPTY_DATA, data_text};
use crate::mail::model::Message;
use crate::mail::recipient;
use crate::send::calls::headers;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// What of the account mails go through; each may be empty: none.
#[derive(Clone, Debug, Default)]
pub struct Through {
    /// The configuration set.
    pub config_set: String,
    /// The tenant, which the identity, the configuration set and the templates must belong to.
    pub tenant: String,
    /// The id of the endpoint of several regions that the call is made to.
    pub endpoint_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Call<'a> {
    bulk_email_entries: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    configuration_set_name: &'a str,
    default_content: Object<Template<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    endpoint_id: &'a str,
    from_email_address: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to_addresses: Option<[Cow<'a, str>; 1]>,
    #[serde(skip_serializing_if = "str::is_empty")]
    tenant_name: &'a str,
}

/// An object with one member.
#[derive(Serialize)]
enum Object<T> {
    Template(T),
    ToAddresses(T),
    ReplacementTemplate(T),
    ReplacementTemplateData(T),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Template<'a> {
    template_data: &'a str,
    template_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    destination: Object<[Cow<'a, str>; 1]>,
    replacement_email_content: Object<Object<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replacement_headers: Vec<Value>,
}

fn entry<'a>(message: &&'a Message) -> Entry<'a> {
    let own = Object::ReplacementTemplateData(data_text(message));
    Entry {
        destination: Object::ToAddresses([recipient::wire(&message.email)]),
        replacement_email_content: Object::ReplacementTemplate(own),
        replacement_headers: message.list.iter().flat_map(headers).collect(),
    }
}

/// The body of a call.
pub(crate) fn body(
    from: &str,
    through: &Through,
    template: &str,
    messages: &[&Message],
) -> Vec<u8> {
    let reply_to = messages.first().and_then(|message| message.reply_to.as_ref());
    let template = Template { template_data: EMPTY_DATA, template_name: template };
    let call = Call {
        bulk_email_entries: messages.iter().map(entry).collect(),
        configuration_set_name: &through.config_set,
        default_content: Object::Template(template),
        endpoint_id: &through.endpoint_id,
        from_email_address: from,
        reply_to_addresses: reply_to.map(|reply_to| [recipient::wire(reply_to)]),
        tenant_name: &through.tenant,
    };
    // It has a form in JSON: texts and lists of them, with names that are texts.
    serde_json::to_vec(&call).unwrap_or_default()
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
