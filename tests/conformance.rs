//! What every provider's transport does alike: one suite, three peers.

use crate::postmark::postmark;
use crate::smtp::{smtp, templates};
use crate::support::batches::{accepted, batch, cause, ids, why};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::mailserver::{Act, MailServer, Step};
use crate::support::postmark::API_TOKEN;
use mailroom::edges::aws::credentials::Keeper;
use mailroom::edges::aws::credentials::source::Outside;
use mailroom::edges::aws::endpoint::Endpoint as Place;
use mailroom::edges::http::Http;
use mailroom::edges::stop::Stop;
use mailroom::mail::counts::Metrics;
use mailroom::mail::ends::{Ask, Next, Source, Transport};
use mailroom::mail::error::Error;
use mailroom::mail::kind::Templates;
use mailroom::mail::model::{Batch, Cause, Kind, Message, Outcome, Scope};
use mailroom::mail::pace::Pace;
use mailroom::mail::policy::held;
use mailroom::pump::{Progress, Pump, system_clock};
use mailroom::send::ses::bulk::Through;
use mailroom::send::ses::client::Client;
use mailroom::send::ses::{Ses, Settings};
use std::time::{Duration, Instant, SystemTime};

/// How a provider behaves.
#[derive(Clone, Copy, Debug)]
enum Behave {
    Well,
    /// This message of the next batch is refused for ever.
    Rejects(usize),
    /// Nothing is taken now.
    Later,
    /// Everything is taken and no answer comes.
    LosesAnswers,
    /// The next answer comes after the deadline.
    Slow,
    /// The account may not send.
    Holds,
}

/// A mail as its recipient sees it: address, login, signed token, code.
type Got = (String, String, String, String);

/// A provider under our control.
trait Peer: Sync {
    fn transport(&self) -> Box<dyn Transport>;
    /// The same for an address where nobody listens.
    fn nobody(&self) -> Box<dyn Transport>;
    fn behave(&self, how: Behave);
    fn got(&self) -> Vec<Got>;
    /// Takes no more than so many in a second from now on.
    fn throttle(&self, most: usize);
    /// As [`crate::support::meter::Meter::used`].
    fn used(&self, from: usize, part: f64) -> Option<usize>;
}

/// Longer than any deadline.
const TOO_LONG: Duration = Duration::from_secs(40);

fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// SES and Postmark speak HTTP.
struct Web {
    endpoint: Endpoint,
    output: tempfile::TempDir,
    postmark: bool,
}

impl Web {
    fn new(postmark: bool) -> Web {
        Web { endpoint: Endpoint::start(), output: tempfile::tempdir().unwrap(), postmark }
    }

    fn at(&self, url: &str) -> Box<dyn Transport> {
        if self.postmark {
            return Box::new(postmark(url, API_TOKEN, &Stop::new()));
        }
        let url = url.to_owned();
        let variables = move |name: &str| match name {
            "AWS_ENDPOINT_URL" => Some(url.clone()),
            "AWS_REGION" => Some("us-east-1".to_owned()),
            "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
            "AWS_SECRET_ACCESS_KEY" => Some("hunter2".to_owned()),
            _ => None,
        };
        let settings = Settings {
            endpoint: Place::read(&variables).unwrap(),
            templates: Templates::parse("1=activationv1,2=passwordrecoveryv1").unwrap(),
            source: "noreply@example.com".into(),
            through: Through { config_set: "default".into(), ..Through::default() },
            output: self.output.path().to_owned(),
            clock: system_clock(),
        };
        let http = Http::new(&variables, Stop::new()).unwrap();
        let keeper = Keeper::new(Outside {
            variables: Box::new(variables),
            http: http.clone(),
            wall: Box::new(SystemTime::now),
            now: Box::new(Instant::now),
            stop: Stop::new(),
            clean: mailroom::send::text::clean,
        });
        let client = Client::new(settings.endpoint.clone(), http, keeper, system_clock().wall);
        Box::new(Ses::new(settings, client))
    }
}

impl Peer for Web {
    fn transport(&self) -> Box<dyn Transport> {
        self.at(&self.endpoint.url())
    }

