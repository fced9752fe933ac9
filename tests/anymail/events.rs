//! The pipe: what CSV cannot say, and events that say all.

use super::{data_of, database, is_sent, mail, state};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Program, messages, wait_until};
use crate::support::rabbitmq::RabbitMq;
use serde_json::{Value, json};

fn collect(database: &Database) -> Program {
    Program::collect(database).env("MAILROOM_FORMAT", "cloudevents")
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn csv_never_carries_what_it_cannot_say() {
    let database = database();
    database.run("INSERT INTO kinds (kind, path) VALUES ('invite', '/invite')");
    let whole = "'password_recovery', 'ok@example.com', subject => 'u1'";
    let misfits = [
        mail(&database, "'invoice_ready', 'a@example.com'"),
        mail(&database, "'invite', 'b@example.com'"),
        mail(&database, "'password_recovery', 'c@example.com', '{\"a\": 1}'"),
        mail(&database, "'password_recovery', 'd@example.com', locale => 'de'"),
        mail(&database, "'password_recovery', 'e@example.com', reply_to => 'x@example.com'"),
        mail(&database, "'invoice_ready', NULL, '{\"a\": 1}'"),
    ];
    let fits = mail(&database, whole);
    let collect = Program::collect(&database).start();
    let lines = collect.wait_lines(1);
    wait_until("all were looked at", || {
        misfits.iter().all(|id| state(&database, *id).1.as_deref() == Some("format"))
    });
    wait_until("it is settled", || is_sent(&database, fits));
    let finished = collect.stop();
    assert_eq!(finished.code, Some(0));
    assert_eq!(finished.out.lines().count(), 1);
    let [[action, email, login, token, code]] = messages(&lines[0]).try_into().unwrap();
    assert_eq!((action.as_str(), email.as_str(), login.as_str()), ("2", "ok@example.com", ""));
    assert_eq!((token.len(), code.len()), (86, 5));
    for id in misfits {
        assert_eq!(state(&database, id).0, "pending");
    }
}

#[test]
fn data_that_no_reader_takes_fails_and_is_not_left_out() {
    let database = database();
    let deep = "'{\"a\": ' || repeat('[', 200) || repeat(']', 200) || '}'";
    let bad = [
        mail(&database, "'order.shipped', NULL, '{\"order\": 7, \"x\": 1e400}'"),
        mail(&database, &format!("'order.shipped', NULL, ({deep})::jsonb")),
    ];
    let good = mail(&database, "'order.shipped', NULL, '{\"order\": 8}'");
    let collect = collect(&database).start();
    let lines = collect.wait_lines(1);
    assert_eq!((parsed(&lines[0])["id"].clone(), &lines[1..]), (json!(good.to_string()), &[][..]));
    wait_until("they are settled", || database.in_state("failed") == 2);
    for id in bad {
        assert_eq!(state(&database, id), ("failed".into(), Some("unsigned".into())));
    }
    let said = "SELECT count(*) FROM deliveries WHERE error LIKE 'its data cannot be read: %'";
    assert_eq!(database.number(said), 2);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn an_event_goes_out_by_collect_and_run_leaves_it() {
    let (database, endpoint) = (database(), Endpoint::start());
    let data = "{\"order\": 7, \"lines\": [{\"sku\": \"a\\nb\"}]}";
    let id = mail(&database, &format!("'order.shipped', NULL, '{data}', key => 'order-7'"));
    let run = Program::run(&database, &endpoint.url()).start();
    wait_until("run has looked at it", || {
        state(&database, id) == ("pending".into(), Some("format".into()))
    });
    assert_eq!(run.stop().code, Some(0));
    assert!(endpoint.requests().is_empty());
    database.run("UPDATE deliveries SET due_at = now()");
    // Nobody but collect settles it, whoever settles mails.
    let collect = collect(&database).env("MAILROOM_ACK", "sent").start();
    let event = parsed(&collect.wait_lines(1)[0]);
    wait_until("it is settled", || is_sent(&database, id));
    assert_eq!(collect.stop().code, Some(0));
    assert_eq!(
        event,
        json!({
            "specversion": "1.0", "id": id.to_string(), "source": "/mailroom/mailroom",
            "type": "mailroom.event", "subject": "order.shipped",
            "datacontenttype": "application/json",
            "data": { "order": 7, "lines": [{ "sku": "a\nb" }] },
        })
    );
}

#[test]
fn an_event_goes_through_rabbitmq() {
    if !RabbitMq::is_installed() && std::env::var_os("CI").is_none() {
        eprintln!("left out: RabbitMQ is not installed; scripts/setup does it");
        return;
    }
    let (broker, database) = (RabbitMq::start(), database());
    broker.queue("events");
    let (reader, writer) = std::io::pipe().unwrap();
    let collect = collect(&database).stdout(writer).start();
    let words = ["-l", "-p", "-C", "application/cloudevents+json", "-r", "events"];
    let mut publish = broker.tool("amqp-publish", &words).stdin(reader).spawn().unwrap();
    let sql = "SELECT count(send_mail('order.shipped', NULL, jsonb_build_object('n', n)))
                 FROM generate_series(1, 20) n";
    assert_eq!(database.number(sql), 20);
    let mut numbers = Vec::new();
    wait_until("all have come", || {
        while let Some(event) = broker.get("events") {
            let event = parsed(&event);
            assert_eq!(event["type"], "mailroom.event");
            numbers.push(event["data"]["n"].as_i64().unwrap());
        }
        numbers.len() == 20
    });
    assert!(numbers.into_iter().eq(1..=20), "in their order");
    wait_until("all are settled", || database.in_state("sent") == 20);
    assert_eq!(collect.stop().code, Some(0));
    assert!(publish.wait().unwrap().success());
}

/// Mails of all sorts; how many.
fn all_sorts(database: &Database) -> usize {
    mail(
        database,
        "'invoice_ready', 'a@example.com', '{\"n\": [1, {\"x\": \"\\\"</script>\"}]}', 'pt-BR',
         reply_to => 'desk@example.com'",
    );
    mail(database, "'order.shipped', 'b@example.com', '{\"n\": 2}'");
    mail(database, "'password_recovery', 'c@example.com', '{\"n\": 3}', subject => 'u1'");
    mail(database, "'password_recovery', 'd@example.com', subject => 'u2'");
    database.run("INSERT INTO kinds (kind, number) VALUES ('numbered_notice', 7)");
    mail(database, "'numbered_notice', 'e@example.com'");
    5
}

fn assert_all_sorts(endpoint: &Endpoint) {
    let data = |to: &str| data_of(endpoint, &format!("{to}@example.com"));
    assert_eq!(data("a"), json!({ "login": "", "n": [1, { "x": "\"</script>" }] }));
    assert_eq!(data("b"), json!({ "login": "", "n": 2 }));
    assert_eq!(data("e"), json!({ "login": "" }));
    assert_eq!((&data("c")["n"], data("d").as_object().unwrap().len()), (&json!(3), 3));
    let calls = endpoint.requests();
    let call = |to: &str| {
        let bodies = calls.iter().map(|request| request.json());
        let of = |body: &Value| body["BulkEmailEntries"].to_string().contains(to);
        bodies.rev().find(of).unwrap()
    };
    let template = |body: &Value| body["DefaultContent"]["Template"]["TemplateName"].clone();
    let (a, b, c, e) = (call("a@ex"), call("b@ex"), call("c@ex"), call("e@ex"));
    assert_eq!(
        (template(&a), &a["ReplyToAddresses"]),
        (json!("invoice_ready-pt-BR"), &json!(["desk@example.com"]))
    );
    assert_eq!(
        (template(&b), &b["ReplyToAddresses"]),
        (json!("order-shipped"), &json!(["help@example.net"]))
    );
    assert!(b["FromEmailAddress"].as_str().unwrap().contains("shop@example.net"), "{b}");
    assert_eq!(
        (template(&c), template(&e)),
        (json!("passwordrecoveryv1"), json!("numbered_notice"))
    );
}

#[test]
fn events_of_mails_of_all_sorts_are_read_back_by_send_and_sent() {
    for ack in ["written", "sent"] {
        let (database, endpoint) = (database(), Endpoint::start());
        let count = all_sorts(&database);
        let collect = collect(&database).env("MAILROOM_ACK", ack).start();
        let lines = collect.wait_lines(count).join("\n") + "\n";
        assert_eq!(collect.stop().code, Some(0));
        let left = if ack == "sent" { "leased" } else { "sent" };
        assert_eq!(database.in_state(left), 5, "{ack}: {lines}");
        let send = |input: &str| {
            let send = Program::send(&endpoint.url()).on(&database);
            send.env("MAILROOM_FORMAT", "cloudevents").env("MAILROOM_ACK", ack).input(input)
        };
        let finished = send(&lines);
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        assert_eq!(endpoint.accepted().len(), count);
        assert_all_sorts(&endpoint);
        assert_eq!(database.in_state("sent"), 5);
        if ack == "sent" {
            // Copies that a broker brings again are left out, with a token or without.
            let finished = send(&lines);
            assert_eq!(finished.code, Some(0), "{}", finished.log);
            assert_eq!(endpoint.accepted().len(), count);
            // So is one with another address.
            database.run("UPDATE deliveries SET state = 'pending', due_at = now()");
            let notice = lines.lines().find(|line| line.contains("b@example.com")).unwrap();
            let finished = send(&(notice.replace("b@example.com", "z@example.com") + "\n"));
            assert_eq!(finished.code, Some(0), "{}", finished.log);
            assert_eq!(endpoint.accepted().len(), count);
        }
    }
}

#[test]
fn what_send_cannot_deliver_of_them_is_kept_and_can_be_replayed() {
    let (database, endpoint) = (database(), Endpoint::start());
    let count = all_sorts(&database);
    let collect = collect(&database).start();
    let lines = collect.wait_lines(count).join("\n") + "\n";
    assert_eq!(collect.stop().code, Some(0));
    endpoint.set(Reply::Statuses(vec![("MESSAGE_REJECTED", "no"); 50]));
    let dir = tempfile::tempdir().unwrap();
    let send = |format: &str, input: &[u8]| {
        Program::send(&endpoint.url())
            .env("MAILROOM_SES_OUTPUT_PATH", dir.path())
            .env("MAILROOM_FORMAT", format)
            .input(input)
    };
    let finished = send("cloudevents", lines.as_bytes());
    assert!(endpoint.accepted().is_empty(), "{}", finished.log);
    let kept = std::fs::read(dir.path().join("undelivered.csv")).unwrap();
    // Once more: what comes back again is kept again.
    std::fs::remove_file(dir.path().join("undelivered.csv")).unwrap();
    send("csv", &kept);
    assert_eq!(std::fs::read(dir.path().join("undelivered.csv")).unwrap(), kept);
    endpoint.set(Reply::Accept);
    let finished = send("csv", &kept);
    assert_eq!(finished.code, Some(0), "{}", finished.log);
    assert_eq!(endpoint.accepted().len(), count);
    assert_all_sorts(&endpoint);
}

#[test]
fn the_documented_events_are_what_collect_writes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/EVENTS.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = |word: &str| {
        let open = format!("```{word}\n");
        let blocks = text.split(&open).skip(1).filter_map(|rest| rest.split("\n```").next());
        blocks.map(str::to_owned).collect::<Vec<_>>()
    };
    let database = Database::migrated();
    database.run("INSERT INTO kinds (kind) VALUES ('invoice_ready')");
    mail(&database, "'invoice_ready', 'ann@example.com', '{\"number\": 123}', 'de'");
    blocks("sql").iter().for_each(|sql| database.run(sql));
    let written: Vec<String> = ["mailroom", "events"]
        .into_iter()
        .flat_map(|queue| {
            let collect = collect(&database).env("MAILROOM_QUEUE_NAME", queue).start();
            let written = collect.wait_lines(1);
            assert_eq!(collect.stop().code, Some(0));
            written
        })
        .collect();
    let documented = blocks("json").split_off(1);
    assert_eq!((documented.len(), written.len()), (2, 2));
    for (line, written) in documented.iter().zip(written) {
        let (documented, mut written) = (parsed(line), parsed(&written));
        written["id"] = documented["id"].clone();
        assert_eq!(written, documented);
    }
}
