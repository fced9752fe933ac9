//! Each step of the conversation, failing in each way.

use super::{Rig, smtp_by};
use crate::support::batches::{TOKEN, accepted, batch, why};
use crate::support::mailserver::{Act, Groups, MailServer, Step, Tls};
use crate::support::program::wait_until;
use mailroom::edges::clock::Clock;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome, Scope};
use mailroom::mail::policy::held;
use mailroom::pump::system_clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is said of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Accept,
    /// Tried again, uses an attempt.
    Retry,
    Throttled,
    /// Tried again; nothing of it was sent.
    Unsent,
    Ambiguous,
    Reject,
    HoldAll,
}

fn said(outcome: &Outcome) -> Said {
    match outcome {
        Outcome::Accepted { .. } => Said::Accept,
        Outcome::Refused(refusal) => match refusal.cause {
            Cause::Unknown => Said::Ambiguous,
            Cause::Away => Said::Unsent,
            Cause::Throttled => Said::Throttled,
            Cause::Busy | Cause::Fault => Said::Retry,
            Cause::Rejected => Said::Reject,
            cause => {
                assert_eq!(held(cause, &"1".into()), Some(Scope::All), "{outcome:?}");
                Said::HoldAll
            }
        },
    }
}

/// Step, answer, what is said of the message that met it, and of the next one.
const ANSWERS: &[(Step, &str, Said, Said)] = &[
    (Step::Greeting, "554 5.3.2 No service", Said::HoldAll, Said::HoldAll),
    (Step::Greeting, "421 4.3.2 Too many connections", Said::Unsent, Said::Unsent),
    (Step::Ehlo, "550 5.7.1 Go away", Said::HoldAll, Said::HoldAll),
    (Step::StartTls, "454 4.7.0 TLS not available", Said::Unsent, Said::Unsent),
    (Step::Auth, "535 5.7.8 Bad credentials", Said::HoldAll, Said::HoldAll),
    (Step::Auth, "454 4.7.0 Temporary authentication failure", Said::Unsent, Said::Unsent),
    (Step::Mail, "451 4.3.0 Try later", Said::Unsent, Said::Unsent),
    (Step::Mail, "550 5.7.1 Sender not allowed", Said::HoldAll, Said::HoldAll),
    (Step::Mail, "530 5.7.0 Authentication required", Said::HoldAll, Said::HoldAll),
    (Step::Mail, "421 4.4.2 Closing", Said::Unsent, Said::Unsent),
    (Step::Rcpt, "450 4.2.1 Mailbox busy", Said::Retry, Said::Accept),
    (Step::Rcpt, "452 4.2.2 Mailbox full", Said::Retry, Said::Accept),
    (
        Step::Rcpt,
        "454 Throttling failure: Maximum sending rate exceeded.",
        Said::Throttled,
        Said::Throttled,
    ),
    (
        Step::Rcpt,
        "454 Throttling failure: Daily message quota exceeded.",
        Said::HoldAll,
        Said::HoldAll,
    ),
    (Step::Rcpt, "550 5.1.1 No such user", Said::Reject, Said::Accept),
    (Step::Rcpt, "550-5.1.1 No such user\n550 5.1.1 really", Said::Reject, Said::Accept),
    (Step::Rcpt, "553 5.1.3 Bad address", Said::Reject, Said::Accept),
    (Step::Rcpt, "554 5.7.1 Relay access denied", Said::HoldAll, Said::HoldAll),
    (Step::Rcpt, "550 5.4.5 Daily sending quota exceeded", Said::HoldAll, Said::HoldAll),
    (Step::Rcpt, "421 4.7.0 Closing", Said::Retry, Said::Accept),
    (Step::Data, "451 4.3.0 Try later", Said::Retry, Said::Accept),
    (Step::Data, "554 5.5.1 No valid recipients", Said::Reject, Said::Accept),
    (Step::Data, "250 what", Said::Retry, Said::Accept),
    (Step::Dot, "452 4.3.1 Out of space", Said::Unsent, Said::Unsent),
    (Step::Dot, "552 5.3.4 Too big", Said::Reject, Said::Accept),
    (Step::Dot, "550 5.7.1 Spam", Said::Reject, Said::Accept),
    (Step::Dot, "354 what", Said::Ambiguous, Said::Accept),
    (Step::Dot, "250", Said::Accept, Said::Accept),
    (Step::Dot, "ok", Said::Ambiguous, Said::Accept),
    (Step::Rcpt, "999 what", Said::Retry, Said::Accept),
];