    fn nobody(&self) -> Box<dyn Transport> {
        self.at(&format!("http://127.0.0.1:{}", closed_port()))
    }

    fn behave(&self, how: Behave) {
        let (never, later) = match self.postmark {
            true => (("406", "inactive"), ("100", "maintenance")),
            false => (("MESSAGE_REJECTED", "no"), ("TRANSIENT_FAILURE", "later")),
        };
        self.endpoint.set(match how {
            Behave::Well => Reply::Accept,
            Behave::Rejects(at) => {
                let mut statuses = vec![("SUCCESS", ""); at];
                statuses.push(never);
                Reply::Statuses(statuses)
            }
            Behave::Later => Reply::Statuses(vec![later; 50]),
            Behave::LosesAnswers => Reply::AcceptThenReset,
            Behave::Slow => Reply::Slow(TOO_LONG, Box::new(Reply::Accept)),
            Behave::Holds if self.postmark => {
                let body = r#"{"ErrorCode":412,"Message":"Account is pending"}"#;
                Reply::Full(422, Vec::new(), body.into())
            }
            Behave::Holds => Reply::error(400, "SendingPausedException", "paused"),
        });
    }

    fn got(&self) -> Vec<Got> {
        let text = |data: &serde_json::Value, name: &str| data[name].as_str().unwrap().to_owned();
        let mails = self.endpoint.accepted().into_iter();
        mails
            .map(|mail| {
                let data = &mail.data;
                (mail.to.clone(), text(data, "login"), text(data, "secret"), text(data, "code"))
            })
            .collect()
    }

    fn throttle(&self, most: usize) {
        self.endpoint.throttle(most);
    }

    fn used(&self, from: usize, part: f64) -> Option<usize> {
        self.endpoint.used(from, part)
    }
}

struct Mail {
    server: MailServer,
    dir: tempfile::TempDir,
}

impl Mail {
    fn new() -> Mail {
        Mail { server: MailServer::plain(), dir: templates() }
    }

    fn at(&self, port: u16) -> Box<dyn Transport> {
        let url = format!("smtp://localhost:{port}?tls=none");
        Box::new(smtp(&url, self.dir.path(), &Stop::new()).unwrap())
    }
}

impl Peer for Mail {
    fn transport(&self) -> Box<dyn Transport> {
        self.at(self.server.port())
    }

    fn nobody(&self) -> Box<dyn Transport> {
        self.at(closed_port())
    }

    fn behave(&self, how: Behave) {
        let server = &self.server;
        server.behave();
        match how {
            Behave::Well => {}
            Behave::Rejects(at) => {
                server.refuse(&format!("user{at}@example.com"), "550 5.1.1 No such user");
            }
            Behave::Later => server.set(Step::Rcpt, Some(Act::Say("451 4.3.0 Later"))),
            Behave::LosesAnswers => server.set(Step::Dot, Some(Act::TakeThenDrop)),
            Behave::Slow => server.push(Step::Dot, Act::Slow(TOO_LONG)),
            Behave::Holds => server.set(Step::Mail, Some(Act::Say("550 5.7.1 Not allowed"))),
        }
    }

    fn got(&self) -> Vec<Got> {
        let mails = self.server.mails().into_iter();
        mails
            .map(|mail| {
                let (text, _) = mail.bodies();
                let mut parts = text.rsplitn(3, '|').map(str::to_owned);
                let (code, secret) = (parts.next().unwrap(), parts.next().unwrap());
                (mail.to, parts.next().unwrap(), secret, code)
            })
            .collect()
    }

    fn throttle(&self, most: usize) {
        self.server.throttle(most);
    }

    fn used(&self, from: usize, part: f64) -> Option<usize> {
        self.server.used(from, part)
    }
}

/// Runs a claim against every provider.
fn each(claim: impl Fn(&str, &dyn Peer)) {
    claim("ses", &Web::new(false));
    claim("smtp", &Mail::new());
    claim("postmark", &Web::new(true));
}

fn wanted(batch: &Batch) -> Vec<Got> {
    let messages = batch.messages.iter();
    messages.map(|m| (m.email.clone(), m.login.clone(), m.token.clone(), m.code.clone())).collect()
}

