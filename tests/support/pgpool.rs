//! A private Pgpool-II in front of a primary and its standby: what is only read goes to the standby,
//! all of it. Run as nobody if the tests are run as root.

use super::cluster::{Cluster, connect, folder, unprivileged};
use super::keeper::Keeper;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "/usr/sbin/pgpool";

/// The pool. Dropping it stops it.
pub struct Pgpool {
    port: u16,
    keeper: Keeper,
}

impl Pgpool {
    /// Starts it; `settings` are lines of its configuration.
    ///
    /// Fails if Pgpool-II is not installed.
    pub fn start(primary: &Cluster, standby: &Cluster, settings: &[&str]) -> Pgpool {
        assert!(Path::new(PROGRAM).exists(), "Pgpool-II is missing: run scripts/setup");
        let dir = folder("mailroom-pgpool-");
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
        let mut pgpool = Command::new(PROGRAM);
        pgpool.args(["-n", "-f", "conf", "-F", "pcp", "-a", "hba"]);
        let keeper = Keeper::start(unprivileged("sh"), dir, "INT", &pgpool);
        let pool = Pgpool { port, keeper };
        let url = pool.url("postgres");
        pool.keeper.wait("Pgpool-II listens", || connect(&url).is_ok(), &[]);
        pool
    }

    /// Connection string for a database, through the pool.
    pub fn url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.port)
    }
}
