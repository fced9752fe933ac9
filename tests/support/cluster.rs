//! A private PostgreSQL cluster in a temporary directory.
//!
//! One is shared by all tests of a run ([`shared`]); tests that stop, freeze or reconfigure a
//! server start their own. A shell holds the server and reads a pipe from this process: when the
//! process ends, however it ends, the shell stops the server and removes the directory.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running server. Dropping it stops the server.
pub struct Cluster {
    /// Holds the data directory, the socket and the log.
    pub dir: PathBuf,
    /// TCP port on 127.0.0.1, also part of the socket's name.
    pub port: u16,
    keeper: Child,
}

/// The cluster that all tests of this run share.
pub fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[]))
}

/// A cluster that logs every statement, with the program and the database it came from.
pub fn telling() -> &'static Cluster {
    static TELLING: OnceLock<Cluster> = OnceLock::new();
    TELLING.get_or_init(|| Cluster::start(&["log_statement = 'all'", "log_line_prefix = '%a@%d|'"]))
}

/// First lines of the statements that the program has sent to a database of [`telling`], without its
/// tries of a line that is quiet and the looks that follow from these.
pub fn logged(database: &Database) -> Vec<String> {
    let log = std::fs::read_to_string(telling().dir.join("log")).unwrap();
    let from = format!("@{}|LOG:", database.name);
    let ours = log.lines().filter(|line| line.starts_with("mailroom") && line.contains(&from));
    let mut tried = false;
    let is_own = |line: &&str| {
        tried = line.contains("mailroom:pulse")
            || tried && ["mailroom:look", "mailroom:levels"].iter().any(|tag| line.contains(tag));
        !tried
    };
    ours.filter(is_own).map(str::to_owned).collect()
}

/// The tags of the statements: the first line of each file of SQL, with its end.
pub fn tags() -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source.join("queue/sql"), source.join("lists/sql")];
    let mut tags = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                tags.push(text.split_inclusive('\n').next().unwrap().to_owned());
            }
        }
    }
    tags
}

/// How the statement of this name begins, wherever the server shows it.
pub fn tag(name: &str) -> String {
    let tag = format!("-- mailroom:{name}\n");
    assert!(tags().contains(&tag), "no statement has the tag {tag:?}");
    tag
}

/// The folder of PostgreSQL's server programs: the one that `TEST_POSTGRES` names (`scripts/test` has the
/// oldest and the newest version there), or that of the newest one installed.
pub fn bin_dir() -> PathBuf {
    if let Some(named) = std::env::var_os("TEST_POSTGRES") {
        return named.into();
    }
    let found = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|path| path.join("initdb").exists())
        .max();
    if let Some(path) = found {
        return path;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|dir| dir.join("initdb").exists())
        .expect("PostgreSQL's initdb is not installed: run scripts/setup")
}

/// A connection, without TLS.
pub fn connect(url: &str) -> Result<postgres::Client, postgres::Error> {
    postgres::Client::connect(url, postgres::NoTls)
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Whether this process is root, which PostgreSQL refuses to run as.
fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// `program`, to be run as a user that is not root.
pub fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw());
    }
    command
}

/// Old keys and versions of TLS are let pass: refusing them is the client's part.
const OPENSSL: &str = "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n\
                       CipherString = ALL:@SECLEVEL=0\nMinProtocol = TLSv1\n";

const KEEPER: &str = r#"
export OPENSSL_CONF="$2/openssl.cnf"
"$1/postgres" -D "$2/data" >>"$2/log" 2>&1 &
server=$!
echo $server >"$2/pid"
read -r _
kill -CONT $server 2>/dev/null
kill -QUIT $server 2>/dev/null
wait $server
rm -rf "$2"
"#;

/// A directory for a server. Tests run as root too, and must reach what is inside.
pub fn folder(prefix: &str) -> PathBuf {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir().unwrap().keep();
    if is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        nix::unistd::chown(&dir, Some(nobody.uid), Some(nobody.gid)).unwrap();
    }
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

