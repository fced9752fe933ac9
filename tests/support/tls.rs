//! Certificates of a private authority, and a PostgreSQL that speaks TLS with one of them.

use super::cluster::Cluster;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The name that the server's certificate carries.
pub const NAME: &str = "db.mailroom.test";

/// An authority, with its certificate in a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub pem: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names, and its key; both PEM.
    pub fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (cert.pem(), key.serialize_pem())
    }
}

/// A certificate that signed itself and is marked as an authority, as `openssl req -x509` makes.
pub fn self_signed(names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// A certificate as `openssl req` and `openssl x509` make it, and its key: the key is of this kind, the
/// certificate signed with that of `authority` (none: with its own) and has these extensions (none at
/// all: it is of version 1).
pub fn openssl(
    key: &str,
    extensions: &str,
    authority: Option<&(String, String)>,
) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("ext", extensions);
    let extra = if extensions.is_empty() { "" } else { " -extfile ext" };
    let sign = authority.map_or("-signkey key", |(cert, key)| {
        write("ca", cert);
        write("ca.key", key);
        "-CA ca -CAkey ca.key"
    });
    let script = format!(
        "openssl req -new -nodes -newkey {key} -keyout key -subj /CN={NAME} -out csr 2>log &&
         openssl x509 -req -in csr {sign} -days 30{extra} -out cert 2>>log || cat log"
    );
    let mut shell = std::process::Command::new("sh");
    let said = shell.args(["-c", &script]).current_dir(dir.path()).output().unwrap().stdout;
    assert!(said.is_empty(), "{}", String::from_utf8_lossy(&said));
    let [cert, key] = ["cert", "key"].map(|name| std::fs::read_to_string(dir.path().join(name)));
    (cert.unwrap(), key.unwrap())
}

/// Writes both as the server wants them, and gives the paths.
fn put(dir: &Path, cert: &str, key: &str) -> [PathBuf; 2] {
    let files = [dir.join("server.crt"), dir.join("server.key")];
    std::fs::write(&files[0], cert).unwrap();
    std::fs::write(&files[1], key).unwrap();
    std::fs::set_permissions(&files[1], PermissionsExt::from_mode(0o600)).unwrap();
    if nix::unistd::geteuid().is_root() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        nix::unistd::chown(&files[1], Some(nobody.uid), Some(nobody.gid)).unwrap();
    }
    files
}

/// A server with TLS, and the files that clients need.
pub struct Secured {
    /// The server. Over TCP: `postgres` and `clerk` (password `letmein`, SCRAM) only with TLS,
    /// `plain` only without.
    pub cluster: Cluster,
    dir: tempfile::TempDir,
}

impl Secured {
    /// Starts one with this certificate and key.
    pub fn start((cert, key): (String, String)) -> Secured {
        let dir = tempfile::Builder::new().prefix("mailroom-tls-").tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let [cert_file, key_file] = put(dir.path(), &cert, &key);
        let cluster = Cluster::start(&[
            "ssl = on",
            &format!("ssl_cert_file = '{}'", cert_file.display()),
            &format!("ssl_key_file = '{}'", key_file.display()),
        ]);
        crate::support::cluster::connect(&cluster.url("postgres"))
            .unwrap()
            .batch_execute("CREATE ROLE clerk LOGIN PASSWORD 'letmein'; CREATE ROLE plain LOGIN")
            .unwrap();
        let rules = "local all all trust\n\
                     hostssl all postgres 127.0.0.1/32 trust\n\
                     hostssl all clerk 127.0.0.1/32 scram-sha-256\n\
                     hostnossl all plain 127.0.0.1/32 trust\n";
        std::fs::write(cluster.dir.join("data/pg_hba.conf"), rules).unwrap();
        cluster.control(&["reload"]);
        Secured { cluster, dir }
    }

    /// From now on it has this certificate and key, and these settings.
    pub fn renew(&self, (cert, key): &(String, String), settings: &[(&str, &str)]) {
        put(self.dir.path(), cert, key);
        let mut client = super::cluster::connect(&self.cluster.url("postgres")).unwrap();
        let loaded = "SELECT pg_conf_load_time()::text";
        let before: String = client.query_one(loaded, &[]).unwrap().get(0);
        client.batch_execute("ALTER SYSTEM RESET ALL").unwrap();
        for (name, value) in settings {
            client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).unwrap();
        }
        self.cluster.control(&["reload"]);
        super::program::wait_until("the server has read it", || {
            let mut client = super::cluster::connect(&self.cluster.url("postgres")).unwrap();
            client.query_one(loaded, &[]).unwrap().get::<_, String>(0) != before
        });
    }

    /// Writes a file for clients beside the server's.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The server's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.crt")
    }

    /// A connection string that names the server `host` and goes to where it is.
    pub fn url(&self, host: &str, user: &str, sslmode: &str, roots: Option<&Path>) -> String {
        let roots = roots.map(|path| format!(" sslrootcert={}", path.display()));
        format!(
            "host={host} hostaddr=127.0.0.1 port={} dbname=postgres user={user} \
             sslmode={sslmode}{}",
            self.cluster.port,
            roots.unwrap_or_default()
        )
    }
}