/// The same for a connection that is closed there.
const DROPS: &[(Step, Act, Said, Said)] = &[
    (Step::Greeting, Act::Drop, Said::Unsent, Said::Unsent),
    (Step::Ehlo, Act::Drop, Said::Unsent, Said::Unsent),
    (Step::StartTls, Act::Drop, Said::Unsent, Said::Unsent),
    (Step::Auth, Act::Drop, Said::Unsent, Said::Unsent),
    (Step::Mail, Act::Drop, Said::Retry, Said::Accept),
    (Step::Rcpt, Act::Drop, Said::Retry, Said::Accept),
    (Step::Data, Act::Drop, Said::Retry, Said::Accept),
    (Step::Dot, Act::Drop, Said::Ambiguous, Said::Accept),
    (Step::Dot, Act::TakeThenDrop, Said::Ambiguous, Said::Accept),
];

const LOGIN: Option<(&str, &str)> = Some(("user", "hunter2"));

fn check(step: Step, act: &Act, expected: [Said; 2], groups: Option<Groups>) {
    let rig = Rig::with(MailServer::start(Tls::Offered, LOGIN));
    groups.into_iter().for_each(|groups| rig.server.offer_groups(groups));
    let mut smtp = rig.smtp_at(&rig.url("user:hunter2@"));
    rig.server.push(step, act.clone());
    let outcomes = smtp.send(&batch(2));
    let got: Vec<Said> = outcomes.iter().map(said).collect();
    assert_eq!(got, expected, "{step:?} {act:?} {groups:?}: {outcomes:?}");
    for outcome in &outcomes {
        let text = format!("{outcome:?}");
        assert!(!text.contains(TOKEN) && !text.contains("hunter2"), "{text}");
    }
    // The fault has passed: all is well again.
    assert!(smtp.send(&batch(2)).iter().all(accepted), "{step:?} {act:?}");
}

/// The same against a server that takes groups of commands.
fn check_groups(step: Step, act: &Act, [first, second]: [Said; 2]) {
    let expected = match (step, act) {
        // It is tried once more, one command at a time.
        (Step::Rcpt, Act::Say("999 what")) => [Said::Accept, Said::Accept],
        (Step::Mail | Step::Rcpt, Act::Drop) => [Said::Accept, Said::Accept],
        // The second one was under way.
        (Step::Dot, _) if second == Said::Unsent => [first, Said::Accept],
        _ => [first, second],
    };
    for groups in [Groups::Good, Groups::Lax] {
        check(step, act, expected, Some(groups));
    }
}

#[test]
fn each_answer_at_each_step_has_the_outcome_of_the_table() {
    for (step, answer, first, second) in ANSWERS {
        check(*step, &Act::Say(answer), [*first, *second], None);
    }
}

#[test]
fn each_answer_in_a_group_has_the_outcome_of_the_table() {
    for (step, answer, first, second) in ANSWERS {
        check_groups(*step, &Act::Say(answer), [*first, *second]);
    }
}

#[test]
fn a_connection_that_ends_is_ambiguous_after_the_final_dot_only() {
    for (step, act, first, second) in DROPS {
        check(*step, act, [*first, *second], None);
        check_groups(*step, act, [*first, *second]);
    }
}

#[test]
fn a_refused_recipient_is_masked_and_the_connection_goes_on() {
    let rig = Rig::plain();
    rig.server.refuse("user1@example.com", "550 5.1.1 <user1@example.com>: no such user");
    let mut smtp = rig.smtp();
    let outcomes = smtp.send(&batch(3));
    assert!(accepted(&outcomes[0]) && accepted(&outcomes[2]));
    assert_eq!(said(&outcomes[1]), Said::Reject);
    let why = why(&outcomes[1]);
    assert!(why.starts_with("550 at recipient: 5.1.1 ") && !why.contains("user1"), "{why}");
    assert_eq!(rig.server.connections(), 1);
    assert_eq!(rig.server.mails().len(), 2);
}

