//! Keeping credentials and renewing them.

use super::Place;
use crate::support::cloud::{Answer, Cloud, document};
use mailroom::edges::aws::credentials::source::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A container that numbers what it gives, and can fail.
struct Container {
    cloud: Cloud,
    place: Place,
    broken: Arc<AtomicBool>,
    lives: Arc<AtomicU64>,
}

impl Container {
    fn new() -> Container {
        let (broken, lives) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(3600)));
        let (fails, life, count) = (broken.clone(), lives.clone(), AtomicUsize::new(0));
        let cloud = Cloud::scripted(move |_| {
            if fails.load(Ordering::SeqCst) {
                return Some(Answer::new(500, ""));
            }
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let life = Duration::from_secs(life.load(Ordering::SeqCst));
            Some(Answer::new(200, document(&format!("AKID{number}"), life)))
        });
        let mut place = Place::new(&cloud);
        place.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{}/container", cloud.url()));
        Container { cloud, place, broken, lives }
    }

    fn asked(&self) -> usize {
        self.cloud.requests().len()
    }
}

#[test]
fn credentials_are_kept_until_five_minutes_before_they_expire() {
    let container = Container::new();
    let mut keeper = container.place.keeper();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    container.place.pass(Duration::from_secs(3600 - 310));
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    assert_eq!(container.asked(), 1);
    container.place.pass(Duration::from_secs(11));
    container.lives.store(9000, Ordering::SeqCst);
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID2");
    assert_eq!(container.asked(), 2);
}

#[test]
fn while_they_live_a_failed_renewal_changes_nothing_and_is_tried_every_half_minute() {
    let container = Container::new();
    let mut keeper = container.place.keeper();
    keeper.get().unwrap();
    container.broken.store(true, Ordering::SeqCst);
    container.place.pass(Duration::from_secs(3600 - 299));
    for _ in 0..5 {
        assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    }
    assert_eq!(container.asked(), 2, "not at each call");
    container.place.pass(Duration::from_secs(31));
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    assert_eq!(container.asked(), 3);
    container.place.pass(Duration::from_secs(31));
    container.broken.store(false, Ordering::SeqCst);
    container.lives.store(9000, Ordering::SeqCst);
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID2");
}

#[test]
fn when_they_expired_and_nothing_renews_them_there_are_none_until_there_are() {
    let container = Container::new();
    let mut keeper = container.place.keeper();
    keeper.get().unwrap();
    container.broken.store(true, Ordering::SeqCst);
    container.place.pass(Duration::from_secs(3601));
    for _ in 0..2 {
        let failure = keeper.get().unwrap_err();
        assert!(matches!(&failure, Failure::Passing(why) if why.contains("HTTP 500")), "{failure}");
    }
    container.broken.store(false, Ordering::SeqCst);
    container.lives.store(9000, Ordering::SeqCst);
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID2");
}

#[test]
fn short_lived_ones_serve_for_half_of_their_life() {
    let container = Container::new();
    container.lives.store(20, Ordering::SeqCst);
    let mut keeper = container.place.keeper();
    keeper.get().unwrap();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    container.place.pass(Duration::from_secs(11));
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID2");
}

#[test]
fn fresh_ones_that_look_expired_by_our_clock_are_used() {
    let container = Container::new();
    container.place.pass(Duration::from_secs(7200));
    let mut keeper = container.place.keeper();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    assert_eq!(container.asked(), 1);
}

#[test]
fn keys_of_a_file_are_read_anew_when_the_provider_refused_them() {
    let place = Place::new(&Cloud::start());
    let keys =
        |id| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = hunter2\n");
    place.write(".aws/credentials", &keys("AKID1"));
    let mut keeper = place.keeper();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    place.write(".aws/credentials", &keys("AKID2"));
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID1");
    keeper.forget();
    assert_eq!(keeper.get().unwrap().access_key_id(), "AKID2");
}
