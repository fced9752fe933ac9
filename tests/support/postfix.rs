//! A private Postfix in a temporary directory, on a port of its own: a mail server that others
//! wrote, with TLS and real delivery into a maildir. It runs as root only, as Postfix does; for
//! anybody else its test server `smtp-sink` stands in.

use super::tls::Authority;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where Postfix's daemons are: Debian and Alpine, Red Hat.
const DAEMONS: [&str; 2] = ["/usr/lib/postfix/sbin", "/usr/libexec/postfix"];

/// The server; it ends when this is dropped.
pub struct Postfix {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
    /// Whether it is Postfix itself.
    pub whole: bool,
}

impl Postfix {
    /// Starts it and waits until it listens. It takes mail for `example.com`: not for
    /// `gone@example.com` (550), and not now for `later@example.com` (450).
    ///
    /// Fails if Postfix is not installed.
    pub fn start() -> Postfix {
        Postfix::with("")
    }

    /// The same with more settings, one a line; they take effect if it is Postfix itself.
    pub fn with(settings: &str) -> Postfix {
        let daemons = DAEMONS.iter().find(|dir| Path::new(dir).join("master").exists());
        let daemons = daemons.expect("Postfix is missing: run scripts/setup");
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let dir = tempfile::Builder::new().prefix("mailroom-postfix-").tempdir().unwrap();
        let whole = nix::unistd::geteuid().is_root();
        let mut command = if whole {
            configure(dir.path(), daemons, port, settings);
            let mut command = Command::new(Path::new(daemons).join("master"));
            command.arg("-c").arg(dir.path().join("conf")).arg("-d");
            command
        } else {
            std::fs::create_dir(dir.path().join("mail")).unwrap();
            let mut command = Command::new("/usr/sbin/smtp-sink");
            command.arg("-d").arg(dir.path().join("mail/%M."));
            command.arg(format!("127.0.0.1:{port}")).arg("16");
            command
        };
        let log = std::fs::File::create(dir.path().join("out")).unwrap();
        let child = command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let postfix = Postfix { child, port, dir, whole };
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "Postfix does not listen: {}", postfix.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        postfix
    }

    /// MAILROOM_SMTP_URL for it.
    pub fn url(&self) -> String {
        let (port, ca) = (self.port, self.dir.path().join("ca.pem"));
        match self.whole {
            true => format!("smtp://localhost:{port}?tls=required&ca={}", ca.display()),
            false => format!("smtp://localhost:{port}?tls=none"),
        }
    }

    /// The mails that were delivered, waiting until there are so many; as they stand on disk.
    pub fn mails(&self, count: usize) -> Vec<String> {
        let dir = self.dir.path().join(if self.whole { "mail/all/new" } else { "mail" });
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let files: Vec<PathBuf> = std::fs::read_dir(&dir)
                .map(|dir| dir.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default();
            if files.len() >= count {
                return files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
            }
            let (have, log) = (files.len(), self.log());
            assert!(Instant::now() < deadline, "{have} of {count} mails: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("out") + &read("log")
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The master ends its children when it is asked to end, not when it is killed.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn configure(dir: &Path, daemons: &str, port: u16, settings: &str) {
    let user = |name: &str| nix::unistd::User::from_name(name).unwrap().unwrap();
    let nobody = user("nobody");
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).unwrap();
    for (name, owner) in [("conf", None), ("queue", None), ("data", Some("postfix"))] {
        std::fs::create_dir(dir.join(name)).unwrap();
        let owner = owner.map(|name| user(name).uid);
        nix::unistd::chown(&dir.join(name), owner, None).unwrap();
    }
    std::fs::create_dir(dir.join("mail")).unwrap();
    nix::unistd::chown(&dir.join("mail"), Some(nobody.uid), Some(nobody.gid)).unwrap();
    let authority = Authority::new("mailroom test CA");
    let (cert, key) = authority.issue(&["localhost"]);
    std::fs::write(dir.join("ca.pem"), &authority.pem).unwrap();
    std::fs::write(dir.join("conf/server.pem"), key + &cert).unwrap();
    let place = dir.display();
    let (uid, gid) = (nobody.uid, nobody.gid);
    let main = format!(
        "compatibility_level = 3.6
queue_directory = {place}/queue
data_directory = {place}/data
daemon_directory = {daemons}
maillog_file = {place}/log
maillog_file_prefixes = {place}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.mailroom.test
mydestination =
alias_maps =
virtual_mailbox_domains = example.com
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = static:all/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{ \
{{ gone@example.com = 550 5.1.1 no such user }}, {{ later@example.com = 450 4.2.0 not now }} }}
smtpd_tls_chain_files = {place}/conf/server.pem
smtpd_tls_security_level = encrypt
tls_random_source = dev:/dev/urandom
{settings}
"
    );
    let services = format!(
        "127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"
    );
    std::fs::write(dir.join("conf/main.cf"), main).unwrap();
    std::fs::write(dir.join("conf/master.cf"), services).unwrap();
    // Makes the directories of the queue, with their owners.
    let made = Command::new("postfix").arg("-c").arg(dir.join("conf")).arg("check").output();
    let made = made.unwrap_or_else(|error| panic!("postfix: {error}: run scripts/setup"));
    assert!(made.status.success(), "{made:?}");
}