impl Cluster {
    /// Makes and starts a cluster; `settings` are lines of `postgresql.conf`.
    pub fn start(settings: &[&str]) -> Cluster {
        let dir = folder("mailroom-pg-");
        let made = unprivileged(bin_dir().join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args(["--no-sync", "-D"])
            .arg(dir.join("data"))
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let usual = [
            "fsync = off\nsynchronous_commit = off\nfull_page_writes = off",
            "max_connections = 200\nshared_buffers = 64MB",
        ];
        Cluster::of(dir, &[&usual, settings].concat())
    }

    /// Makes and starts a standby of this one, which may be read.
    pub fn standby(&self) -> Cluster {
        let dir = folder("mailroom-pg-");
        let made = unprivileged(bin_dir().join("pg_basebackup"))
            .args(["--username=postgres", "--checkpoint=fast", "--wal-method=stream"])
            .args(["--no-sync", "--write-recovery-conf"])
            .args([format!("--port={}", self.port), format!("--host={}", self.dir.display())])
            .arg("-D")
            .arg(dir.join("data"))
            .current_dir(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&made.stderr));
        Cluster::of(dir, &[])
    }

    /// Starts what was made in a directory.
    fn of(dir: PathBuf, settings: &[&str]) -> Cluster {
        std::fs::write(dir.join("openssl.cnf"), OPENSSL).unwrap();
        let port = free_port();
        let mut conf = std::fs::OpenOptions::new()
            .append(true)
            .open(dir.join("data/postgresql.conf"))
            .unwrap();
        writeln!(conf, "port = {port}\nlisten_addresses = '127.0.0.1'").unwrap();
        writeln!(conf, "unix_socket_directories = '{}'", dir.display()).unwrap();
        for line in settings {
            writeln!(conf, "{line}").unwrap();
        }
        let keeper = Cluster::keep(&dir);
        let cluster = Cluster { dir, port, keeper };
        cluster.wait_until_ready();
        cluster
    }

    fn keep(dir: &Path) -> Child {
        unprivileged("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(bin_dir())
            .arg(dir)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while crate::support::cluster::connect(&self.url("postgres")).is_err() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server did not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Process id of the postmaster.
    pub fn pid(&self) -> i32 {
        std::fs::read_to_string(self.dir.join("pid")).unwrap().trim().parse().unwrap()
    }

    /// Connection string of the superuser over the Unix socket.
    pub fn url(&self, database: &str) -> String {
        format!("host={} port={} user=postgres dbname={database}", self.dir.display(), self.port)
    }

    /// Connection string of the superuser over TCP.
    pub fn tcp_url(&self, database: &str) -> String {
        format!("host=127.0.0.1 port={} user=postgres dbname={database}", self.port)
    }

    /// A new database of this cluster with the newest schema.
    pub fn migrated(&self, name: &str) -> Database {
        let mut client = crate::support::cluster::connect(&self.url("postgres")).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        let database = Database { name: name.to_owned(), url: self.url(name) };
        mailroom::queue::schema::up(&mut database.client()).expect("the migrations run");
        database
    }

    /// Runs `pg_ctl` with these words: `stop -m fast`, `start`, `restart`.
    pub fn control(&self, words: &[&str]) {
        let done = unprivileged(bin_dir().join("pg_ctl"))
            .args(words)
            .args(["-w", "-s", "-l"])
            .arg(self.dir.join("log"))
            .arg("-D")
            .arg(self.dir.join("data"))
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "pg_ctl {words:?} failed");
        if let Ok(text) = std::fs::read_to_string(self.dir.join("data/postmaster.pid")) {
            let pid = text.lines().next().unwrap_or_default();
            std::fs::write(self.dir.join("pid"), pid).unwrap();
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // A server that was restarted is no child of the keeper: stop it here.
        let pid = std::fs::read_to_string(self.dir.join("pid")).unwrap_or_default();
        if let Ok(pid) = pid.trim().parse() {
            let pid = nix::unistd::Pid::from_raw(pid);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT);
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGQUIT);
        }
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// An empty database of its own in the shared cluster.
pub struct Database {
    /// Its name.
    pub name: String,
    /// Connection string of the superuser over the Unix socket.
    pub url: String,
}

impl Database {
    /// A new database with nothing in it.
    pub fn empty() -> Database {
        Database::create("template1")
    }

    /// A new database with the newest schema: a copy of one that is migrated once a run. In all of them a
    /// statement fails that gives a lease to what is not leased, or takes it from what is: outside of tests
    /// that would be a CHECK that each insert pays for.
    pub fn migrated() -> Database {
        static TEMPLATE: OnceLock<String> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| {
            let database = Database::empty();
            mailroom::queue::schema::up(&mut database.client()).expect("the migrations run");
            database.run(
                "ALTER TABLE deliveries
                 ADD CONSTRAINT leased_check CHECK ((state = 'leased') = (lease IS NOT NULL))",
            );
            database.name
        });
        Database::create(template)
    }

    /// A new database that is a copy of `template`, which nobody may be connected to (the server
    /// waits up to five seconds for those who are leaving).
    pub fn create(template: &str) -> Database {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let cluster = shared();
        let mut client = crate::support::cluster::connect(&cluster.url("postgres"))
            .expect("the shared cluster answers");
        // As versions before 15 always do.
        let strategy = "SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
                               THEN 'STRATEGY file_copy' ELSE '' END";
        let strategy: String = client.query_one(strategy, &[]).unwrap().get(0);
        client
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} {strategy}"))
            .unwrap();
        Database { url: cluster.url(&name), name }
    }