#[test]
fn a_server_that_is_not_there_is_asked_once_a_batch() {
    let rig = Rig::plain();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for url in [format!("smtp://127.0.0.1:{port}?tls=none"), "smtp://nowhere.invalid".into()] {
        let outcomes = rig.smtp_at(&url).send(&batch(50));
        assert!(outcomes.iter().all(|outcome| said(outcome) == Said::Unsent), "{outcomes:?}");
    }
    // One whose connections can be counted: it closes them at once.
    rig.server.set(Step::Greeting, Some(Act::Drop));
    let outcomes = rig.smtp().send(&batch(50));
    assert!(outcomes.iter().all(|outcome| said(outcome) == Said::Unsent), "{outcomes:?}");
    assert_eq!(rig.server.connections(), 1);
}

#[test]
fn a_connection_that_went_while_idle_is_opened_again_unnoticed() {
    let rig = Rig::plain();
    let mut smtp = rig.smtp();
    assert!(smtp.send(&batch(1)).iter().all(accepted));
    // Closed at the moment of use, with a word and without.
    for act in [Act::Say("421 4.4.2 Timeout"), Act::Drop] {
        rig.server.push(Step::Mail, act);
        assert!(smtp.send(&batch(1)).iter().all(accepted));
    }
    assert_eq!(rig.server.mails().len(), 3);
    assert_eq!(rig.server.connections(), 3);
}

#[test]
fn a_server_that_takes_so_many_mails_on_a_connection_gets_the_rest_on_another() {
    for (most, connections) in [(1, 5), (2, 3), (3, 2)] {
        let rig = Rig::plain();
        rig.server.limit(most);
        let outcomes = rig.smtp().send(&batch(5));
        assert!(outcomes.iter().all(accepted), "no attempt is lost: {outcomes:?}");
        let got: Vec<String> = rig.server.mails().into_iter().map(|mail| mail.to).collect();
        let all: Vec<String> = (0..5).map(|n| format!("user{n}@example.com")).collect();
        assert_eq!(got, all, "each once and in order");
        assert_eq!(rig.server.connections(), connections, "{most} on each");
    }
}

#[test]
fn a_server_that_says_421_on_a_new_connection_too_is_asked_no_third_time() {
    let rig = Rig::plain();
    let mut smtp = rig.smtp();
    assert!(smtp.send(&batch(1)).iter().all(accepted));
    rig.server.set(Step::Mail, Some(Act::Say("421 4.3.2 Shutting down")));
    let outcomes = smtp.send(&batch(1));
    assert_eq!(said(&outcomes[0]), Said::Unsent, "{outcomes:?}");
    assert_eq!(rig.server.connections(), 2);
}

#[test]
fn a_refused_rset_costs_the_connection_and_not_the_next_mail() {
    for answer in ["421 4.7.0 Closing", "451 4.3.0 Try later", "502 5.5.1 What is that"] {
        let rig = Rig::plain();
        rig.server.refuse("user0@example.com", "550 5.1.1 No such user");
        rig.server.push(Step::Rset, Act::Say(answer));
        let outcomes = rig.smtp().send(&batch(3));
        let got: Vec<Said> = outcomes.iter().map(said).collect();
        assert_eq!(got, [Said::Reject, Said::Accept, Said::Accept], "{answer}: {outcomes:?}");
        assert_eq!(rig.server.connections(), 2, "{answer}");
    }
}

#[test]
fn a_connection_that_is_found_gone_after_a_minute_is_not_opened_again_for_this_batch() {
    static AHEAD: AtomicU64 = AtomicU64::new(0);
    let rig = Rig::plain();
    let clock = Clock {
        now: || Instant::now() + Duration::from_secs(AHEAD.load(Ordering::SeqCst)),
        ..system_clock()
    };
    let mut smtp = smtp_by(clock, &rig.url(""), rig.dir.path(), &rig.stop).unwrap();
    assert!(smtp.send(&batch(1)).iter().all(accepted));
    // The server says nothing more, and time goes by.
    rig.server.push(Step::Mail, Act::Slow(Duration::from_secs(20)));
    let asked = || rig.server.lines().iter().filter(|line| line.starts_with("MAIL")).count();
    let outcomes = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the second one is asked for", || asked() >= 2);
            AHEAD.store(61, Ordering::SeqCst);
        });
        smtp.send(&batch(2))
    });
    let got: Vec<Said> = outcomes.iter().map(said).collect();
    assert_eq!(got, [Said::Unsent, Said::Unsent], "{outcomes:?}");
    assert_eq!(rig.server.connections(), 1);
    assert!(smtp.send(&batch(2)).iter().all(accepted), "the next batch has a minute of its own");
    assert_eq!(rig.server.mails().len(), 3);
}

