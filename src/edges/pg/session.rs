//! One connection to the server: opened, used under deadlines, listened on, and closed.
//!
//! In scope: every statement ends or fails in time, every wait sees the stop flag, every error is
//! a [`Fault`]. Out of scope: when to connect again, and what is asked of the server. No thread is
//! started; an idle session sends nothing and wakes at most twice a second.

use crate::edges::pg::fault::{Fault, READ_ONLY, classify, concerns_tls};
use crate::edges::pg::target::{host, port};
use crate::edges::pg::watchdog::Watchdog;
use crate::edges::stop::Stop;
use fallible_iterator::FallibleIterator as _;
use postgres::config::{SslMode, TargetSessionAttrs};
use postgres::{Client, Config, Notifications, SimpleQueryMessage};
use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The server ends a statement after this time: `statement_timeout`. A statement that may take
/// longer sets its own.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(15);
/// The server ends a wait for a lock after this time: `lock_timeout`.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// The server ends a session that leaves a transaction open for this time.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest a wait goes without a look at the stop flag, which ends none. The client's timer
/// wakes the process twice for each, now and then three times, and an idle process is to wake at
/// most twice a second.
const SLICE: Duration = Duration::from_millis(1500);
/// How long [`Session::listen`] waits, and connecting where nothing else is said.
const SHORT: Duration = Duration::from_secs(5);
/// How often [`Session::is_pooled_with`] looks.
const LOOKS: usize = 3;
/// Which process of which server this is: numbers are given again, and several servers may give the
/// same. The function, not the view, which names users and databases too.
const PROCESS: &str =
    "SELECT pid || ' ' || backend_start FROM pg_stat_get_activity(pg_backend_pid())";
/// How long closing may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// The kernel's part of connecting cannot be ended from here, so it is cut into pieces.
const CONNECT_SLICE: Duration = Duration::from_secs(2);

/// An open connection. Dropping it closes it, within a second.
pub struct Session {
    // Dropped first, while the watchdog still watches.
    client: Client,
    watchdog: Watchdog,
    tls: MakeRustlsConnect,
    stop: Stop,
    label: String,
    /// Notifications that arrived during calls and that no wait has given yet.
    heard: usize,
    /// A pooler asks a standby where it thinks that nothing is written.
    balanced: bool,
}

impl Session {
    /// Connects to the first of `configs` that takes us. Each has one host, one port and one
    /// address (or a socket directory), as `Target::resolve` makes them, and gets its
    /// `connect_timeout` for everything from the first packet to the first answer. As libpq does,
    /// the next one is tried only if this one could not be reached: a server that refuses us
    /// ends the search.
    ///
    /// # Errors
    /// `Lost` with what each said, or `Denied`.
    pub fn open(
        configs: &[Config],
        tls: &MakeRustlsConnect,
        stop: &Stop,
    ) -> Result<Session, Fault> {
        let mut failures: Vec<String> = Vec::new();
        for config in configs {
            if stop.requested() && !failures.is_empty() {
                failures.push("asked to stop".to_owned());
                break;
            }
            match open_preferred(config, tls, stop) {
                Err(Fault::Lost(text)) => failures.push(text),
                other => return other,
            }
        }
        Err(Fault::Lost(failures.join("; ")))
    }

    /// Runs statements; together they get `limit`, or about three seconds once the process was
    /// asked to stop. After that the connection is closed, and the server is asked to give up too:
    /// it does not notice by itself while it waits for a standby that is away.
    ///
    /// # Errors
    /// `Lost` if there is no answer in time or the connection is gone: what was asked for may or
    /// may not have happened. Otherwise as the server says.
    pub fn call<T>(
        &mut self,
        limit: Duration,
        run: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
    ) -> Result<T, Fault> {
        let begun = Instant::now();
        self.watchdog.arm(limit);
        let done = run(&mut self.client);
        self.watchdog.disarm();
        // What came with the answers: who has always something to call for never waits, and they
        // would pile up.
        self.heard += buffered(&mut self.client.notifications());
        done.map_err(|error| {
            let fault = self.fault(&error, begun);
            if self.watchdog.has_bitten() {
                self.cancel();
            }
            fault
        })
    }

    /// Asks the server to give up what it does, on a connection of its own, with TLS as this one.
    /// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS>
    fn cancel(&self) {
        let (_watchdog, tls) = Watchdog::new(&self.tls, GOODBYE, &self.stop);
        if enough_descriptors().is_ok() {
            // A server that does not hear this may not hear anything.
            let _ = self.client.cancel_token().cancel_query(tls);
        }
    }

