//! A private PgBouncer in front of the tests' PostgreSQL: one pool for each database, on a port of
//! its own, run as nobody if the tests are run as root.
//!
//! A shell holds it and reads a pipe from this process: when the process ends, however it ends,
//! the shell stops it and removes the directory.

use super::cluster::{shared, unprivileged};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

const KEEPER: &str = r#"
"$1" "$2/conf" >>"$2/out" 2>&1 &
pooler=$!
read -r _
kill -KILL $pooler 2>/dev/null
wait $pooler
rm -rf "$2"
"#;

/// The pooler. Dropping it stops it.
pub struct PgBouncer {
    dir: PathBuf,
    port: u16,
    keeper: Child,
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
        let dir = tempfile::Builder::new().prefix("mailroom-pgbouncer-").tempdir().unwrap().keep();
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
        if nix::unistd::geteuid().is_root() {
            let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
            nix::unistd::chown(&dir, Some(nobody.uid), Some(nobody.gid)).unwrap();
        }
        let keeper = unprivileged("sh")
            .args(["-c", KEEPER, "keeper", PROGRAM])
            .arg(&dir)
            .current_dir(&dir)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pooler = PgBouncer { dir, port, keeper };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let read = |name| std::fs::read_to_string(pooler.dir.join(name)).unwrap_or_default();
            let said = read("out") + &read("log");
            assert!(Instant::now() < deadline, "PgBouncer does not listen: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// Connection string for a database, through the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