#[test]
fn all_are_accepted_each_with_an_id_of_its_own() {
    each(|name, peer| {
        let outcomes = peer.transport().send(&batch(3));
        assert!(outcomes.len() == 3 && outcomes.iter().all(accepted), "{name}: {outcomes:?}");
        let ids = ids(&outcomes);
        assert!(!ids.contains(&"") && ids[0] != ids[1] && ids[1] != ids[2], "{name}: {ids:?}");
        assert_eq!(peer.got(), wanted(&batch(3)), "{name}");
    });
}

#[test]
fn one_rejected_among_good_ones_spoils_nothing() {
    each(|name, peer| {
        peer.behave(Behave::Rejects(1));
        let outcomes = peer.transport().send(&batch(3));
        assert!(cause(&outcomes[1]) == Cause::Rejected, "{name}: {outcomes:?}");
        assert!(accepted(&outcomes[0]) && accepted(&outcomes[2]), "{name}: {outcomes:?}");
        assert_eq!(peer.got().len(), 2, "{name}");
    });
}

#[test]
fn all_that_is_refused_for_now_is_tried_again_and_then_sent_once() {
    each(|name, peer| {
        let mut transport = peer.transport();
        peer.behave(Behave::Later);
        // Postmark has no code for one message.
        let later = if name == "postmark" { Cause::Away } else { Cause::Busy };
        for outcome in transport.send(&batch(3)) {
            assert!(!why(&outcome).is_empty());
            assert_eq!(cause(&outcome), later, "{name}: {outcome:?}");
        }
        peer.behave(Behave::Well);
        assert!(transport.send(&batch(3)).iter().all(accepted), "{name}");
        assert_eq!(peer.got(), wanted(&batch(3)), "{name}");
    });
}

#[test]
fn a_provider_that_is_down_was_sent_nothing() {
    each(|name, peer| {
        let outcomes = peer.nobody().send(&batch(50));
        assert_eq!(outcomes.len(), 50);
        for outcome in &outcomes {
            assert_eq!(cause(outcome), Cause::Away, "{name}: {outcome:?}");
            assert!(why(outcome).starts_with("not sent: "), "{name}: {outcome:?}");
        }
    });
}

#[test]
fn an_answer_that_is_lost_after_acceptance_is_ambiguous_and_not_sent_again_here() {
    each(|name, peer| {
        let mut transport = peer.transport();
        peer.behave(Behave::LosesAnswers);
        let outcomes = transport.send(&batch(3));
        let ambiguous = |outcome: &Outcome| cause(outcome) == Cause::Unknown;
        assert!(outcomes.iter().all(ambiguous), "{name}: {outcomes:?}");
        assert_eq!(peer.got(), wanted(&batch(3)), "{name}: each once");
        peer.behave(Behave::Well);
        assert!(transport.send(&batch(1)).iter().all(accepted), "{name}");
    });
}

#[test]
fn an_answer_beyond_the_deadline_is_ambiguous_and_ends_the_wait() {
    let late = |name: &str, peer: &dyn Peer| {
        peer.behave(Behave::Slow);
        let mut transport = peer.transport();
        let start = Instant::now();
        let outcomes = transport.send(&batch(1));
        let took = start.elapsed();
        assert!(took > Duration::from_secs(10) && took < TOO_LONG, "{name}: {took:?}");
        assert_eq!(cause(&outcomes[0]), Cause::Unknown, "{name}: {outcomes:?}");
        peer.behave(Behave::Well);
        assert!(transport.send(&batch(1)).iter().all(accepted), "{name}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| late("ses", &Web::new(false)));
        scope.spawn(|| late("smtp", &Mail::new()));
        scope.spawn(|| late("postmark", &Web::new(true)));
    });
}

#[test]
fn a_hold_fails_nothing_and_ends_with_its_cause() {
    each(|name, peer| {
        let mut transport = peer.transport();
        peer.behave(Behave::Holds);
        for _ in 0..2 {
            let outcomes = transport.send(&batch(3));
            for outcome in &outcomes {
                let held = held(cause(outcome), &"1".into());
                assert_eq!(held, Some(Scope::All), "{name}: {outcome:?}");
            }
        }
        assert!(peer.got().is_empty(), "{name}");
        peer.behave(Behave::Well);
        assert!(transport.send(&batch(3)).iter().all(accepted), "{name}");
        assert_eq!(peer.got(), wanted(&batch(3)), "{name}");
    });
}

