//! A local SES that others wrote: `aws-ses-v2-local`, run by node. It keeps templates, renders
//! mails and shows them at `/store`; it checks no signature and knows no faults.

use mailroom::http::Http;
use mailroom::stop::Stop;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
        let script = root.join("tests/peer/node_modules/aws-ses-v2-local/dist/cli.js");
        assert!(script.exists(), "{} is missing: run scripts/setup", script.display());
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let child = Command::new("node")
            .arg(script)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .env_remove("SMTP_TRANSPORT")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be run ({error}): run scripts/setup"));
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
