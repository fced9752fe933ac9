//! CloudEvents: what `collect` writes is read by the SDK of others and by `send`, and gets through
//! a broker and back.

mod broker;
mod input;
mod kafka;

use crate::support::cluster::Database;
use crate::support::program::Program;
use crate::support::python;
use crate::support::records::token;
use serde_json::{Value, json};

/// An activation for `name@example.com`, as `collect` writes it.
fn event(name: &str, number: u32) -> Value {
    json!({
        "specversion": "1.0",
        "id": number.to_string(),
        "source": "/mailroom/mailroom",
        "type": "mailroom.message",
        "subject": "1",
        "datacontenttype": "application/json",
        "data": {
            "action": 1, "email": format!("{name}@example.com"), "login": name,
            "secret": token(number), "code": "",
        },
    })
}

fn collect(database: &Database) -> Program {
    Program::collect(database).env("MAILROOM_FORMAT", "cloudevents")
}

#[test]
fn the_sdk_of_cloudevents_reads_what_collect_writes() {
    let database = Database::empty();
    mailroom::queue::schema::up(&mut database.client()).unwrap();
    let queue = "Post & Büro/1";
    database.run(&format!("ALTER TYPE job_type ADD VALUE '{queue}'"));
    database.run(&format!(
        "INSERT INTO jobs (job_type) VALUES ('{queue}');
         UPDATE kinds SET queue = '{queue}';
         INSERT INTO accounts (email, login) VALUES ('john@example.com', E'a,\"b\\n\\u2028\\U0001F600')"
    ));
    database.recovery("jane");
    let collect = collect(&database).env("MAILROOM_QUEUE_NAME", queue).start();
    let lines = collect.wait_lines(2);
    assert_eq!(collect.stop().code, Some(0));
    let answers = python::ask("tests/events/cloudevents_reads.py", &json!(lines));
    let [recovery, activation] = answers.as_array().unwrap().as_slice() else {
        panic!("{answers}")
    };
    let attributes = |event: &Value| {
        let mut event = event.clone();
        event["data"]["secret"] = Value::Null;
        event["data"]["code"] = Value::Null;
        event
    };
    let expected = |id: &str, action: u16, email: &str, login: &str| {
        json!({
            "specversion": "1.0", "id": id, "source": "/mailroom/Post%20%26%20B%C3%BCro%2F1",
            "type": "mailroom.message", "subject": action.to_string(),
            "datacontenttype": "application/json",
            "data": { "action": action, "email": email, "login": login,
                      "secret": null, "code": null },
        })
    };
    let ids = "SELECT id FROM deliveries JOIN tokens USING (id) WHERE action = ";
    let john = database.number(&format!("{ids} 'activation'")).to_string();
    let jane = database.number(&format!("{ids} 'password_recovery'")).to_string();
    let login = "a,\"b\n\u{2028}\u{1F600}";
    assert_eq!(attributes(activation), expected(&john, 1, "john@example.com", login));
    assert_eq!(attributes(recovery), expected(&jane, 2, "jane@example.com", "jane"));
    for event in [activation, recovery] {
        let length = |name: &str| event["data"][name].as_str().unwrap().len();
        assert_eq!((length("secret"), length("code")), (86, 5));
    }
}
