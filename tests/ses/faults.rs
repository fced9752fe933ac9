//! Calls that go wrong: halves, lost replies, clocks, stopping, and what is kept of the replies.

use super::Rig;
use crate::support::batches::{TOKEN, accepted, batch, cause, message, twenty_seconds_later, why};
use crate::support::endpoint::Reply;
use crate::support::program::wait_until;
use mailroom::edges::clock::Clock;
use mailroom::edges::stop::GRACE;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome};
use mailroom::mail::policy;
use mailroom::mail::policy::Fate;
use mailroom::pump::system_clock;
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Whether it may have been sent, and why it was not accepted.
fn retry(outcome: &Outcome) -> (bool, &str) {
    let policy = policy::of(cause(outcome));
    assert!(matches!(policy.fate, Fate::Retry | Fate::Wait), "{outcome:?}");
    (policy.ambiguous, why(outcome))
}

#[test]
fn halves_find_the_message_at_fault_and_the_others_go() {
    let rig = Rig::new();
    // The fault is in the third of four: all, the first half, the second half, its two parts.
    for reply in [
        Reply::error(400, "BadRequestException", "Bad recipient"),
        Reply::Accept,
        Reply::error(413, "", ""),
        Reply::error(400, "MessageRejected", "Bad recipient"),
    ] {
        rig.endpoint.push(reply);
    }
    let outcomes = rig.ses().send(&batch(4));
    assert_eq!(outcomes[2], Outcome::refused(Cause::Rejected, "MessageRejected: Bad recipient"));
    assert!([0, 1, 3].iter().all(|index| accepted(&outcomes[*index])));
    assert_eq!(rig.endpoint.requests().len(), 5);
    assert_eq!(rig.endpoint.accepted().len(), 3);
}

#[test]
fn fifty_refused_together_and_alone_end_rejected_in_under_a_hundred_calls() {
    let rig = Rig::new();
    rig.endpoint.set(Reply::error(400, "BadRequestException", "Bad"));
    let outcomes = rig.ses().send(&batch(50));
    assert!(outcomes.iter().all(|outcome| cause(outcome) == Cause::Rejected));
    assert_eq!(rig.endpoint.requests().len(), 99);
}

#[test]
fn a_hold_of_everything_ends_the_calls_of_the_batch() {
    let rig = Rig::new();
    rig.endpoint.push(Reply::error(400, "SendingPausedException", "paused"));
    let mut batch = batch(2);
    batch.messages[1] = message(2, 1);
    let outcomes = rig.ses().send(&batch);
    assert!(outcomes.iter().all(|outcome| cause(outcome) == Cause::Account));
    assert_eq!(rig.endpoint.requests().len(), 1);
}

#[test]
fn a_provider_that_is_away_or_throttles_ends_the_calls_of_the_batch() {
    for (status, after, calls) in
        [(503, "5", 1), (504, "5", 1), (429, "5", 1), (503, "0", 1), (500, "5", 2)]
    {
        let rig = Rig::new();
        let busy = vec![("retry-after", after.to_owned())];
        rig.endpoint.push(Reply::Full(status, busy, String::new()));
        let mut batch = batch(2);
        batch.messages[1] = message(2, 1);
        let outcomes = rig.ses().send(&batch);
        assert_eq!(rig.endpoint.requests().len(), calls, "{status}, {after} s");
        // What was not asked for was not sent.
        assert!(accepted(&outcomes[1]) || !retry(&outcomes[1]).0, "{outcomes:?}");
        assert_eq!(retry(&outcomes[0]).0, status == 504, "{outcomes:?}");
    }
}

#[test]
fn a_reply_that_is_lost_or_unreadable_is_ambiguous_and_never_a_success() {
    for (reply, why) in [
        (Reply::Reset, "no answer: 127.0.0.1: "),
        (Reply::AcceptThenReset, "no answer: 127.0.0.1: "),
        (Reply::Truncated, "no answer: 127.0.0.1: "),
        (Reply::AcceptThenBody("<html>"), "no answer: the reply has no results"),
        (Reply::AcceptThenBody("{}"), "no answer: the reply has no results"),
        (Reply::AcceptThenBody(""), "no answer: the reply has no results"),
        (Reply::Fewer(1), "no answer: the reply has 2 results for 3 messages"),
        (Reply::Fewer(3), "no answer: the reply has 0 results for 3 messages"),
    ] {
        let rig = Rig::new();
        rig.endpoint.push(reply.clone());
        let outcomes = rig.ses().send(&batch(3));
        assert_eq!(outcomes.len(), 3);
        for outcome in &outcomes {
            let (ambiguous, said) = retry(outcome);
            assert!(ambiguous && said.starts_with(why), "{reply:?}: {outcome:?}");
        }
        assert_eq!(rig.endpoint.requests().len(), 1, "it is not sent again by itself");
        if !matches!(reply, Reply::Reset) {
            rig.endpoint.wait_for(3, Duration::from_secs(5));
        }
        let saved = usize::from(!matches!(reply, Reply::Reset | Reply::AcceptThenReset));
        assert_eq!(rig.saved().len(), saved, "{reply:?}");
    }
}

