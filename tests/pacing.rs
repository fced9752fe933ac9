//! Hours and days of sending on a clock of our own: never more than is allowed, and nearly all of
//! it. `cargo test pacing -- --nocapture` prints the figures.

use mailroom::mail::ends::Ask;
use mailroom::mail::model::{Cause, Message, Outcome, Quota};
use mailroom::mail::pace::Pace;
use mailroom::mail::pace::change::Change;
use std::collections::VecDeque;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The messages of a batch, for they are all alike here.
static MESSAGES: LazyLock<Vec<Message>> = LazyLock::new(|| vec![Message::default(); 1000]);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a call takes.
const CALL: Duration = Duration::from_millis(40);

/// What was accepted, and when.
#[derive(Default)]
struct Sent(Vec<(Instant, u64)>);

impl Sent {
    fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The most in any window of this width, open at its end.
    fn most_in(&self, width: Duration) -> u64 {
        let (mut most, mut sum, mut first) = (0, 0, 0);
        for (at, count) in &self.0 {
            sum += count;
            while self.0[first].0 + width <= *at {
                sum -= self.0[first].1;
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }

    /// What the database would say is left of a limit at this moment.
    fn left(&self, limit: u64, now: Instant) -> u64 {
        let of_today = self.0.iter().rev().take_while(|(at, _)| *at + DAY > now);
        limit - of_today.map(|(_, count)| count).sum::<u64>()
    }
}

fn outcomes(accepted: u64, throttled: u64) -> Vec<Outcome> {
    let good = Outcome::Accepted { provider_id: "id".into() };
    let slow = Outcome::refused(Cause::Throttled, "too fast");
    let good = std::iter::repeat_n(good, usize::try_from(accepted).unwrap());
    good.chain(std::iter::repeat_n(slow, usize::try_from(throttled).unwrap())).collect()
}

fn learn(pace: &mut Pace, mut outcomes: Vec<Outcome>, now: Instant) {
    let messages = &MESSAGES[..outcomes.len()];
    let _ = pace.learn(messages, &mut outcomes, now);
}

/// One batch, if it may go now; gives the time of the next look. `accept` says how many of so
/// many the provider takes.
fn step(
    pace: &mut Pace,
    now: Instant,
    sent: &mut Sent,
    accept: &mut dyn FnMut(Instant, u64) -> u64,
) -> Instant {
    match pace.permit(now) {
        Err(at) => at,
        Ok(Ask { limit, .. }) => {
            pace.spent(0, limit, now);
            let count = u64::try_from(limit).unwrap();
            let taken = accept(now, count).min(count);
            if taken > 0 {
                sent.0.push((now, taken));
            }
            learn(pace, outcomes(taken, count - taken), now + CALL);
            now + CALL
        }
    }
}

/// Hands over so many, all of which are accepted.
fn take(pace: &mut Pace, count: u64, now: Instant) {
    learn(pace, outcomes(count, 0), now);
}

fn all(_: Instant, count: u64) -> u64 {
    count
}

/// A provider that takes so many a second, with a second's worth in reserve.
fn bucket(rate: f64, start: Instant) -> impl FnMut(Instant, u64) -> u64 {
    let (mut level, mut then) = (rate, start);
    move |now, count| {
        level = (level + rate * (now - then).as_secs_f64()).min(rate);
        then = now;
        let taken = (level.floor() as u64).min(count);
        level -= taken as f64;
        taken
    }
}

fn percent(part: u64, whole: f64) -> f64 {
    part as f64 * 100.0 / whole
}

#[test]
fn six_hours_keep_to_the_rate_but_for_one_batch_and_use_it_up() {
    for (rate, batch) in [(50.0, 10), (50.0, 50), (14.0, 10), (1.0, 10), (0.5, 3)] {
        let start = Instant::now();
        let (mut pace, mut sent, mut now) = (Pace::new(batch, rate, None), Sent::default(), start);
        while now < start + 6 * HOUR {
            now = step(&mut pace, now, &mut sent, &mut all);
        }
        let used = percent(sent.total(), rate * 6.0 * 3600.0);
        let most = sent.most_in(SECOND);
        println!("rate {rate}/s, batches of {batch}: {used:.2} %, at most {most} in a second");
        assert!(used >= 95.0, "{used} %");
        assert!(most as f64 <= rate + batch as f64, "{most}");
    }
}

#[test]
fn however_low_the_rate_no_batch_but_a_single_message_keeps_the_next_waiting_for_a_minute() {
    for (rate, batch) in [(0.01, 10), (0.05, 10), (0.5, 50), (50.0, 50)] {
        for throttled in [0, 1] {
            let mut pace = Pace::new(batch, rate, None);
            let (mut now, mut batches) = (Instant::now(), 0);
            while batches < 100 {
                let limit = match pace.permit(now) {
                    Err(at) => {
                        now = at;
                        continue;
                    }
                    Ok(Ask { limit, .. }) => limit,
                };
                batches += 1;
                pace.spent(0, limit, now);
                if let Err(at) = pace.permit(now) {
                    let wait = at - now;
                    assert!(limit == 1 || wait <= MINUTE, "{rate}/s: {limit} cost {wait:?}");
                }
                let limit = limit as u64;
                learn(&mut pace, outcomes(limit * (1 - throttled), limit * throttled), now);
            }
        }
    }
}

#[test]
fn a_pause_does_not_save_up_for_a_burst() {
    let start = Instant::now();
    let (mut pace, mut sent) = (Pace::new(10, 20.0, None), Sent::default());
    for round in 0..100 {
        let mut now = start + round * 7 * MINUTE;
        let end = now + 5 * SECOND;
        while now < end {
            now = step(&mut pace, now, &mut sent, &mut all);
        }
    }
    let most = sent.most_in(SECOND);
    assert!((20..=30).contains(&most), "{most}");
}

#[test]
fn short_throttling_costs_half_a_minute_and_not_the_hour() {
    let start = Instant::now();
    let (mut pace, mut sent, mut now) = (Pace::new(10, 50.0, None), Sent::default(), start);
    // Half a minute of every half hour nothing is taken.
    let refused = |now: Instant| (now - start).as_secs() % 1800 >= 1770;
    let mut calls = 0;
    let mut accept = |now, count| {
        calls += u64::from(refused(now));
        if refused(now) { 0 } else { count }
    };
    while now < start + 6 * HOUR {
        now = step(&mut pace, now, &mut sent, &mut accept);
    }
    let used = percent(sent.total(), 50.0 * (6.0 * 3600.0 - 12.0 * 30.0));
    let each = calls / 12;
    println!("throttled 30 s every half hour: {used:.2} % of the rest, {each} calls each time");
    assert!(used >= 95.0, "{used} %");
    assert!(sent.most_in(SECOND) <= 60);
    // At 5 calls a second it would be 150.
    assert!(each <= 15, "{each} calls while it throttled");
}

/// A provider that takes so many in each second of its clock, and no call of which a part would be
/// too much.
fn window(rate: f64, start: Instant) -> impl FnMut(Instant, u64) -> u64 {
    let (mut second, mut used) = (0, 0);
    move |now, count| {
        let at = (now - start).as_millis() + 370;
        if at / 1000 != second {
            (second, used) = (at / 1000, 0);
        }
        let taken = if used + count > rate as u64 { 0 } else { count };
        used += taken;
        taken
    }
}

/// A provider: at this moment it is offered so many, and takes so many.
type Provider = Box<dyn FnMut(Instant, u64) -> u64>;

#[test]
fn a_rate_that_nobody_told_is_found_in_twenty_seconds() {
    let rates = [1.0, 2.0, 5.0, 14.0, 33.3, 45.0, 50.0];
    let cases = rates.iter().flat_map(|rate| [1, 10, 50].map(|batch| (*rate, batch)));
    for ((rate, batch), phase) in cases.flat_map(|case| [0, 250, 500, 750].map(|ms| (case, ms))) {
        let zero = Instant::now();
        let start = zero + Duration::from_millis(phase);
        let providers: [(&str, Provider); 2] =
            [("bucket", Box::new(bucket(rate, zero))), ("window", Box::new(window(rate, zero)))];
        for (name, mut accept) in providers {
            let (mut pace, mut sent, mut now) =
                (Pace::new(batch, 50.0, None), Sent::default(), start);
            let (mut asked, mut vain) = (0, 0);
            let mut counted = |now, count| {
                let taken = accept(now, count);
                if now > start + 20 * SECOND {
                    (asked, vain) = (asked + 1, vain + u64::from(taken < count));
                }
                taken
            };
            while now < start + 60 * SECOND {
                now = step(&mut pace, now, &mut sent, &mut counted);
            }
            let late = sent.0.iter().filter(|(at, _)| *at >= start + 20 * SECOND);
            let allowed = if name == "window" { rate.floor() } else { rate };
            // No more can go than one batch a call.
            let allowed = allowed.min(batch as f64 / CALL.as_secs_f64());
            let used = percent(late.map(|(_, count)| count).sum(), allowed * 40.0);
            let vain = percent(vain, asked as f64);
            let case = format!("{rate}/s by {name}, batches of {batch}, {phase} ms");
            println!("{case}: {used:.1} %, {vain:.1} % in vain");
            assert!(used >= 90.0, "{case}: {used} %");
            assert!(vain <= 10.0, "{case}: {vain} % in vain");
        }
    }
}

#[test]
fn below_a_limit_that_nobody_told_nearly_all_of_it_is_used() {
    for limit in [14.0, 33.3, 45.0] {
        let start = Instant::now();
        let (mut pace, mut sent, mut now) = (Pace::new(10, 50.0, None), Sent::default(), start);
        let mut accept = bucket(limit, start);
        let (mut asked, mut refused) = (0, 0);
        let mut counted = |now, count| {
            let taken = accept(now, count);
            (asked, refused) = (asked + count, refused + count - taken);
            taken
        };
        while now < start + 6 * HOUR {
            now = step(&mut pace, now, &mut sent, &mut counted);
        }
        let used = percent(sent.total(), limit * 6.0 * 3600.0);
        let vain = percent(refused, asked as f64);
        println!("50/s against an untold {limit}/s: {used:.2} %, {vain:.2} % asked in vain");
        assert!(used >= 95.0, "{used} %");
        assert!(vain <= 2.0, "{vain} % in vain");
    }
}

#[test]
fn a_limit_that_the_provider_tells_is_kept_and_used_up() {
    let start = Instant::now();
    let (mut pace, mut sent, mut now) = (Pace::new(50, 50.0, None), Sent::default(), start);
    assert!(pace.wants_quota(now));
    let quota = Quota { rate: Some(14.0), daily: Some(50_000), left: Some(50_000) };
    assert_eq!(pace.allow(Some(quota), now), Some(Change::Allowed(quota, 14.0)));
    assert_eq!(pace.allow(Some(quota), now), None, "nothing is new");
    while now < start + HOUR / 2 {
        now = step(&mut pace, now, &mut sent, &mut all);
    }
    let used = percent(sent.total(), 14.0 * 1800.0);
    println!("a told 14/s: {used:.2} %, at most {} in a second", sent.most_in(SECOND));
    assert!(used >= 95.0 && sent.most_in(SECOND) <= 28);
    // A higher one than was asked for changes nothing.
    let more = Quota { rate: Some(1000.0), ..quota };
    assert_eq!(pace.allow(Some(more), now), Some(Change::Allowed(more, 50.0)));
}

#[test]
fn four_days_with_restarts_keep_to_the_limit_of_any_24_hours_and_use_it_up() {
    // Each 5 h 20 min the process is another, which knows only what the database tells. What is
    // allowed: the limit at once, and from then on at its mean rate.
    for (rate, limit) in [(50.0, 10_000), (1.0, 10_000), (0.15, 10_000), (2.0, 997)] {
        let start = Instant::now();
        let (mut sent, mut now, mut restarts) = (Sent::default(), start, 0);
        while now < start + 4 * DAY {
            let mut pace = Pace::new(10, rate, Some(limit));
            assert!(pace.wants_count(now).is_some(), "it asks before it sends");
            let end = now + 16 * HOUR / 3;
            while now < end {
                if let Some(limit) = pace.wants_count(now) {
                    pace.count(Some(sent.left(limit, now)), now);
                }
                now = step(&mut pace, now, &mut sent, &mut all).min(end);
            }
            restarts += 1;
        }
        let allowed = (limit as f64 * 4.0).min(rate * 4.0 * 86400.0);
        let used = percent(sent.total(), allowed);
        let most = sent.most_in(DAY);
        println!(
            "limit {limit} at {rate}/s, {restarts} processes: {used:.2} %, at most {most} in 24 h"
        );
        assert!(most <= limit, "{most} in 24 h");
        assert!(used >= 95.0, "{used} %");
    }
}

#[test]
fn processes_that_share_a_database_share_the_limit() {
    for rate in [10.0, 50.0] {
        share(rate, 20_000);
    }
}

fn share(rate: f64, limit: u64) {
    let start = Instant::now();
    let mut sent = Sent::default();
    let mut processes: Vec<(Instant, Pace)> =
        (0..3).map(|n| (start + n * 7 * SECOND, Pace::new(10, rate, Some(limit)))).collect();
    let (mut counts, mut turned_away) = (0u64, 0u64);
    loop {
        processes.sort_by_key(|(at, _)| *at);
        let (at, pace) = &mut processes[0];
        let now = *at;
        if now >= start + 3 * DAY {
            break;
        }
        if let Some(limit) = pace.wants_count(now) {
            pace.count(Some(sent.left(limit, now)), now);
            counts += 1;
        }
        *at = match pace.permit(now) {
            Err(at) => at,
            Ok(Ask { limit: most, .. }) => {
                // The claim: alone, with all that was claimed before in sight (tests/quota.rs).
                let claimed = sent.left(limit, now).min(most as u64);
                if claimed == 0 {
                    turned_away += 1;
                    pace.crowded(now);
                } else {
                    pace.spent(0, usize::try_from(claimed).unwrap(), now);
                    sent.0.push((now, claimed));
                    learn(pace, outcomes(claimed, 0), now + CALL);
                }
                now + CALL
            }
        };
    }
    let used = percent(sent.total(), 3.0 * limit as f64);
    let most = sent.most_in(DAY);
    println!(
        "three processes at {rate}/s: {used:.2} %, at most {most} in 24 h, {counts} counts in 3 \
         days, {turned_away} claims turned away"
    );
    assert!(used >= 95.0, "{used} %");
    assert!(most <= limit, "{most} in 24 h");
    assert!(counts <= 3 * 3 * 400, "{counts} counts");
    assert!(turned_away <= 3 * 3 * 150, "{turned_away} turned away");
}

#[test]
fn an_account_that_others_use_too_is_never_overdrawn() {
    // The provider's own count decides; somebody else sends once a minute.
    let start = Instant::now();
    let daily = 5_000;
    let (mut pace, mut ours, mut now) = (Pace::new(10, 5.0, None), Sent::default(), start);
    let mut account: VecDeque<(Instant, u64)> = VecDeque::new();
    let (mut theirs_at, mut theirs, mut refused) = (start, 0u64, 0u64);
    let mut readings = 0;
    while now < start + 3 * DAY {
        while account.front().is_some_and(|(at, _)| *at + DAY <= now) {
            account.pop_front();
        }
        let mut used: u64 = account.iter().map(|(_, count)| count).sum();
        while theirs_at <= now {
            if used < daily {
                account.push_back((theirs_at, 1));
                (used, theirs) = (used + 1, theirs + 1);
            }
            theirs_at += MINUTE;
        }
        if pace.wants_quota(now) {
            let left = Some(daily - used.min(daily));
            let quota = Quota { rate: None, daily: Some(daily), left };
            let _ = pace.allow(Some(quota), now);
            readings += 1;
        }
        let before = ours.total();
        now = step(&mut pace, now, &mut ours, &mut |_, count| {
            let taken = count.min(daily - used.min(daily));
            refused += count - taken;
            taken
        });
        if ours.total() > before {
            account.push_back((now - CALL, ours.total() - before));
        }
    }
    let used = percent(ours.total() + theirs, 3.0 * daily as f64);
    println!("a shared account: {used:.2} % used, {refused} refused, {readings} readings");
    assert!(used >= 95.0, "{used} %");
    assert!(refused <= 3 * 80, "{refused} refused");
}

#[test]
fn rows_that_are_deleted_early_are_still_counted_by_the_process_that_sent_them() {
    let start = Instant::now();
    let (mut pace, mut sent, mut now) = (Pace::new(10, 1000.0, Some(100)), Sent::default(), start);
    while now < start + 20 * HOUR {
        if let Some(limit) = pace.wants_count(now) {
            pace.count(Some(limit), now);
        }
        now = step(&mut pace, now, &mut sent, &mut all);
    }
    assert_eq!(sent.total(), 100);
}

#[test]
fn a_day_that_is_full_is_told_once() {
    let start = Instant::now();
    let mut pace = Pace::new(10, 1000.0, Some(10));
    pace.count(None, start);
    assert_eq!(pace.wants_count(start + DAY), None, "nobody asks while nothing goes");
    assert_eq!(pace.news(start), None);
    take(&mut pace, 10, start);
    let wait = DAY + 10 * MINUTE;
    assert_eq!(pace.news(start), Some(Change::Full(wait)));
    assert_eq!(pace.news(start + SECOND), None);
    assert!(matches!(pace.permit(start + SECOND), Err(at) if at == start + wait));
    assert_eq!(pace.news(start + wait), None);
    take(&mut pace, 10, start + wait);
    assert!(pace.news(start + wait).is_some());
}

#[test]
fn the_quota_is_asked_for_at_the_start_while_mail_goes_and_after_an_outage() {
    let start = Instant::now();
    let mut pace = Pace::new(10, 50.0, None);
    let quota = Quota { rate: Some(14.0), daily: Some(1000), left: Some(1000) };
    let told = |pace: &mut Pace, now| {
        let _ = pace.allow(Some(quota), now);
        assert!(!pace.wants_quota(now));
    };
    assert!(pace.wants_quota(start));
    told(&mut pace, start);
    assert!(!pace.wants_quota(start + DAY), "nothing goes");
    take(&mut pace, 1, start);
    assert!(!pace.wants_quota(start + 9 * MINUTE));
    assert!(pace.wants_quota(start + 10 * MINUTE));
    told(&mut pace, start + 10 * MINUTE);
    // Without an answer what was told goes on, to its end.
    take(&mut pace, 999, start + 10 * MINUTE);
    assert_eq!(pace.allow(None, start + 20 * MINUTE), None);
    assert!(matches!(pace.permit(start + 20 * MINUTE), Ok(Ask { limit: 1, .. })));
    take(&mut pace, 1, start + 20 * MINUTE);
    assert_eq!(pace.permit(start + 20 * MINUTE), Err(start + 30 * MINUTE));
    assert!(!pace.wants_quota(start + 29 * MINUTE) && pace.wants_quota(start + 30 * MINUTE));
    told(&mut pace, start + 30 * MINUTE);

    let now = start + 32 * MINUTE;
    let away = Outcome::refused(Cause::Away, "not sent");
    let good = Outcome::Accepted { provider_id: String::new() };
    learn(&mut pace, vec![away], now);
    assert!(!pace.wants_quota(now));
    learn(&mut pace, vec![good], now);
    assert!(pace.wants_quota(now), "the provider is back");

    let pipe = Pace::new(10, f64::INFINITY, None);
    assert!(!pipe.wants_quota(start) && pipe.wants_count(start).is_none(), "a pipe has neither");
}
