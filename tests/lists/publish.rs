//! Issues: once, to each who is confirmed, whatever ends on the way.

use super::{database, subscribers, text, token_of};
use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{PATIENCE, Program, Running, wait_until};
use std::collections::BTreeMap;

fn publish(database: &Database, arguments: &str) -> i64 {
    database.number(&format!("SELECT publish('news', 'weekly', {arguments})"))
}

fn run(database: &Database, endpoint: &Endpoint) -> Running {
    Program::run(database, &endpoint.url()).limit(50).env("MAILROOM_SEND_RATE", "100000").start()
}

/// How many mails each address got.
fn got(endpoint: &Endpoint) -> BTreeMap<String, usize> {
    endpoint.accepted().into_iter().fold(BTreeMap::new(), |mut counts, mail| {
        *counts.entry(mail.to).or_default() += 1;
        counts
    })
}

#[test]
fn an_issue_goes_once_to_each_who_is_confirmed_however_often_it_is_published() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 2503);
    database.run(
        "UPDATE subscribers SET state = 'unsubscribed' WHERE id = 1;
         UPDATE subscribers SET state = 'pending' WHERE id = 2;
         UPDATE subscribers SET state = 'suppressed' WHERE id = 3",
    );
    let run = run(&database, &endpoint);
    let ids: Vec<i64> = std::thread::scope(|scope| {
        let publish = || publish(&database, "'2026-11', '{\"title\": \"Snow\"}'");
        let all: Vec<_> = (0..8).map(|_| scope.spawn(publish)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    wait_until("all are sent", || database.in_state("sent") == 2500);
    publish(&database, "'2026-11'");
    wait_until("it is published", || {
        database.number("SELECT count(*) FROM issues WHERE state = 'published'") == 1
    });
    run.wait_turns(1);
    assert_eq!(run.stop().code, Some(0));
    let got = got(&endpoint);
    assert_eq!((got.len(), got.values().max()), (2500, Some(&1)));
    let numbers =
        "SELECT total + enqueued + (SELECT sum(sent)::bigint FROM tallies WHERE issue = issues.id)
        FROM issues";
    assert_eq!(database.number(numbers), 7500);
    let mail = endpoint.accepted().remove(0);
    assert_eq!((&mail.template, &mail.data["title"]), (&"weekly".to_owned(), &"Snow".into()));
    assert_eq!((&mail.data["plan"], &mail.data["n"]), (&"pro".into(), &4.into()));
    // As SES has it: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntry.html
    let link = format!("https://example.com/unsubscribe?token={}", token_of(&database, &mail.to));
    assert_eq!(mail.data["unsubscribe"], link.as_str());
    let entry = endpoint.requests()[0].json()["BulkEmailEntries"][0].clone();
    assert_eq!(
        entry["ReplacementHeaders"],
        serde_json::json!([
            { "Name": "List-Id", "Value": "<news.example.com>" },
            { "Name": "List-Unsubscribe", "Value": format!("<{link}>") },
            { "Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click" },
        ])
    );
}

#[test]
fn a_filter_chooses_by_the_data_of_subscribers_and_a_time_is_kept() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 20);
    let run = run(&database, &endpoint);
    publish(
        &database,
        "'a', not_before => now() + interval '2 s', filter => '{\"plan\": \"pro\", \"n\": \"4\"}'",
    );
    publish(&database, "'b', filter => '{\"plan\": \"free\"}'");
    wait_until("b is sent", || database.in_state("sent") == 10);
    let too_early = "SELECT count(*) FROM deliveries d JOIN issues i ON i.id = d.issue
        WHERE d.created_at < i.not_before";
    wait_until("a is sent", || database.in_state("sent") == 11);
    assert_eq!(database.number(too_early), 0);
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(got(&endpoint)["s4@example.com"], 1);
    let totals = "SELECT string_agg(total || ' ' || enqueued, ', ' ORDER BY key) FROM issues";
    assert_eq!(text(&mut database.client(), totals).unwrap(), "1 1, 10 10");
}

#[test]
fn whoever_leaves_while_the_mail_waits_does_not_get_it() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 40);
    database.run("UPDATE jobs SET paused_at = now()");
    publish(&database, "'a'");
    // Half of them have their delivery.
    database.number("SELECT made::bigint FROM enqueue_issue('mailroom', 20, NULL)");
    for n in [1, 2, 20, 21, 40] {
        let token = token_of(&database, &format!("s{n}@example.com"));
        database.run(&format!("SELECT unsubscribe('{token}')"));
    }
    database.run("DELETE FROM subscribers WHERE address = 's3@example.com'");
    database.run("UPDATE jobs SET paused_at = NULL");
    let run = run(&database, &endpoint);
    wait_until("the others have it", || database.in_state("sent") == 34);
    wait_until("those who left are done with", || database.in_state("superseded") == 4);
    assert_eq!(run.stop().code, Some(0));
    let got = got(&endpoint);
    assert_eq!(got.len(), 34);
    for n in [1, 2, 3, 20, 21, 40] {
        assert_eq!(got.get(&format!("s{n}@example.com")), None);
    }
    let why = "SELECT string_agg(DISTINCT cause || ': ' || error, '; ') FROM deliveries
        WHERE state = 'superseded'";
    assert_eq!(
        text(&mut database.client(), why).unwrap(),
        "unsubscribed: they left the list before it was sent"
    );
}