#[test]
fn a_reply_longer_than_a_mebibyte_is_not_read_to_its_end() {
    let rig = Rig::new();
    rig.endpoint.push(Reply::Full(200, Vec::new(), "x".repeat(1_100_000)));
    let outcomes = rig.ses().send(&batch(1));
    let (ambiguous, why) = retry(&outcomes[0]);
    assert!(ambiguous && why.contains("longer than"), "{why}");
}

#[test]
fn a_provider_that_is_not_there_was_sent_nothing() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for url in [format!("http://127.0.0.1:{port}"), "http://nowhere.invalid".to_owned()] {
        let mut rig = Rig::new();
        rig.set("AWS_ENDPOINT_URL", &url);
        let outcomes = rig.ses().send(&batch(2));
        for outcome in &outcomes {
            let (ambiguous, why) = retry(outcome);
            assert!(!ambiguous && why.starts_with("not sent: "), "{why}");
        }
    }
}

#[test]
fn a_connection_that_the_provider_closed_in_between_is_opened_again() {
    let rig = Rig::new();
    let mut ses = rig.ses();
    assert!(ses.send(&batch(1)).iter().all(accepted));
    rig.endpoint.push(Reply::Full(
        200,
        vec![("connection", "close".into())],
        r#"{"BulkEmailEntryResults":[{"Status":"SUCCESS"}]}"#.into(),
    ));
    assert!(ses.send(&batch(1)).iter().all(accepted));
    assert!(ses.send(&batch(1)).iter().all(accepted));
    assert_eq!(rig.endpoint.connections(), 2);
}

#[test]
fn a_stop_leaves_the_whole_grace_for_what_comes_then_and_nothing_beyond() {
    let rig = Rig::new();
    let mut ses = rig.ses();
    assert!(ses.send(&batch(1)).iter().all(accepted));
    // It is idle for longer than the grace, and nobody looks at the flag.
    let idle = Instant::now();
    wait_until("longer than the grace", || idle.elapsed() > GRACE);
    rig.stop.request();
    rig.endpoint.push(Reply::Slow(Duration::from_millis(800), Box::new(Reply::Accept)));
    assert!(ses.send(&batch(1)).iter().all(accepted));
    // When the grace is over, what is under way is given up, and nothing more is begun.
    rig.endpoint.set(Reply::Slow(Duration::from_secs(60), Box::new(Reply::Accept)));
    let outcomes = ses.send(&batch(1));
    let (ambiguous, why) = retry(&outcomes[0]);
    assert!(ambiguous && why.contains("asked to stop"), "{why}");
    let before = rig.endpoint.requests().len();
    let outcomes = ses.send(&batch(1));
    assert!(!retry(&outcomes[0]).0, "nothing was sent: {outcomes:?}");
    assert_eq!(rig.endpoint.requests().len(), before);
}

#[test]
fn a_clock_that_is_wrong_is_corrected_once_and_stays_corrected() {
    let rig = Rig::new();
    let date = time::OffsetDateTime::now_utc();
    let date = date.format(&time::format_description::well_known::Rfc2822).unwrap();
    let date = date.replace("+0000", "GMT");
    rig.endpoint.push(Reply::Full(
        403,
        vec![("date", date), ("x-amzn-errortype", "InvalidSignatureException".into())],
        r#"{"message":"Signature expired"}"#.into(),
    ));
    let mut ses = rig
        .ses_at(Clock { wall: || SystemTime::now() - Duration::from_secs(3600), ..system_clock() });
    assert!(ses.send(&batch(1)).iter().all(accepted));
    assert!(ses.send(&batch(1)).iter().all(accepted));
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let ages: Vec<i64> = rig
        .endpoint
        .requests()
        .iter()
        .map(|request| request.header("x-amz-date").unwrap().to_owned())
        .map(|text| time::PrimitiveDateTime::parse(&text, format).unwrap().assume_utc())
        .map(|signed| (time::OffsetDateTime::now_utc() - signed).whole_seconds())
        .collect();
    assert_eq!(ages.len(), 3);
    assert!((3590..3660).contains(&ages[0]), "{ages:?}");
    assert!(ages[1..].iter().all(|age| (-5..60).contains(age)), "{ages:?}");
}

#[test]
fn credentials_that_expired_are_fetched_anew() {
    let rig = Rig::new();
    rig.endpoint.push(Reply::error(403, "ExpiredTokenException", "expired"));
    let round = AtomicUsize::new(0);
    let rest = rig.variables();
    let keeper = rig.keeper(move |name| match name {
        "AWS_ACCESS_KEY_ID" => Some(format!("AKID{}", round.fetch_add(1, Ordering::SeqCst))),
        name => rest(name),
    });
    assert!(rig.ses_with(keeper).send(&batch(1)).iter().all(accepted));
    let requests = rig.endpoint.requests();
    let key = |index: usize| requests[index].header("authorization").unwrap().to_owned();
    assert!(key(0).contains("Credential=AKID0/") && key(1).contains("Credential=AKID1/"));
}

