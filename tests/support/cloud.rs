//! The services that give credentials: STS, a container's endpoint and an instance's metadata
//! service, on one port of this machine.
//!
//! The access key id of what is given tells who gave it to whom.

use super::endpoint::{Request, read};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A key that no log may show.
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// A session token that no log may show.
pub const SESSION: &str = "FwoGZXIvYXdzEJr//////////wEaDHunter2";

/// How a request is answered.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// How long the answer takes.
    pub after: Duration,
}

impl Answer {
    /// An answer at once, without headers of its own.
    pub fn new(status: u16, body: impl Into<String>) -> Answer {
        Answer { status, headers: Vec::new(), body: body.into(), after: Duration::ZERO }
    }
}

type Script = dyn Fn(&Request) -> Option<Answer> + Send + Sync;

/// The server; it ends when this is dropped.
pub struct Cloud {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
}

impl Cloud {
    /// All services, in order; what they give lives for an hour.
    pub fn start() -> Cloud {
        Cloud::scripted(|_| None)
    }

    /// The same, but the script goes first.
    pub fn scripted(script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> Cloud {
        let script: Arc<Script> = Arc::new(script);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let cloud = Cloud { address, seen: seen.clone(), stop: stop.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (script, seen) = (script.clone(), seen.clone());
                std::thread::spawn(move || talk(stream, &*script, &seen));
            }
        });
        cloud
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that came, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The paths that were asked for, in order.
    pub fn paths(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.path.clone()).collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn talk(stream: TcpStream, script: &Script, seen: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        seen.lock().unwrap().push(request.clone());
        let answer = script(&request).unwrap_or_else(|| usual(&request));
        std::thread::sleep(answer.after);
        let mut text =
            format!("HTTP/1.1 {} Said\r\ncontent-length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&answer.body);
        if reader.get_mut().write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

/// A time from now as the services write it.
pub fn later(time: Duration) -> String {
    let at = time::OffsetDateTime::now_utc() + time;
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.format(&format).unwrap()
}

/// The answer of a container's endpoint or a metadata service.
pub fn document(id: &str, lives: Duration) -> String {
    serde_json::json!({
        "Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": id, "SecretAccessKey": SECRET,
        "Token": SESSION, "Expiration": later(lives),
    })
    .to_string()
}

/// A parameter of an STS call.
pub fn parameter(request: &Request, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(&request.body);
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Who signed a request: the access key id.
pub fn signer(request: &Request) -> Option<String> {
    let header = request.header("authorization")?;
    let (_, rest) = header.split_once("Credential=")?;
    rest.split('/').next().map(str::to_owned)
}

fn usual(request: &Request) -> Answer {
    let hour = Duration::from_secs(3600);
    let refused = || Answer::new(401, "");
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/") => sts(request),
        ("GET", "/container") => Answer::new(200, document("AKIDCONTAINER", hour)),
        ("PUT", "/latest/api/token") => {
            match request.header("x-aws-ec2-metadata-token-ttl-seconds") {
                Some("21600") => Answer::new(200, "a-token=="),
                _ => Answer::new(400, ""),
            }
        }
        ("GET", path) if path.starts_with("/latest/") => {
            if request.header("x-aws-ec2-metadata-token") != Some("a-token==") {
                return refused();
            }
            match path {
                "/latest/meta-data/iam/security-credentials/" => Answer::new(200, "instance-role"),
                "/latest/meta-data/iam/security-credentials/instance-role" => {
                    Answer::new(200, document("AKIDINSTANCE", hour))
                }
                _ => Answer::new(404, ""),
            }
        }
        _ => Answer::new(404, ""),
    }
}

fn sts(request: &Request) -> Answer {
    let get = |name| parameter(request, name).unwrap_or_default();
    let role = get("RoleArn").rsplit('/').next().unwrap_or_default().to_owned();
    let (action, id) = match (get("Action").as_str(), signer(request)) {
        ("AssumeRole", Some(signer)) => ("AssumeRole", format!("{role}-by-{signer}")),
        ("AssumeRoleWithWebIdentity", None) => {
            ("AssumeRoleWithWebIdentity", format!("{role}-bearing-{}", get("WebIdentityToken")))
        }
        _ => return sts_error(400, "InvalidAction", "not that way"),
    };
    Answer::new(
        200,
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n\
             <{action}Result>\n<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/x/y</Arn>\
             <AssumedRoleId>AROA:y</AssumedRoleId></AssumedRoleUser>\n<Credentials>\n\
             <AccessKeyId>{id}</AccessKeyId>\n<SecretAccessKey>{SECRET}</SecretAccessKey>\n\
             <SessionToken>{SESSION}</SessionToken>\n<Expiration>{}</Expiration>\n</Credentials>\n\
             </{action}Result>\n<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\n\
             </{action}Response>\n",
            later(Duration::from_secs(3600))
        ),
    )
}

/// An error as STS words it.
pub fn sts_error(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>\
         <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
         <RequestId>r</RequestId></ErrorResponse>"
    );
    Answer::new(status, body)
}
