//! A local SES that others wrote: `aws-ses-v2-local`, run by node. It keeps templates, renders
//! mails and shows them at `/store`; it checks no signature and knows no faults.

use mailroom::edges::http::Http;
use mailroom::edges::stop::Stop;
use serde_json::{Value, json};
use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Serves on a free port and says which; ends with the pipe on its standard input, so that it
/// does not outlive this process. The package's own command needs a newer node than its server.
const SERVE: &str = r#"
    process.stdin.on("end", () => process.exit()).resume();
    require(process.argv[1]).default({ host: "127.0.0.1", port: 0 })
        .then((server) => console.log(server.address().port));
"#;

/// The server; it ends when this is dropped.
pub struct Peer {
    child: Child,
    port: u16,
    http: Http,
}

impl Peer {
    /// Starts the server and waits until it answers.
    ///
    /// Fails if node or the package is not installed.
    pub fn start() -> Peer {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let package = root.join("tests/peer/node_modules/aws-ses-v2-local");
        assert!(package.exists(), "{} is missing: run scripts/setup", package.display());
        let mut child = Command::new("node")
            .args(["-e", SERVE])
            .arg(package)
            .env_remove("SMTP_TRANSPORT")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be run ({error}): run scripts/setup"));
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufReader::new(out).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("aws-ses-v2-local says its port");
        let http = Http::new(&|_| None, Stop::new()).unwrap();
        let peer = Peer { child, port, http };
        let deadline = Instant::now() + Duration::from_secs(30);
        while peer.get("/health-check").is_err() {
            assert!(Instant::now() < deadline, "aws-ses-v2-local did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        peer
    }

    /// Where it listens, for AWS_ENDPOINT_URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let request = http::Request::get(format!("{}{path}", self.url())).body(Vec::new()).unwrap();
        match self.http.call(request) {
            Ok(reply) if reply.status.is_success() => Ok(reply.body),
            Ok(reply) => Err(reply.status.to_string()),
            Err(fault) => Err(fault.why),
        }
    }

    /// Creates a template.
    pub fn template(&self, name: &str, subject: &str, text: &str) {
        let body = json!({
            "TemplateName": name,
            "TemplateContent": { "Subject": subject, "Text": text }
        });
        let request = http::Request::post(format!("{}/v2/email/templates", self.url()))
            .header("content-type", "application/json")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=x/20261122/us-east-1/ses/aws4")
            .body(body.to_string().into_bytes())
            .unwrap();
        let reply = self.http.call(request).unwrap();
        assert!(reply.status.is_success(), "{reply:?}");
    }

    /// The mails that it got.
    pub fn store(&self) -> Vec<Value> {
        let body = self.get("/store").unwrap();
        let store: Value = serde_json::from_slice(&body).unwrap();
        store["emails"].as_array().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