#[test]
fn a_key_that_was_refused_is_looked_for_again_at_the_next_try() {
    let rig = Rig::new();
    rig.endpoint.push(Reply::error(403, "UnrecognizedClientException", "no such key"));
    let path = rig.output.path().join("keys");
    let keys =
        |id: &str| format!("[default]\naws_access_key_id={id}\naws_secret_access_key=hunter2\n");
    std::fs::write(&path, keys("AKID1")).unwrap();
    let (rest, file) = (rig.variables(), path.to_str().unwrap().to_owned());
    let keeper = rig.keeper(move |name| match name {
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => None,
        "AWS_SHARED_CREDENTIALS_FILE" => Some(file.clone()),
        name => rest(name),
    });
    let mut ses = rig.ses_with(keeper);
    let outcomes = ses.send(&batch(1));
    assert!(cause(&outcomes[0]) == Cause::Credentials, "{outcomes:?}");
    std::fs::write(&path, keys("AKID2")).unwrap();
    assert!(ses.send(&batch(1)).iter().all(accepted));
    let signed = rig.endpoint.requests()[1].header("authorization").unwrap().to_owned();
    assert!(signed.contains("Credential=AKID2/"), "{signed}");
}

#[test]
fn replies_that_were_no_plain_success_are_kept_for_people() {
    let rig = Rig::new();
    let mut ses = rig.ses_at(Clock {
        wall: || SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_354_620_007),
        ..system_clock()
    });
    rig.endpoint.push(Reply::error(500, "InternalFailure", "oops"));
    rig.endpoint.push(Reply::Statuses(vec![("FAILED", "why not")]));
    let mut two = batch(1);
    two.messages[0] = message(2, 1);
    let _ = ses.send(&batch(1));
    let _ = ses.send(&batch(1));
    rig.endpoint.push(Reply::error(500, "InternalFailure", "oops"));
    let _ = ses.send(&two);
    assert!(ses.send(&two).iter().all(accepted));
    let saved = rig.saved();
    let names: Vec<&str> = saved.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "ses_20261122133700.007_0.http",
            "ses_20261122133700.007_1.http",
            "ses_20261122133700.008_0.http"
        ]
    );
    let (head, body) = saved[0].1.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{head}");
    assert!(head.contains("x-amzn-errortype: InternalFailure"));
    assert_eq!(body, r#"{"message":"oops"}"#);
    assert!(saved[2].1.contains("why not"));
    for (_, text) in &saved {
        assert!(!text.contains(TOKEN) && !text.contains("hunter2") && !text.contains("01234"));
        assert!(!text.contains("authorization") && !text.contains("user0"));
    }
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&rig.saved_in()), 0o700);
    assert_eq!(mode(rig.saved_in().parent().unwrap()), 0o700);
    for name in names {
        assert_eq!(mode(&rig.saved_in().join(name)), 0o600);
    }
}

#[test]
fn a_reply_that_cannot_be_kept_changes_no_outcome() {
    let rig = Rig::new();
    std::fs::write(rig.output.path().join("a"), "a file is in the way").unwrap();
    rig.endpoint.push(Reply::Statuses(vec![("MESSAGE_REJECTED", "bad")]));
    let outcomes = rig.ses().send(&batch(2));
    assert!(cause(&outcomes[0]) == Cause::Rejected && accepted(&outcomes[1]));
}

#[test]
fn calls_of_a_batch_that_take_too_long_leave_the_rest_for_later() {
    let rig = Rig::new();
    // Twenty seconds go by at each look at the time; the second time the date goes back instead.
    let wall = || {
        thread_local!(static BACK: Cell<u32> = const { Cell::new(0) });
        BACK.set(BACK.get() + 1);
        SystemTime::now() - Duration::from_secs(100) * BACK.get()
    };
    for wall in [SystemTime::now as fn() -> SystemTime, wall] {
        let clock = Clock { now: twenty_seconds_later, wall, ..system_clock() };
        let outcomes = rig.ses_at(clock).send(&batch(101));
        assert!(outcomes[..50].iter().all(accepted));
        for outcome in &outcomes[50..] {
            let (ambiguous, why) = retry(outcome);
            assert!(!ambiguous && why.contains("took too long"), "{why}");
        }
    }
    assert_eq!(rig.endpoint.requests().len(), 2);
}

#[test]
fn credentials_that_take_too_long_leave_the_batch_for_later() {
    let rig = Rig::new();
    let rest = rig.variables();
    let keeper = rig.keeper(move |name| {
        // Looking for them takes a minute.
        if name == "AWS_ACCESS_KEY_ID" {
            (0..3).for_each(|_| _ = twenty_seconds_later());
        }
        rest(name)
    });
    let outcomes =
        rig.build(Clock { now: twenty_seconds_later, ..system_clock() }, keeper).send(&batch(2));
    assert!(outcomes.iter().all(|outcome| cause(outcome) == Cause::Away));
    assert_eq!(rig.endpoint.requests().len(), 0);
}