#[test]
fn a_certificate_that_is_not_trusted_or_of_another_name_holds_everything() {
    for tls in [Tls::Offered, Tls::Immediate] {
        let rig = Rig::with(MailServer::start(tls, LOGIN));
        let (good, port) = (rig.url("user:hunter2@"), rig.server.port());
        let other = good.replace("localhost", "127.0.0.1");
        let unknown = good.split("ca=").next().unwrap().trim_end_matches(['?', '&']).to_owned();
        for url in [other, unknown] {
            let outcomes = rig.smtp_at(&url).send(&batch(2));
            assert_eq!(said(&outcomes[0]), Said::HoldAll, "{port}: {outcomes:?}");
            assert!(why(&outcomes[0]).contains("certificate"), "{outcomes:?}");
        }
        assert!(rig.server.lines().iter().all(|line| line != "AUTH"), "no password was sent");
        assert!(rig.smtp_at(&good).send(&batch(1)).iter().all(accepted));
    }
}

#[test]
fn without_encryption_nothing_that_needs_it_is_sent() {
    let rig = Rig::with(MailServer::start(Tls::Never, LOGIN));
    let port = rig.server.port();
    for url in [
        format!("smtp://localhost:{port}"),
        format!("smtp://user:hunter2@localhost:{port}"),
        format!("smtp://user:hunter2@localhost:{port}?tls=opportunistic"),
    ] {
        let outcomes = rig.smtp_at(&url).send(&batch(2));
        assert_eq!(said(&outcomes[0]), Said::HoldAll);
        assert!(why(&outcomes[0]).contains("offers no STARTTLS"), "{outcomes:?}");
    }
    assert!(rig.server.lines().iter().all(|line| line.starts_with("EHLO")));
    let rig = Rig::plain();
    let url = format!("smtp://localhost:{}?tls=opportunistic", rig.server.port());
    assert!(rig.smtp_at(&url).send(&batch(1)).iter().all(accepted));
}

#[test]
fn the_name_in_ehlo_is_that_of_the_url_or_of_this_machine() {
    let rig = Rig::plain();
    let port = rig.server.port();
    for (more, name) in
        [("&helo=relay.example.org", "relay.example.org"), ("&helo=box", "[127.0.0.1]"), ("", "")]
    {
        let url = format!("smtp://localhost:{port}?tls=none{more}");
        assert!(rig.smtp_at(&url).send(&batch(1)).iter().all(accepted));
        let lines = rig.server.lines();
        let ehlo = lines.iter().rfind(|line| line.starts_with("EHLO ")).unwrap();
        let said = ehlo["EHLO ".len()..].trim();
        match name {
            "" => assert!(!said.is_empty() && said != "relay.example.org", "{said}"),
            name => assert_eq!(said, name),
        }
    }
}

#[test]
fn a_server_without_a_login_we_know_holds_everything() {
    let rig = Rig::plain();
    let url = format!("smtp://user:hunter2@localhost:{}?tls=none", rig.server.port());
    let outcomes = rig.smtp_at(&url).send(&batch(1));
    assert_eq!(said(&outcomes[0]), Said::HoldAll, "{outcomes:?}");
    let rig = Rig::with(MailServer::start(Tls::Offered, LOGIN));
    let lines = "250-mail.mailroom.test\n250-STARTTLS\n250 auth CRAM-MD5 XOAUTH2";
    rig.server.set(Step::Ehlo, Some(Act::Say(lines)));
    let outcomes = rig.smtp_at(&rig.url("user:hunter2@")).send(&batch(1));
    assert_eq!(said(&outcomes[0]), Said::HoldAll);
    let why = why(&outcomes[0]);
    assert!(why.ends_with("it offers AUTH CRAM-MD5 XOAUTH2"), "{why}");
}

