//! A private Exim in a temporary directory, on a port of its own, without a queue run: what it does
//! not deliver at once stays. It runs as root only, as Exim does.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where scripts/setup puts it: Debian's package does not go beside Postfix's.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers/exim4/usr/sbin/exim4");

/// The server; it ends when this is dropped.
pub struct Exim {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Exim {
    /// Starts it and waits until it listens; `None`: we are not root. It takes mail for
    /// `example.com`, but not for `gone@example.com` (550), and not now for `later@example.com` (451).
    pub fn start() -> Option<Exim> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        assert!(Path::new(PROGRAM).exists(), "Exim is missing: run scripts/setup");
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let dir = tempfile::Builder::new().prefix("mailroom-exim-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        for name in ["spool", "mail", "log"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            nix::unistd::chown(&dir.path().join(name), Some(nobody.uid), Some(nobody.gid)).unwrap();
        }
        let place = dir.path().display();
        let settings = format!(
            "exim_path = {PROGRAM}
exim_user = nobody
exim_group = {group}
never_users =
keep_environment =
spool_directory = {place}/spool
log_file_path = {place}/log/%s
pid_file_path = {place}/log/pid
primary_hostname = mail.mailroom.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
acl_smtp_rcpt = check
acl_smtp_data = accept
begin acl
check:
  deny local_parts = gone
  defer local_parts = later
  accept domains = example.com
  deny message = relay not permitted
begin routers
all:
  driver = accept
  transport = dir
begin transports
dir:
  driver = appendfile
  maildir_format
  directory = {place}/mail
  user = nobody
  group = {group}
",
            group = nobody.gid
        );
        std::fs::write(dir.path().join("conf"), settings).unwrap();
        let out = std::fs::File::create(dir.path().join("out")).unwrap();
        let child = Command::new(PROGRAM)
            .arg("-C")
            .arg(dir.path().join("conf"))
            .args(["-bdf"])
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let exim = Exim { child, port, dir };
        exim.wait("it listens", |_| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Some(exim)
    }

    /// MAILROOM_SMTP_URL for it.
    pub fn url(&self) -> String {
        format!("smtp://localhost:{}?tls=none", self.port)
    }

    /// How many mails were delivered.
    pub fn delivered(&self) -> usize {
        let new: PathBuf = self.dir.path().join("mail/new");
        std::fs::read_dir(new).map_or(0, Iterator::count)
    }

    /// Its log.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("out") + &read("log/main") + &read("log/panic")
    }

    /// Waits until it is so.
    pub fn wait(&self, what: &str, so: impl Fn(&Exim) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !so(self) {
            assert!(Instant::now() < deadline, "{what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