#[test]
fn of_several_that_run_and_are_killed_on_the_way_each_subscriber_gets_one_but_for_a_batch_a_kill() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 6000);
    let start = || {
        Program::run(&database, &endpoint.url())
            .limit(50)
            .lease(2000)
            .env("MAILROOM_SEND_RATE", "2000")
            .start()
    };
    publish(&database, "'a'");
    let mut running = [start(), start()];
    let kills = 6;
    for kill in 1..=kills {
        wait_until("some more are sent", || endpoint.accepted().len() >= kill * 600);
        let [one, _] = &mut running;
        std::mem::replace(one, start()).kill();
        running.swap(0, 1);
    }
    wait_until("nothing waits", || {
        database.in_state("sent") == 6000
            && database.in_state("pending") + database.in_state("leased") == 0
    });
    for one in running {
        assert_eq!(one.stop().code, Some(0));
    }
    let got = got(&endpoint);
    assert_eq!(got.len(), 6000, "each");
    let doubles: usize = got.values().map(|count| count - 1).sum();
    assert!(doubles <= kills * 50, "{doubles} doubles after {kills} kills");
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 6000);
    assert_eq!(database.number("SELECT count(DISTINCT subscriber) FROM deliveries"), 6000);
}

#[test]
fn who_makes_deliveries_and_is_cut_off_leaves_none_or_all_of_a_chunk_and_the_next_goes_on() {
    let database = database();
    subscribers(&database, 100);
    publish(&database, "'a'");
    let mut client = database.client();
    for step in ["", "ROLLBACK"] {
        let sql = "BEGIN; SELECT enqueue_issue('mailroom', 30, NULL)";
        client.batch_execute(sql).unwrap();
        // Meanwhile others leave it alone and do not wait.
        assert_eq!(
            database.number("SELECT made::bigint FROM enqueue_issue('mailroom', 30, NULL)"),
            0
        );
        match step {
            "" => database.disconnect_others(),
            sql => client.batch_execute(sql).unwrap(),
        }
        client = database.client();
        assert_eq!(database.number("SELECT count(*) + sum(cursor)::bigint FROM issues"), 1);
        assert_eq!(database.number("SELECT count(*) FROM deliveries"), 0);
    }
    let mut made = Vec::new();
    while database.number("SELECT count(*) FROM issues WHERE state = 'published'") == 0 {
        made.push(database.number("SELECT made::bigint FROM enqueue_issue('mailroom', 30, NULL)"));
        database.run("UPDATE deliveries SET state = 'sent', due_at = now()");
    }
    assert_eq!(made, [30, 30, 30, 10]);
    assert_eq!(database.number("SELECT count(DISTINCT subscriber) FROM deliveries"), 100);
}

#[test]
fn issues_use_a_share_of_the_day_and_the_rest_is_there_for_other_mail() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 100);
    publish(&database, "'a'");
    let run = Program::run(&database, &endpoint.url())
        .limit(7)
        .window(100)
        .env("MAILROOM_SEND_RATE", "1000")
        .env("MAILROOM_DAILY_LIMIT", "50")
        .env("MAILROOM_BULK_SHARE", "60")
        .start();
    wait_until("the share is used up", || database.in_state("sent") == 30);
    run.wait_turns(1);
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 30);
    for n in 0..20 {
        database.recovery(&format!("r{n}"));
    }
    wait_until("recoveries have the rest", || database.in_state("sent") == 50);
    assert_eq!(run.stop().code, Some(0));
    let bulk = endpoint.accepted().iter().filter(|mail| mail.template == "weekly").count();
    assert_eq!(bulk, 30);
}