#[test]
fn auth_login_is_spoken_where_plain_is_not_offered() {
    let rig = Rig::with(MailServer::start(Tls::Offered, LOGIN));
    let lines = "250-mail.mailroom.test\n250-STARTTLS\n250 AUTH LOGIN";
    rig.server.set(Step::Ehlo, Some(Act::Say(lines)));
    assert!(rig.smtp_at(&rig.url("user:hunter2@")).send(&batch(1)).iter().all(accepted));
}

#[test]
fn a_server_that_writes_its_keywords_in_another_case_gets_the_mail_encrypted() {
    for (tls, keyword) in
        [("opportunistic", "StartTLS"), ("opportunistic", "starttls"), ("required", "StartTLS")]
    {
        let rig = Rig::with(MailServer::start(Tls::Offered, None));
        let lines = format!("250-mail.mailroom.test\n250-{keyword}\n250 8bitmime");
        rig.server.set(Step::Ehlo, Some(Act::Say(lines.leak())));
        let url = rig.url("").replace("required", tls);
        assert!(rig.smtp_at(&url).send(&batch(1)).iter().all(accepted), "{tls} {keyword}");
        assert!(rig.server.mails()[0].encrypted, "{tls} {keyword}");
    }
}

#[test]
fn a_login_is_found_in_whatever_case_and_in_its_old_form() {
    for auth in ["auth LOGIN PLAIN", "Auth Plain", "AUTH=LOGIN PLAIN", "AUTH Login"] {
        let rig = Rig::with(MailServer::start(Tls::Offered, LOGIN));
        let lines = format!("250-mail.mailroom.test\n250-STARTTLS\n250 {auth}");
        rig.server.set(Step::Ehlo, Some(Act::Say(lines.leak())));
        let outcomes = rig.smtp_at(&rig.url("user:hunter2@")).send(&batch(1));
        assert!(outcomes.iter().all(accepted), "{auth}: {outcomes:?}");
        assert_eq!(rig.server.mails()[0].user.as_deref(), Some("user"), "{auth}");
    }
}

#[test]
fn what_is_said_before_the_handshake_is_not_taken_for_encrypted() {
    let rig = Rig::with(MailServer::start(Tls::Offered, None));
    rig.server.push(Step::StartTls, Act::Say("220 go\n250-injected\n250 AUTH PLAIN"));
    let outcomes = rig.smtp().send(&batch(1));
    assert_ne!(said(&outcomes[0]), Said::Accept);
    assert!(rig.server.mails().is_empty());
}

#[test]
fn a_stop_gives_a_mail_up_after_the_grace_and_begins_no_other() {
    let rig = Rig::plain();
    rig.server.push(Step::Dot, Act::Slow(Duration::from_secs(20)));
    let mut smtp = rig.smtp();
    let (outcomes, took) = std::thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the mail is under way", || {
                rig.server.lines().iter().any(|line| line == "DATA")
            });
            rig.stop.request();
        });
        let start = Instant::now();
        (smtp.send(&batch(3)), start.elapsed())
    });
    let got: Vec<Said> = outcomes.iter().map(said).collect();
    assert_eq!(got, [Said::Ambiguous, Said::Unsent, Said::Unsent], "{outcomes:?}");
    assert!(took > Duration::from_secs(3), "work under way may still end: {took:?}");
}

#[test]
fn a_server_that_quotes_a_login_does_not_get_it_into_a_reason() {
    // The first is base64 of "\0user\0hunter2".
    for quoted in ["AUTH PLAIN AHVzZXIAaHVudGVyMg==", "user:hunter2"] {
        let rig = Rig::with(MailServer::start(Tls::Offered, LOGIN));
        let answer = format!("535 5.7.8 Bad credentials: {quoted}");
        rig.server.push(Step::Auth, Act::Say(answer.leak()));
        let outcomes = rig.smtp_at(&rig.url("user:hunter2@")).send(&batch(1));
        let text = format!("{outcomes:?}");
        assert!(text.contains("535 at login: 5.7.8 Bad credentials"), "{text}");
        assert!(!text.contains("AHVzZXIAaHVudGVyMg") && !text.contains("hunter2"), "{text}");
    }
}