#[test]
fn fifty_recipients_get_one_mail_each_in_order() {
    each(|name, peer| {
        let outcomes = peer.transport().send(&batch(50));
        assert!(outcomes.len() == 50 && outcomes.iter().all(accepted), "{name}: {outcomes:?}");
        assert_eq!(peer.got(), wanted(&batch(50)), "{name}");
    });
}

#[test]
fn odd_characters_in_every_field_arrive_as_they_were_or_not_at_all() {
    let logins = [
        "a,b\";:\\'",
        "line\nbreak\n\nBcc: eve@example.com",
        ".\n.",
        "\u{1F600}\u{e9}\u{4e2d}\u{202e}",
        "",
        "{{code}} {% raw %} {{{secret}}} #{x}",
        "<b>&amp;</b>",
        "nul \0 tab\t bell \u{7} del \u{7f}",
        "=?utf-8?q?forged?= =3D",
    ];
    each(|name, peer| {
        let mut odd = batch(logins.len() + 3);
        for (message, login) in odd.messages.iter_mut().zip(logins) {
            message.login = login.to_owned();
            message.code = "00000".into();
            message.kind = Kind::numbered(2).into();
        }
        odd.messages[0].email = "o'brien+a!#$%&*-/=?^_`{|}~z@xn--bcher-kva.example".into();
        let bad = [
            "a@example.com\r\nRCPT TO:<eve@example.com>",
            "a@x.example,b@x.example",
            "a b@x.example",
        ];
        for (message, email) in odd.messages[logins.len()..].iter_mut().zip(bad) {
            message.email = email.to_owned();
        }
        let outcomes = peer.transport().send(&odd);
        let (good, refused) = outcomes.split_at(logins.len());
        assert!(good.iter().all(accepted), "{name}: {good:?}");
        let reject = |outcome: &Outcome| cause(outcome) == Cause::Unsigned;
        assert!(refused.iter().all(reject), "{name}: {refused:?}");
        odd.messages.truncate(logins.len());
        assert_eq!(peer.got(), wanted(&odd), "{name}");
    });
}

/// Mail without an end.
struct Endless(Stop);

impl Source for Endless {
    fn next(&mut self, ask: &Ask) -> Result<Next, Error> {
        Ok(if self.0.requested() { Next::End } else { Next::Batch(batch(ask.limit)) })
    }

    fn idle(&mut self, until: Instant) -> Result<bool, Error> {
        self.0.sleep(until.saturating_duration_since(Instant::now()));
        Ok(true)
    }

    fn settle(&mut self, _: Vec<(Message, Outcome)>, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn left(&mut self, _: u64) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn a_provider_that_takes_five_a_second_gets_nearly_five_a_second() {
    let claim = |name: &str, peer: Box<dyn Peer>| {
        peer.throttle(5);
        let stop = Stop::new();
        let watch = stop.clone();
        std::thread::scope(|scope| {
            let peer = peer.as_ref();
            let found = scope.spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(150);
                loop {
                    let found = peer.used(10, 0.9);
                    if found.is_some() || Instant::now() > deadline {
                        watch.request();
                        return found;
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
            });
            let mut pump = Pump {
                source: &mut Endless(stop.clone()),
                transport: peer.transport(),
                pace: Pace::new(10, 50.0, None),
                stop,
                clock: system_clock(),
                metrics: Metrics::default(),
                unit: "TEST",
                progress: Progress::default(),
            };
            pump.run().unwrap();
            let found = found.join().unwrap();
            println!("{name}: nine tenths are used from second {found:?} on");
            assert!(found.is_some(), "{name}");
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| claim("ses", Box::new(Web::new(false))));
        scope.spawn(|| claim("smtp", Box::new(Mail::new())));
        scope.spawn(|| claim("postmark", Box::new(Web::new(true))));
    });
}
