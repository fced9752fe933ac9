//! Mail servers that others wrote, each in a temporary directory, on a port of its own. A mail that one
//! takes becomes a file, with the recipient of its envelope as `Delivered-To`. All take mail for
//! `example.com`, but not for `gone@example.com` (5xx), and not now for `later@example.com` (4xx).

pub mod exim;
pub mod libraries;
pub mod roots;

use super::keeper::Keeper;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What they say, beside their output.
const LOGS: [&str; 2] = ["log/main", "log/panic"];

/// Where a server will be: a directory that all may enter, with `mail/new`, which is nobody's.
struct Place {
    dir: tempfile::TempDir,
    port: u16,
}

impl Place {
    fn new(name: &str) -> Place {
        let dir = tempfile::Builder::new().prefix(&format!("mailroom-{name}-")).tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let place = Place { dir, port: listener.local_addr().unwrap().port() };
        for inside in ["mail", "mail/new", "mail/tmp", "mail/cur"] {
            place.folder(inside, Some("nobody"));
        }
        place
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside)
    }

    /// Makes a directory; where we are root it belongs to this user.
    fn folder(&self, inside: &str, user: Option<&str>) {
        std::fs::create_dir_all(self.path(inside)).unwrap();
        if let Some(user) = user.filter(|_| is_root()) {
            let user = nix::unistd::User::from_name(user).unwrap().unwrap();
            nix::unistd::chown(&self.path(inside), Some(user.uid), Some(user.gid)).unwrap();
        }
    }

    fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Starts a program and waits until it listens.
    fn start(self, command: &Command) -> Server {
        let Place { dir, port } = self;
        let keeper = Keeper::start(Command::new("sh"), dir.keep(), "TERM", command);
        let server = Server { port, keeper };
        let listens = |_: &Server| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        server.wait("it listens", listens);
        server
    }
}

/// A server. Dropping it stops it.
pub struct Server {
    port: u16,
    keeper: Keeper,
}

impl Server {
    /// MAILROOM_SMTP_URL for it.
    pub fn url(&self) -> String {
        format!("smtp://localhost:{}?tls=none", self.port)
    }

    fn files(&self) -> Vec<PathBuf> {
        let found = std::fs::read_dir(self.keeper.dir.join("mail/new"));
        found.map_or_else(|_| Vec::new(), |found| found.flatten().map(|it| it.path()).collect())
    }

    /// How many mails were delivered.
    pub fn delivered(&self) -> usize {
        self.files().len()
    }

    /// The mails that were delivered, waiting until there are so many; as they stand on disk.
    pub fn mails(&self, count: usize) -> Vec<String> {
        self.wait("its mails", |server| server.delivered() >= count);
        self.files().iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }

    /// What it said.
    pub fn log(&self) -> String {
        self.keeper.log(&LOGS)
    }

    /// Waits until it is so.
    pub fn wait(&self, what: &str, so: impl Fn(&Server) -> bool) {
        self.keeper.wait(what, || so(self), &LOGS);
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Where scripts/setup unpacks Debian's package of a server: most do not go beside another's.
fn package(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers").join(name);
    assert!(path.exists(), "{} is missing: run scripts/setup", path.display());
    path
}
