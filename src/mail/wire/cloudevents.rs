//! Messages as CloudEvents 1.0 in JSON, one object a line; and back.
//!
//! In scope: what an event must have to be one of ours, and its message. A line is read as
//! strictly as a CSV record, and one that is bad is kept as CSV. Out of scope: batches, for there
//! are none here, and brokers.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use crate::mail::model::{Kind, List, Message, Ticket};
use crate::mail::wire::{CUT, Decode, NO_ACTION, RECORD_LIMIT, Record, checked, fields};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use std::fmt;

/// The attribute `type` of a mail,
pub const TYPE: &str = "mailroom.message";
/// and of what has no recipient.
pub const EVENT: &str = "mailroom.event";

/// What stands for itself in a URI: <https://www.rfc-editor.org/rfc/rfc3986#section-2.3>
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Writes each message as one event on a line of its own, at the end of `out`.
///
/// `id` is the delivery, so that an event that is written again can be told: the pair of `source`
/// and `id` is the same. A message without a recipient is no mail: its data is all there is of it.
pub fn encode(messages: &[Message], queue: &str, out: &mut Vec<u8>) {
    // `source` must be a URI reference.
    let source = format!("/mailroom/{}", utf8_percent_encode(queue, UNRESERVED));
    for message in messages {
        let id = message.ticket.as_ref().map(|ticket| ticket.delivery).unwrap_or_default();
        let kind = &message.kind;
        let subject = kind.number.map_or_else(|| kind.name.to_string(), |n| n.to_string());
        let (of, data) = match message.email.is_empty() {
            true => (EVENT, own_data(message).unwrap_or_else(|| json!({}))),
            false => (TYPE, mail(message)),
        };
        let event = json!({
            "specversion": "1.0",
            "id": id.to_string(),
            "source": source,
            "type": of,
            "subject": subject,
            "datacontenttype": "application/json",
            "data": data,
        });
        out.extend_from_slice(event.to_string().as_bytes());
        out.push(b'\n');
    }
}

/// What an event says of a mail: the five fields, and what else there is.
fn mail(message: &Message) -> Value {
    let Message { kind, email, login, token, code, locale, reply_to, .. } = message;
    let mut data = json!({ "email": email, "login": login, "secret": token, "code": code });
    // With a number and a token it is as it would be in CSV.
    let named = kind.number.is_none() || token.is_empty();
    let more = [
        ("action", json!(kind.number)),
        ("kind", json!(named.then_some(&*kind.name))),
        ("template", json!(kind.template.as_ref().filter(|_| named))),
        ("sender", json!(kind.sender)),
        ("locale", json!(locale)),
        ("reply_to", json!(reply_to)),
        ("data", json!(own_data(message))),
        ("list", json!(message.list)),
    ];
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
        data[name] = value;
    }
    data
}

fn own_data(message: &Message) -> Option<Value> {
    serde_json::from_str(message.data.as_deref()?).ok()
}

/// Reads events from bytes as they come.
#[derive(Default)]
pub struct Decoder {
    /// The line so far; of one that is too long, the beginning.
    line: Vec<u8>,
    /// Lines that ended.
    ended: u64,
}

impl Decode for Decoder {
    /// Empty lines are no records.
    fn push(&mut self, input: &[u8]) -> (usize, Option<Record>) {
        let end = input.iter().position(|&byte| byte == b'\n');
        let piece = &input[..end.unwrap_or(input.len())];
        let room = RECORD_LIMIT + 1 - self.line.len();
        self.line.extend_from_slice(&piece[..piece.len().min(room)]);
        let Some(end) = end else { return (input.len(), None) };
        self.ended += 1;
        let record = match self.line.trim_ascii() {
            [] => None,
            _ if self.line.len() > RECORD_LIMIT => {
                let why = format!("longer than {RECORD_LIMIT} bytes; only the line is left out");
                Some(Record::bad(self.ended, why, Vec::new()))
            }
            line => Some(read(self.ended, line)),
        };
        self.line.clear();
        (end + 1, record)
    }

    fn finish(&mut self) -> Option<Record> {
        let cut = !std::mem::take(&mut self.line).trim_ascii().is_empty();
        cut.then(|| Record::bad(self.ended + 1, CUT, Vec::new()))
    }

    fn is_batch(&self) -> bool {
        false
    }
}

/// Reads one line. A bad one is kept as a record of CSV with one field: the line as it was.
pub(crate) fn read(number: u64, line: &[u8]) -> Record {
    match message(line).and_then(checked) {
        Ok(message) => Record { number, good: vec![(1, message)], bad: Vec::new() },
        Err(why) => Record::bad(number, why, fields::record([line])),
    }
}

/// A message for a person to keep, as a record of CSV: the five fields, or, if it has more than these,
/// its event in one.
pub fn kept(message: &Message) -> Vec<u8> {
    let Message { kind, locale, data, reply_to, list, .. } = message;
    let more =
        list.is_some() || [locale, data, reply_to, &kind.sender].into_iter().any(Option::is_some);
    let (one, mut out) = (std::slice::from_ref(message), Vec::new());
    if kind.number.is_some() && !message.token.is_empty() && !more {
        fields::encode(one, &mut out);
        return out;
    }
    encode(one, "undelivered", &mut out);
    fields::record([out.trim_ascii_end()])
}

