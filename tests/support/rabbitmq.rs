//! A private RabbitMQ: a node with a name, ports, a cookie and a directory of its own, and a port
//! mapper of its own, run as nobody if the tests are run as root.
//!
//! A shell holds both and reads a pipe from this process: when the process ends, however it ends,
//! the shell stops them and removes the directory.

use super::cluster::unprivileged;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

const KEEPER: &str = r#"
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 >>log 2>&1 &
mapper=$!
"$1" >>log 2>&1 &
server=$!
read -r _
kill $server 2>/dev/null
wait $server
kill $mapper 2>/dev/null
wait $mapper
cd /
rm -rf "$2"
"#;

fn bin() -> &'static Path {
    Path::new(SERVER).parent().unwrap()
}

/// A shell with all that says which node is meant.
fn node(dir: &Path, [port, among, mapper]: [u16; 3]) -> Command {
    let inside = |name: &str| dir.join(name);
    let mut command = unprivileged("sh");
    command
        .current_dir(dir)
        .env("HOME", dir)
        .env("ERL_EPMD_PORT", mapper.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", format!("mailroom-{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", among.to_string())
        .env("RABBITMQ_CONFIG_FILE", inside("rabbitmq"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", inside("advanced"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", inside("generated"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", inside("plugins"))
        .env("RABBITMQ_FEATURE_FLAGS_FILE", inside("flags"))
        .env("RABBITMQ_PID_FILE", inside("pid"))
        .env("RABBITMQ_MNESIA_BASE", inside("mnesia"))
        .env("RABBITMQ_LOG_BASE", inside("log.d"))
        .env("RABBITMQ_LOGS", "-");
    command
}

/// The broker. Dropping it stops it.
pub struct RabbitMq {
    dir: PathBuf,
    /// For clients, for other nodes, and that of the port mapper.
    ports: [u16; 3],
    keeper: Child,
}

impl RabbitMq {
    /// Whether RabbitMQ and its tools are here.
    pub fn is_installed() -> bool {
        Path::new(SERVER).exists() && Command::new("amqp-get").arg("--help").output().is_ok()
    }

    /// Starts it and waits until it listens.
    ///
    /// Fails if RabbitMQ is not installed.
    pub fn start() -> RabbitMq {
        assert!(RabbitMq::is_installed(), "RabbitMQ is missing: run scripts/setup");
        let dir = tempfile::Builder::new().prefix("mailroom-rabbitmq-").tempdir().unwrap().keep();
        if nix::unistd::geteuid().is_root() {
            let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
            nix::unistd::chown(&dir, Some(nobody.uid), Some(nobody.gid)).unwrap();
        }
        std::fs::write(dir.join("plugins"), "[].\n").unwrap();
        let listeners = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        let ports = listeners.map(|one| one.local_addr().unwrap().port());
        let keeper = node(&dir, ports)
            .args(["-c", KEEPER, "keeper", SERVER])
            .arg(&dir)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = RabbitMq { dir, ports, keeper };
        let deadline = Instant::now() + Duration::from_secs(90);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, ports[0])).is_err() {
            let log = std::fs::read_to_string(broker.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "RabbitMQ does not listen: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        broker
    }

    /// Where it is, with the user that it makes for those on this machine.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}", self.ports[0])
    }

    /// Runs a line with `rabbitmqctl` in it, as the user that runs the broker.
    pub fn control(&self, line: &str) -> String {
        let path = format!("{}:{}", bin().display(), std::env::var("PATH").unwrap());
        let mut command = node(&self.dir, self.ports);
        let made = command.args(["-c", line]).env("PATH", path).env("AMQP_USER", "guest").output();
        let made = made.unwrap();
        assert!(made.status.success(), "{line}: {made:?}");
        String::from_utf8(made.stdout).unwrap()
    }

    /// One of its tools, with these words behind its address.
    pub fn tool(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.arg(format!("--url={}", self.url())).args(words);
        command
    }

    /// Makes a queue that outlives its clients.
    pub fn queue(&self, name: &str) {
        let made = self.tool("amqp-declare-queue", &["-d", "-q", name]).output().unwrap();
        assert!(made.status.success(), "{made:?}: run scripts/setup");
    }

    /// Takes one message from a queue, if there is one.
    pub fn get(&self, queue: &str) -> Option<String> {
        let Output { status, stdout, .. } = self.tool("amqp-get", &["-q", queue]).output().unwrap();
        status.success().then(|| String::from_utf8(stdout).unwrap())
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