    /// A new connection to it.
    pub fn client(&self) -> postgres::Client {
        crate::support::cluster::connect(&self.url).unwrap()
    }

    /// Runs SQL on a new connection.
    pub fn run(&self, sql: &str) {
        self.client().batch_execute(sql).unwrap();
    }

    /// The single number that a query gives.
    pub fn number(&self, sql: &str) -> i64 {
        self.client().query_one(sql, &[]).unwrap().get(0)
    }
}

/// Inserts the account `NAME@example.com`, in a transaction or by itself.
pub fn insert(client: &mut impl postgres::GenericClient, name: &str) {
    let sql = "INSERT INTO accounts (email, login) VALUES ($1 || '@example.com', $1)";
    client.execute(sql, &[&name]).unwrap();
}

/// What applications do: accounts come, and ask for recovery.
impl Database {
    /// Inserts `count` accounts in one transaction: `NAME1@example.com`, … Each gets an activation
    /// token.
    pub fn accounts(&self, name: &str, count: u32) {
        self.run(&format!(
            "INSERT INTO accounts (email, login) \
             SELECT '{name}' || n || '@example.com', '{name}' || n \
               FROM generate_series(1, {count}) n"
        ));
    }

    /// Inserts one account that is active already, and a recovery token for it.
    pub fn recovery(&self, name: &str) {
        self.run(&format!(
            "WITH one AS (INSERT INTO accounts (email, login, status) \
                          VALUES ('{name}@example.com', '{name}', 'active') RETURNING id) \
             INSERT INTO tokens (account, action) SELECT id, 'password_recovery' FROM one"
        ));
    }

    /// Ends all other sessions, as a failing server does.
    pub fn disconnect_others(&self) {
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }

    /// How many statements with this name are waiting for a lock.
    pub fn blocked(&self, name: &str) -> i64 {
        self.client()
            .query_one(
                "SELECT count(*) FROM pg_stat_activity \
                  WHERE datname = current_database() AND application_name LIKE 'mailroom%' \
                    AND wait_event_type = 'Lock' AND starts_with(query, $1)",
                &[&tag(name)],
            )
            .unwrap()
            .get(0)
    }

    /// How many deliveries are in this state.
    pub fn in_state(&self, state: &str) -> i64 {
        self.number(&format!("SELECT count(*) FROM deliveries WHERE state = '{state}'"))
    }
}
