//! A private Pgpool-II in front of a primary and its standby: what is only read goes to the standby,
//! all of it. Run as nobody if the tests are run as root.
//!
//! A shell holds it and reads a pipe from this process: when the process ends, however it ends,
//! the shell stops it and removes the directory.

use super::cluster::{Cluster, unprivileged};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "/usr/sbin/pgpool";

const KEEPER: &str = r#"
"$1" -n -f "$2/conf" -F "$2/pcp" -a "$2/hba" >>"$2/out" 2>&1 &
pool=$!
read -r _
kill -INT $pool 2>/dev/null
wait $pool
rm -rf "$2"
"#;

/// The pool. Dropping it stops it.
pub struct Pgpool {
    dir: PathBuf,
    port: u16,
    keeper: Child,
}

impl Pgpool {
    /// Starts it; `settings` are lines of its configuration.
    ///
    /// Fails if Pgpool-II is not installed.
    pub fn start(primary: &Cluster, standby: &Cluster, settings: &[&str]) -> Pgpool {
        assert!(Path::new(PROGRAM).exists(), "Pgpool-II is missing: run scripts/setup");
        let dir = tempfile::Builder::new().prefix("mailroom-pgpool-").tempdir().unwrap().keep();
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (one, other) = (free(), free());
        let [port, pcp] = [one, other].map(|one| one.local_addr().unwrap().port());
        let place = dir.display();
        let mut conf = format!(
            "backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = {port}
socket_dir = '{place}'
pcp_socket_dir = '{place}'
pcp_port = {pcp}
pid_file_name = '{place}/pid'
logdir = '{place}'
num_init_children = 12
load_balance_mode = on
sr_check_user = 'postgres'
sr_check_database = 'postgres'
failover_on_backend_error = off
"
        );
        for (n, (cluster, weight)) in [(primary, 0), (standby, 1)].into_iter().enumerate() {
            conf += &format!(
                "backend_hostname{n} = '{}'\nbackend_port{n} = {}\nbackend_weight{n} = {weight}\n",
                cluster.dir.display(),
                cluster.port
            );
        }
        std::fs::write(dir.join("conf"), conf + &settings.join("\n") + "\n").unwrap();
        for name in ["pcp", "hba"] {
            std::fs::write(dir.join(name), "").unwrap();
        }
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
        let pool = Pgpool { dir, port, keeper };
        let deadline = Instant::now() + Duration::from_secs(30);
        while super::cluster::connect(&pool.url("postgres")).is_err() {
            let said = std::fs::read_to_string(pool.dir.join("out")).unwrap_or_default();
            assert!(Instant::now() < deadline, "Pgpool-II does not listen: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
        pool
    }

    /// Connection string for a database, through the pool.
    pub fn url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.port)
    }
}

impl Drop for Pgpool {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