/// The message that an event holds; it is not checked.
fn message(line: &[u8]) -> Result<Message, String> {
    let text = std::str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    let Json(event) = serde_json::from_str(text).map_err(|error| match error.is_data() {
        // Ours, but for its place in the line.
        true => error.to_string().split(" at line").next().unwrap_or_default().to_owned(),
        // Not in serde_json's own words: they may quote the line.
        false => {
            let hint = "; to read CSV: set MAILROOM_FORMAT=csv";
            let hint = if text.starts_with('{') { "" } else { hint };
            let (what, column) = (error.classify(), error.column());
            format!("is not a JSON object: {what:?} at byte {column}{hint}")
        }
    })?;
    let Value::Object(event) = event else { return Err("is not a JSON object".to_owned()) };
    for (name, needed) in [("specversion", "1.0"), ("id", ""), ("source", ""), ("type", TYPE)] {
        match event.get(name).map(|value| value.as_str().unwrap_or_default()) {
            None => return Err(format!("lacks {name}, which every CloudEvents event has")),
            Some("") => return Err(format!("the attribute {name} is not a text, or empty")),
            Some(text) if !needed.is_empty() && text != needed => {
                return Err(format!("the {name} is not {needed}"));
            }
            Some(_) => {}
        }
    }
    // An attribute that is null is as if it were not there.
    let set = |name| event.get(name).filter(|value| !value.is_null());
    if set("datacontenttype").is_some_and(|found| !found.as_str().is_some_and(is_json)) {
        return Err("the datacontenttype is not application/json".to_owned());
    }
    if set("data_base64").is_some() {
        let both = if event.contains_key("data") { "both data and " } else { "" };
        return Err(format!("has {both}data_base64; the message must be an object in data alone"));
    }
    let Some(Value::Object(data)) = event.get("data") else {
        return Err("its data is not an object".to_owned());
    };
    let text = |name: &str| match data.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(format!("the {name} is not a text")),
        None => Err(format!("its data lacks {name}")),
    };
    let optional = |name: &str| data.contains_key(name).then(|| text(name)).transpose();
    let number = match data.get("action") {
        None if data.contains_key("kind") => None,
        action => {
            let number = action.filter(|action| action.is_number()).map(Value::to_string);
            Some(number.and_then(|number| Kind::parse_number(&number)).ok_or(NO_ACTION)?)
        }
    };
    let mut kind = number.map(Kind::numbered).unwrap_or_default();
    if let Some(name) = optional("kind")? {
        // Its own name, but no provider's names have dots.
        kind.template = Some(optional("template")?.unwrap_or_else(|| name.replace('.', "-")));
        kind.name = name.into();
    }
    kind.sender = optional("sender")?;
    let own = match data.get("data") {
        Some(own @ Value::Object(_)) => Some(own.to_string()),
        Some(_) => return Err("the data of its data is not an object".to_owned()),
        None => None,
    };
    let unfit = "the list is not an id and a link to unsubscribe";
    let list = data.get("list").map(|list| list_of(list).ok_or(unfit)).transpose()?;
    Ok(Message {
        kind: kind.into(),
        email: text("email")?,
        login: text("login")?,
        token: text("secret")?,
        code: text("code")?,
        locale: optional("locale")?,
        data: own,
        reply_to: optional("reply_to")?,
        list,
        ticket: delivery(event.get("id")),
    })
}

/// Both end up in headers: one line each, and nothing that ends a link.
fn list_of(value: &Value) -> Option<List> {
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>');
    let text = |name: &str| value.get(name)?.as_str().filter(|text| text.chars().all(fits));
    let unsubscribe = text("unsubscribe").filter(|link| link.starts_with("https://"))?;
    Some(List { id: text("id")?.to_owned(), unsubscribe: unsubscribe.to_owned() })
}

/// The delivery that an event's `id` names, under no lease of ours; `None`: it is from elsewhere.
fn delivery(id: Option<&Value>) -> Option<Ticket> {
    let delivery = id?.as_str()?.parse().ok().filter(|id| *id > 0)?;
    Some(Ticket { delivery, lease: "".into(), attempts: 0, age: None })
}

/// A JSON value without a key that stands twice in one object: readers differ in which value they
/// take. <https://www.rfc-editor.org/rfc/rfc8259#section-4>
struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Json, D::Error> {
        from.deserialize_any(Unique).map(Json)
    }
}

struct Unique;

/// Values that are what they are.
macro_rules! plain {
    ($($visit:ident: $of:ty),*) => {
        $(fn $visit<E>(self, value: $of) -> Result<Value, E> { Ok(value.into()) })*
    };
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Json(value))) = map.next_entry::<String, Json>()? {
            if object.contains_key(&key) {
                let what = format!("has the key {} twice in one object", named(&key));
                return Err(A::Error::custom(what));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Value, A::Error> {
        let values = Vec::<Json>::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(values.into_iter().map(|Json(value)| value).collect())
    }

    plain!(visit_str: &str, visit_u64: u64, visit_i64: i64, visit_f64: f64, visit_bool: bool);

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// A key as it may stand in the log: whole if it is a name, for it could be anything.
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#attribute-naming-convention>
fn named(key: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_name = key.len() <= 20 && key.chars().all(plain);
    if is_name { format!("{key:?}") } else { "\"…\"".to_owned() }
}

/// Whether a media type, with or without parameters, is JSON's.
fn is_json(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}
