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
        let (cert_file, key_file) = (dir.path().join("server.crt"), dir.path().join("server.key"));
        std::fs::write(&cert_file, cert).unwrap();
        std::fs::write(&key_file, key).unwrap();
        std::fs::set_permissions(&key_file, PermissionsExt::from_mode(0o600)).unwrap();
        if nix::unistd::geteuid().is_root() {
            let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
            nix::unistd::chown(&key_file, Some(nobody.uid), Some(nobody.gid)).unwrap();
        }
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
