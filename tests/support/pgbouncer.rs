//! A private PgBouncer in front of the tests' PostgreSQL: one pool for each database, on a port of
//! its own, run as nobody if the tests are run as root.

use super::cluster::{folder, shared, unprivileged};
use super::keeper::Keeper;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// The pooler. Dropping it stops it.
pub struct PgBouncer {
    port: u16,
    _keeper: Keeper,
}

impl PgBouncer {
    /// Starts it in this mode, `session` or `transaction`, with pools of so many connections.
    pub fn start(mode: &str, size: u32) -> PgBouncer {
        PgBouncer::with(mode, size, 100)
    }

    /// The same for at most so many clients.
    ///
    /// Fails if PgBouncer is not installed.
    pub fn with(mode: &str, size: u32, clients: u32) -> PgBouncer {
        assert!(Path::new(PROGRAM).exists(), "PgBouncer is missing: run scripts/setup");
        let dir = folder("mailroom-pgbouncer-");
        let port = {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap().port()
        };
        let cluster = shared();
        let (server, place) = (cluster.dir.display(), dir.display());
        let conf = format!(
            "[databases]
* = host={server} port={}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {place}/users
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = {clients}
logfile = {place}/log
pidfile = {place}/pid
",
            cluster.port
        );
        std::fs::write(dir.join("conf"), conf).unwrap();
        std::fs::write(dir.join("users"), "\"postgres\" \"\"\n").unwrap();
        let mut pgbouncer = Command::new(PROGRAM);
        pgbouncer.arg("conf");
        let keeper = Keeper::start(unprivileged("sh"), dir, "KILL", &pgbouncer);
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        keeper.wait("PgBouncer listens", listens, &["log"]);
        PgBouncer { port, _keeper: keeper }
    }

    /// Connection string for a database, through the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.port)
    }
}
