//! The way from one version of the schema to another.

use crate::support::cluster::Database;
use mailroom::db::migrate::{self, Change};

fn versions(steps: &[migrate::Step], change: Change) -> Vec<i64> {
    steps.iter().filter(|step| step.change == change).map(|step| step.version).collect()
}

#[test]
fn an_empty_database_goes_up_and_down_and_up_again() {
    let database = Database::empty();
    let mut client = database.client();
    assert_eq!(migrate::status(&mut client).unwrap().version, None);
    let steps = migrate::up(&mut client).unwrap();
    assert_eq!(versions(&steps, Change::Applied), [0, 1, 2]);
    migrate::require_current(&mut client).unwrap();
    assert!(migrate::up(&mut client).unwrap().is_empty());
    let steps = migrate::down(&mut client, Some(9)).unwrap();
    assert_eq!(versions(&steps, Change::Reverted), [2, 1, 0]);
    assert_eq!(migrate::status(&mut client).unwrap().version, None);
    assert_eq!(versions(&migrate::up(&mut client).unwrap(), Change::Applied), [0, 1, 2]);
}

#[test]
fn a_migrated_copy_is_current() {
    let database = Database::migrated();
    migrate::require_current(&mut database.client()).unwrap();
    database.run("INSERT INTO accounts (email, login) VALUES ('a@example.com', 'a')");
    assert_eq!(database.number("SELECT count(*) FROM deliveries WHERE state = 'pending'"), 1);
}