    /// Waits for a notification, the stop flag or `until`, whichever is first. Gives how many
    /// notifications there were: all that have arrived are taken together. Their number is a hint:
    /// one may stand for many rows, or for none.
    ///
    /// # Errors
    /// `Lost` as soon as the connection is.
    pub fn wait(&mut self, until: Instant) -> Result<usize, Fault> {
        while self.heard == 0 {
            let begun = Instant::now();
            let left = until.saturating_duration_since(begun);
            let slice = if self.stop.requested() { Duration::ZERO } else { left.min(SLICE) };
            let mut arrived = self.client.notifications();
            // One at a time: it gives nothing both for a timeout and for a lost connection.
            let first = arrived.timeout_iter(slice).next();
            self.heard += usize::from(matches!(first, Ok(Some(_)))) + buffered(&mut arrived);
            drop(arrived);
            match first {
                Err(error) => return Err(self.lost(&error, begun)),
                Ok(None) if self.client.is_closed() => {
                    return Err(Fault::Lost(format!("{}: connection closed", self.label)));
                }
                Ok(None) if slice == left || self.stop.requested() => break,
                Ok(_) => {}
            }
        }
        Ok(std::mem::take(&mut self.heard))
    }

    /// Listens on a channel; its name is taken as it is, capitals and all.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn listen(&mut self, channel: &str) -> Result<(), Fault> {
        let sql = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
        self.call(SHORT, |client| client.batch_execute(&sql))
    }

    /// Whether this session and another one share processes of the server: then a pooler lends
    /// them one for each transaction, and nothing that belongs to a connection lasts: LISTEN,
    /// prepared statements, locks, settings. A busy pool may hide it, so it is looked at more than
    /// once. <https://www.pgbouncer.org/features.html>
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn is_pooled_with(&mut self, other: &mut Session) -> Result<bool, Fault> {
        let own = self.value(PROCESS)?;
        for _ in 0..LOOKS {
            // In a transaction the other one keeps its process, and we must get another.
            let held = other.value(&format!("BEGIN; {PROCESS}"))?;
            let shared = held == own || self.value(PROCESS)? != own;
            other.call(SHORT, |client| client.batch_execute("ROLLBACK"))?;
            // If somebody else had ours just then, each may get its own again and again, but the one that
            // was given back last goes first.
            if shared || self.value(PROCESS)? != own {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something can be written, if only where a pooler is told to ask the primary. Pgpool-II
    /// heeds its comment in front of a SELECT alone, and balances SHOW.
    /// <https://www.pgpool.net/docs/latest/en/html/runtime-config-load-balancing.html>
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn can_write(&mut self, limit: Duration) -> Result<bool, Fault> {
        let told = |client: &mut Client, sql| client.simple_query(sql).map(|answer| value(&answer));
        let (plain, hinted) = self.call(limit, |client| {
            let plain = told(client, "SHOW transaction_read_only")? == "off";
            let sql = "/*NO LOAD BALANCE*/ SELECT current_setting('transaction_read_only')";
            Ok((plain, !plain && told(client, sql)? == "off"))
        })?;
        self.balanced = hinted;
        Ok(plain || hinted)
    }

    /// Whether [`Session::can_write`] found a pooler that asks a standby.
    pub fn is_balanced(&self) -> bool {
        self.balanced
    }

    /// The single value that an answer has. Without a prepared statement, which might be elsewhere.
    fn value(&mut self, sql: &str) -> Result<String, Fault> {
        self.call(SHORT, |client| client.simple_query(sql)).map(|answer| value(&answer))
    }

    /// Where this session is connected to: host, port and database.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Sets the limits for as long as this session lasts; a listener is idle for hours. Not sent with
    /// the connection, because poolers refuse that. (PostgreSQL 13 knows no idle_session_timeout.)
    ///
    /// # Errors
    /// As [`Session::call`].
    pub fn introduce(&mut self) -> Result<(), Fault> {
        let sql = format!(
            "{}; SELECT set_config(name, '0', false) FROM pg_settings \
              WHERE name = 'idle_session_timeout'",
            limits()
        );
        self.call(SHORT, |client| client.batch_execute(&sql))
    }

    fn fault(&self, error: &postgres::Error, begun: Instant) -> Fault {
        if self.watchdog.has_bitten() {
            return unanswered(&self.label, begun, &self.stop);
        }
        match classify(error, &self.label, false) {
            Fault::Statement(text) if self.client.is_closed() => Fault::Lost(text),
            fault => fault,
        }
    }

    /// For an error that arrived while nothing was asked: the connection has ended.
    fn lost(&self, error: &postgres::Error, begun: Instant) -> Fault {
        Fault::Lost(self.fault(error, begun).to_string())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.watchdog.arm(GOODBYE);
    }
}

/// Takes the notifications that were read already; gives how many there were.
fn buffered(arrived: &mut Notifications<'_>) -> usize {
    let mut count = 0;
    while !arrived.is_empty() && matches!(arrived.iter().next(), Ok(Some(_))) {
        count += 1;
    }
    count
}

fn unanswered(label: &str, begun: Instant, stop: &Stop) -> Fault {
    let waited = begun.elapsed().as_secs_f32();
    let why = if stop.requested() { " (asked to stop)" } else { "" };
    Fault::Lost(format!("{label}: no answer within {waited:.1} s{why}"))
}

/// `host=… port=… dbname=…`
fn label(config: &Config) -> String {
    let host = host(config);
    let address = match config.get_hostaddrs().first().map(ToString::to_string) {
        Some(address) if address != host => format!(" ({address})"),
        _ => String::new(),
    };
    format!(
        "host={host}{address} port={} dbname={}",
        port(config),
        config.get_dbname().unwrap_or_default()
    )
}

/// As libpq does, `sslmode=prefer` tries once more without TLS where that was in the way.
fn open_preferred(config: &Config, tls: &MakeRustlsConnect, stop: &Stop) -> Result<Session, Fault> {
    match open_one(config, tls, stop) {
        Err((first, true)) if config.get_ssl_mode() == SslMode::Prefer => {
            let mut plain = config.clone();
            plain.ssl_mode(SslMode::Disable);
            open_one(&plain, tls, stop)
                .map_err(|(second, _)| second.map(|text| format!("{first}; without TLS: {text}")))
        }
        other => other.map_err(|(fault, _)| fault),
    }
}

/// The first value of the first row.
fn value(answer: &[SimpleQueryMessage]) -> String {
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    row.unwrap_or_default().to_owned()
}

/// The client's runtime ends the process if it gets no descriptors, so they are asked for before.
fn enough_descriptors() -> io::Result<()> {
    let pair = UnixStream::pair;
    let _spare = (pair()?, pair()?, pair()?, pair()?);
    Ok(())
}

/// Gives with a fault whether TLS, or a rule of the server about it, was in the way.
fn open_one(
    config: &Config,
    tls: &MakeRustlsConnect,
    stop: &Stop,
) -> Result<Session, (Fault, bool)> {
    let label = label(config);
    let begun = Instant::now();
    let limit = config.get_connect_timeout().copied().unwrap_or(SHORT);
    let writes = config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite;
    loop {
        enough_descriptors().map_err(|cause| (Fault::Lost(format!("{label}: {cause}")), false))?;
        let left = limit.saturating_sub(begun.elapsed());
        let mut config = config.clone();
        config.connect_timeout(left.min(CONNECT_SLICE));
        if writes {
            // Asked below, for the client takes the first answer.
            config.target_session_attrs(TargetSessionAttrs::Any);
        }
        let (watchdog, watched) = Watchdog::new(tls, left, stop);
        match config.connect(watched) {
            Ok(client) => {
                let (tls, stop) = (tls.clone(), stop.clone());
                let (heard, balanced) = (0, false);
                let mut session = Session { client, watchdog, tls, stop, label, heard, balanced };
                let left = limit.saturating_sub(begun.elapsed());
                return match writes.then(|| session.can_write(left)) {
                    None | Some(Ok(true)) => Ok(session),
                    Some(Ok(false)) => {
                        Err((Fault::Lost(format!("{}: {READ_ONLY}", session.label)), false))
                    }
                    // Another server may be in a better state.
                    Some(Err(Fault::Statement(text))) => Err((Fault::Lost(text), false)),
                    Some(Err(fault)) => Err((fault, false)),
                };
            }
            Err(_) if watchdog.has_bitten() => {
                return Err((unanswered(&label, begun, stop), false));
            }
            Err(error) if is_timeout(&error) && begun.elapsed() < limit && !stop.requested() => {}
            Err(error) => {
                let fault = classify(&error, &label, true);
                return Err((fault, concerns_tls(&error)));
            }
        }
    }
}

/// Whether the kernel's part of connecting was cut off.
fn is_timeout(error: &postgres::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// Limits on the server's side, and the isolation that the statements count on, whatever the role has.
pub fn limits() -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; \
         SET default_transaction_isolation = 'read committed'",
        STATEMENT_TIMEOUT.as_millis(),
        LOCK_TIMEOUT.as_millis(),
        IDLE_IN_TRANSACTION_TIMEOUT.as_millis()
    )
}
