//! A line to the database that swallows what is said on it, with all sockets left open.

use crate::support::cluster::{Database, shared};
use crate::support::program::{Program, Running, wait_until};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What becomes of the connections through a line.
#[derive(Default)]
struct Shared {
    /// Those that were made so far are swallowed, if their number is not above this,
    deaf: AtomicUsize,
    /// by which so many bytes are gone.
    gone: AtomicUsize,
    made: AtomicUsize,
    /// The programs' ends of all of them.
    near: Mutex<Vec<TcpStream>>,
}

/// Stands between a program and the server.
struct Line {
    port: u16,
    shared: Arc<Shared>,
}

impl Line {
    fn start() -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let line = Line { port, shared: Arc::clone(&shared) };
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", self::shared().port)) else {
                    return;
                };
                shared.near.lock().unwrap().push(near.try_clone().unwrap());
                let number = shared.made.fetch_add(1, Ordering::SeqCst) + 1;
                for (mut from, mut to) in
                    [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)]
                {
                    let shared = Arc::clone(&shared);
                    std::thread::spawn(move || {
                        let mut piece = [0; 8192];
                        while let Ok(count @ 1..) = from.read(&mut piece) {
                            if number <= shared.deaf.load(Ordering::SeqCst) {
                                shared.gone.fetch_add(count, Ordering::SeqCst);
                            } else if to.write_all(&piece[..count]).is_err() {
                                return;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        line
    }

    /// Swallows from now on what is said on the connections that there are.
    fn swallow(&self) {
        self.shared.deaf.store(self.shared.made.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    fn has_swallowed(&self) {
        wait_until("something is gone", || self.shared.gone.load(Ordering::SeqCst) > 0);
    }

    /// Ends the connections that there are, as the programs see it.
    fn cut(&self) {
        for near in self.shared.near.lock().unwrap().drain(..) {
            let _ = near.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.shared.deaf.store(0, Ordering::SeqCst);
    }

    /// A collector behind it that nothing else wakes.
    fn collect(&self, database: &Database) -> Running {
        let url =
            format!("host=127.0.0.1 port={} user=postgres dbname={}", self.port, database.name);
        let collect = Program::collect(database).env("MAILROOM_DATABASE_URL", url).start();
        collect.wait_log("] connected");
        collect
    }
}

#[test]
fn a_notification_that_was_swallowed_is_made_up_for_long_before_the_healthcheck() {
    let (database, line) = (Database::migrated(), Line::start());
    let collect = line.collect(&database);
    line.swallow();
    database.accounts("user", 1);
    line.has_swallowed();
    line.mend();
    collect.wait_lines(1);
    let finished = collect.stop();
    assert!(!finished.log.contains("failed"), "the connection stands: {}", finished.log);
}

#[test]
fn a_line_that_swallows_for_good_is_replaced_long_before_the_healthcheck() {
    let (database, line) = (Database::migrated(), Line::start());
    let collect = line.collect(&database);
    line.swallow();
    database.accounts("user", 1);
    collect.wait_lines(1);
    let finished = collect.stop();
    assert!(finished.log.contains("no answer within 4."), "{}", finished.log);
}

#[test]
fn what_came_while_the_transaction_was_open_is_looked_for_once_more() {
    let (database, line) = (Database::migrated(), Line::start());
    let collect = line.collect(&database);
    let mut client = database.client();
    let mut transaction = client.transaction().unwrap();
    crate::support::cluster::insert(&mut transaction, "late");
    let asked = || {
        let sql = "SELECT max(query_start)::text FROM pg_stat_activity \
                   WHERE datname = current_database() AND application_name = 'mailroom collect'";
        database.client().query_one(sql, &[]).unwrap().get::<_, String>(0)
    };
    collect.wait_turns(2);
    let before = asked();
    // The number has moved, and nothing can be seen.
    wait_until("it has tried the line", || asked() != before);
    collect.wait_turns(3);
    line.swallow();
    transaction.commit().unwrap();
    line.has_swallowed();
    line.mend();
    collect.wait_lines(1);
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn what_was_claimed_without_an_answer_goes_on_the_next_connection_and_not_after_its_lease() {
    let (database, line) = (Database::migrated(), Line::start());
    database.run(
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END';
         CREATE TRIGGER hold BEFORE UPDATE ON deliveries FOR EACH ROW
             WHEN (NEW.state = 'leased') EXECUTE FUNCTION hold()",
    );
    let collect = line.collect(&database);
    let mut client = database.client();
    client.batch_execute("SELECT pg_advisory_lock(1)").unwrap();
    database.accounts("user", 3);
    wait_until("it claims", || database.blocked("turn") == 1);
    line.swallow();
    client.batch_execute("SELECT pg_advisory_unlock(1)").unwrap();
    wait_until("it has claimed", || database.in_state("leased") == 3);
    line.has_swallowed();
    line.cut();
    wait_until("all are sent", || database.in_state("sent") == 3);
    let finished = collect.stop();
    assert_eq!(finished.written().len(), 3, "none went twice");
    assert!(finished.log.contains("claimed without an answer: 3; put back"), "{}", finished.log);
}
