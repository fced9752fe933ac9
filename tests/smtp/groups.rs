//! Commands in groups, several connections, and how many mails go on each.

use super::{Rig, smtp_on};
use crate::support::batches::{accepted, batch, cause};
use crate::support::mailserver::{Act, Groups, Step};
use mailroom::edges::clock::Clock;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome};
use mailroom::pump::system_clock;
use mailroom::send::smtp::Smtp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

fn on(rig: &Rig, connections: usize, mails: usize, clock: Clock) -> Smtp {
    smtp_on(connections, mails, clock, &rig.url(""), rig.dir.path(), &rig.stop).unwrap()
}

fn address(number: usize) -> String {
    format!("user{number}@example.com")
}

/// Who got a mail, in order.
fn got(rig: &Rig) -> Vec<String> {
    rig.server.mails().into_iter().map(|mail| mail.to).collect()
}

/// Who was named in RCPT, in order.
fn named(rig: &Rig) -> Vec<String> {
    let inside = |line: &str| line.strip_prefix("RCPT TO:<")?.strip_suffix('>').map(str::to_owned);
    rig.server.lines().iter().filter_map(|line| inside(line)).collect()
}

#[test]
fn the_next_mail_is_begun_in_the_group_that_ends_the_one_before() {
    let rig = Rig::plain();
    rig.server.offer_groups(Groups::Good);
    // It says nothing to the first nine before it has heard of the mail behind.
    rig.server.insist(10);
    assert!(rig.smtp().send(&batch(10)).iter().all(accepted));
    assert_eq!(got(&rig), (0..10).map(address).collect::<Vec<_>>());
    assert_eq!(rig.server.connections(), 1);
}

#[test]
fn a_refused_recipient_in_a_group_never_lets_content_through() {
    // The server fails at content that has no recipient.
    for groups in [Groups::Good, Groups::Lax] {
        let rig = Rig::plain();
        rig.server.offer_groups(groups);
        for refused in [0, 3, 4, 9] {
            rig.server.refuse(&address(refused), "550 5.1.1 No such user");
        }
        let outcomes = rig.smtp().send(&batch(10));
        for (number, outcome) in outcomes.iter().enumerate() {
            match number {
                0 | 3 | 4 | 9 => assert_eq!(cause(outcome), Cause::Rejected, "{groups:?}"),
                _ => assert!(accepted(outcome), "{groups:?} {outcome:?}"),
            }
        }
        for mail in rig.server.mails() {
            let to = mail.header("To").unwrap();
            assert_eq!(to, mail.to, "each mail has its own content");
        }
        assert_eq!((got(&rig).len(), rig.server.connections()), (6, 1), "{groups:?}");
    }
}

#[test]
fn a_server_that_breaks_with_groups_gets_one_command_at_a_time() {
    static FORGOTTEN: AtomicU64 = AtomicU64::new(0);
    for groups in [Groups::Close, Groups::Forget(&FORGOTTEN), Groups::Swallow(&FORGOTTEN)] {
        let rig = Rig::plain();
        rig.server.offer_groups(groups);
        // What it forgot is waited for in vain.
        let clock = Clock {
            now: || Instant::now() + Duration::from_secs(31 * FORGOTTEN.load(Ordering::SeqCst)),
            ..system_clock()
        };
        let mut smtp = on(&rig, 1, 100, clock);
        let outcomes = smtp.send(&batch(5));
        assert!(outcomes.iter().all(accepted), "no attempt is lost: {groups:?} {outcomes:?}");
        assert!(smtp.send(&batch(5)).iter().all(accepted));
        assert_eq!((got(&rig).len(), rig.server.connections()), (10, 2), "{groups:?}");
    }
}

#[test]
fn a_mail_that_waits_on_one_connection_lets_the_others_go_on_another() {
    for groups in [None, Some(Groups::Good)] {
        let rig = Rig::plain();
        groups.into_iter().for_each(|groups| rig.server.offer_groups(groups));
        // With one connection nothing would ever come of it.
        rig.server.wait_with(&address(0), 9);
        let outcomes = on(&rig, 2, 100, system_clock()).send(&batch(10));
        assert!(outcomes.iter().all(accepted), "{outcomes:?}");
        let mails = got(&rig);
        assert_eq!((mails.len(), mails.last()), (10, Some(&address(0))));
        assert_eq!(rig.server.connections(), 2);
    }
}

#[test]
fn a_connection_is_used_for_so_many_mails() {
    for groups in [None, Some(Groups::Good)] {
        let rig = Rig::plain();
        groups.into_iter().for_each(|groups| rig.server.offer_groups(groups));
        let mut smtp = on(&rig, 1, 10, system_clock());
        for (mails, connections) in [(25, 3), (5, 3), (1, 4)] {
            assert!(smtp.send(&batch(mails)).iter().all(accepted));
            assert_eq!(rig.server.connections(), connections);
        }
        let goodbyes = rig.server.lines().iter().filter(|line| *line == "QUIT").count();
        assert_eq!(goodbyes, 3);
        assert_eq!(got(&rig).len(), 31);
    }
}

#[test]
fn a_second_connection_that_is_refused_costs_nothing() {
    let rig = Rig::plain();
    rig.server.push(Step::Greeting, Act::Say("220 mail.mailroom.test"));
    rig.server.set(Step::Greeting, Some(Act::Say("421 4.3.2 Concurrent connections limit")));
    let outcomes = on(&rig, 2, 100, system_clock()).send(&batch(20));
    assert!(outcomes.iter().all(accepted), "{outcomes:?}");
    assert_eq!(rig.server.connections(), 2, "it is not asked for another in this batch");
}

#[test]
fn recipients_that_cost_a_while_each_do_not_keep_the_good_ones_behind_them() {
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    let rig = Rig::plain();
    rig.server.tarpit(&REFUSED);
    for bad in 0..20 {
        rig.server.refuse(&address(bad), "550 5.7.1 No");
    }
    // Eight seconds each: the time of the batch is over after eight of them.
    let clock = Clock {
        now: || Instant::now() + Duration::from_secs(8 * REFUSED.load(Ordering::SeqCst)),
        ..system_clock()
    };
    let mut smtp = on(&rig, 1, 100, clock);
    let outcomes = smtp.send(&batch(50));
    assert!(outcomes[20..].iter().all(accepted), "{outcomes:?}");
    let of = |wanted: Cause| {
        let is = |one: &&Outcome| !accepted(one) && cause(one) == wanted;
        outcomes.iter().filter(is).count()
    };
    assert_eq!((of(Cause::Rejected), of(Cause::Away)), (8, 12), "{outcomes:?}");
    let names = named(&rig);
    let last_good = (20..50).filter_map(|good| names.iter().position(|to| *to == address(good)));
    let before = &names[..last_good.max().unwrap()];
    assert_eq!((0..20).filter(|bad| before.contains(&address(*bad))).count(), 1);
}