#[test]
fn other_mail_does_not_wait_for_the_time_that_an_issue_takes_at_the_rate() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 3000);
    publish(&database, "'a'");
    // A batch takes up the rate for a minute.
    let run = Program::run(&database, &endpoint.url())
        .window(100)
        .env("MAILROOM_SEND_RATE", "0.05")
        .start();
    let first = endpoint.wait_for(1, PATIENCE).len();
    for n in 0..first {
        database.recovery(&format!("r{n}"));
        wait_until("the recovery is sent", || {
            endpoint.accepted().iter().any(|mail| mail.to == format!("r{n}@example.com"))
        });
    }
    let issue = endpoint.accepted().iter().filter(|mail| mail.template == "weekly").count();
    assert_eq!(issue, first, "no more of the issue meanwhile");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn a_hold_of_the_template_of_an_issue_holds_nothing_else_and_makes_no_more_deliveries() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 3000);
    endpoint.set(Reply::error(404, "NotFoundException", "Template weekly does not exist"));
    let run = run(&database, &endpoint);
    publish(&database, "'a'");
    run.wait_log("held");
    endpoint.set(Reply::Accept);
    database.recovery("ann");
    wait_until("the recovery is sent", || {
        endpoint.accepted().iter().any(|mail| mail.to == "ann@example.com")
    });
    run.wait_turns(1);
    assert!(database.number("SELECT count(*) FROM deliveries") <= 1001, "no flood of held rows");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn a_test_copy_that_its_template_refuses_holds_no_issue_and_is_over_in_an_hour() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 20);
    database.run("UPDATE kinds SET sender = 'news@example.com' WHERE kind = 'news'");
    let run = run(&database, &endpoint);
    endpoint.set(Reply::error(404, "NotFoundException", "Template weekly does not exist"));
    // Nobody of the list, so without what subscribers have.
    database.run("SELECT publish_test('news', 'weekly', 'me@example.com')");
    run.wait_log("kind news.test is held");
    endpoint.set(Reply::Accept);
    publish(&database, "'a'");
    let issue = "SELECT count(*) FROM deliveries WHERE kind = 'news' AND state = 'sent'";
    wait_until("the issue is sent", || database.number(issue) == 20);
    assert_eq!(run.stop().code, Some(0));
    let copy = "SELECT count(*) FROM deliveries d JOIN kinds k USING (kind)
        WHERE kind = 'news.test' AND d.expires_at = d.created_at + interval '1 hour'
            AND k.sender = 'news@example.com'";
    assert_eq!(database.number(copy), 1);
}

#[test]
fn a_list_that_is_held_or_paused_keeps_no_other_list_waiting() {
    let (database, endpoint) = (database(), Endpoint::start());
    subscribers(&database, 1500);
    database.run(
        "INSERT INTO lists (list, unsubscribe)
         VALUES ('other', 'https://example.com/unsubscribe?token=');
         INSERT INTO subscribers (list, address, state, how)
         SELECT 'other', 'o' || n || '@example.com', 'confirmed', 'import'
           FROM generate_series(1, 1200) n",
    );
    endpoint.set(Reply::error(404, "NotFoundException", "Template weekly does not exist"));
    let run = run(&database, &endpoint);
    let first = publish(&database, "'a'");
    run.wait_log("held");
    publish(&database, "'b'");
    wait_until("what waits of it is held", || {
        database.number("SELECT count(*) FROM deliveries WHERE cause = 'template'") == 1000
    });
    endpoint.set(Reply::Accept);
    database.run("SELECT publish('other', 'else', 'c')");
    let others = "SELECT count(*) FROM deliveries WHERE kind = 'other' AND state = 'sent'";
    wait_until("the other list has its issue", || database.number(others) == 1200);
    let unmade = "SELECT count(*) FROM issues WHERE list = 'news' AND state = 'publishing'";
    assert_eq!(database.number(unmade), 2, "no flood of held rows");

    // The same for one that is paused, when the hold is over.
    database.run(&format!("UPDATE issues SET state = 'paused' WHERE id = {first}"));
    database.run("UPDATE deliveries SET due_at = now(), cause = NULL WHERE cause = 'template'");
    assert_eq!(run.stop().code, Some(0));
    let run = self::run(&database, &endpoint);
    wait_until("the second issue is sent", || database.in_state("sent") == 2700);
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE cause = 'ineligible'"), 1000);
}

#[test]
fn csv_carries_no_issue_and_events_carry_all_of_it() {
    let database = database();
    subscribers(&database, 3);
    publish(&database, "'a', '{\"title\": \"Snow\"}'");
    let csv = Program::collect(&database).start();
    csv.wait_turns(1);
    assert_eq!(csv.stop().out, "");
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 0);
    let events = Program::collect(&database).env("MAILROOM_FORMAT", "cloudevents").start();
    let lines = events.wait_lines(3).join("\n") + "\n";
    assert_eq!(events.stop().code, Some(0));
    let endpoint = Endpoint::start();
    let send = Program::send(&endpoint.url()).env("MAILROOM_FORMAT", "cloudevents").input(lines);
    assert_eq!(send.code, Some(0), "{}", send.log);
    let mails = endpoint.wait_for(3, PATIENCE);
    assert!(mails.iter().all(|mail| mail.template == "weekly" && mail.data["title"] == "Snow"));
    for request in endpoint.requests() {
        for entry in request.json()["BulkEmailEntries"].as_array().unwrap() {
            assert_eq!(entry["ReplacementHeaders"].as_array().unwrap().len(), 3);
        }
    }
}
