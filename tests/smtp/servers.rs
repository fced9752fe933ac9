//! Groups of commands and several connections with servers that others wrote. What is known of each is
//! a row of docs/TRANSPORTS.md.

use super::{smtp_on, templates};
use crate::support::batches::{batch, cause};
use crate::support::postfix::Postfix;
use crate::support::program::PATIENCE;
use crate::support::servers::Server;
use crate::support::servers::exim::exim;
use crate::support::servers::libraries::{aiosmtpd, haraka, smtp_server};
use crate::support::servers::roots::{courier, opensmtpd, sendmail};
use mailroom::edges::stop::Stop;
use mailroom::mail::ends::Transport;
use mailroom::mail::model::{Cause, Outcome};
use mailroom::pump::system_clock;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

/// Refused for ever, and for now: at the begin of a connection, in the middle of groups, side by side,
/// and at the end.
const GONE: [usize; 5] = [0, 7, 8, 23, 47];
const LATER: [usize; 2] = [9, 30];

/// Hands over 48 mails on three connections at a time, then twelve more. Each that was accepted is there once, for
/// its recipient and with its own content; those that were refused are not there at all.
fn each_mail_arrives_once(name: &str, url: &str, arrived: impl Fn(usize) -> Vec<String>) {
    assert_eq!(offers(url), documented(name), "docs/TRANSPORTS.md, {name}");
    let dir = templates();
    let mut smtp = smtp_on(3, 10, system_clock(), url, dir.path(), &Stop::new()).unwrap();
    let mut first = batch(60);
    let second = mailroom::mail::model::Batch { messages: first.messages.split_off(48) };
    GONE.iter().for_each(|gone| first.messages[*gone].email = "gone@example.com".into());
    LATER.iter().for_each(|later| first.messages[*later].email = "later@example.com".into());
    let mut outcomes = smtp.send(&first);
    outcomes.append(&mut smtp.send(&second));
    let mut wanted = Vec::new();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Outcome::Accepted { provider_id } => {
                assert!(!GONE.contains(&number) && !LATER.contains(&number), "{number}");
                let to = format!("user{number}@example.com");
                wanted.push([to.clone(), to, format!("<{provider_id}>"), format!("login{number}")]);
            }
            _ if GONE.contains(&number) => assert_eq!(cause(&outcome), Cause::Rejected),
            _ if LATER.contains(&number) => assert_eq!(cause(&outcome), Cause::Busy),
            _ => panic!("{name}, {number}: {outcome:?}"),
        }
    }
    let mails = arrived(wanted.len());
    let mut found: Vec<_> = mails.iter().map(|mail| essence(mail)).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted, "{name}");
}

/// The recipient of the envelope, that of the header, the id, and whom the text is for.
fn essence(mail: &str) -> [String; 4] {
    use mailparse::MailHeaderMap as _;
    let mail = mailparse::parse_mail(mail.as_bytes()).unwrap();
    let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
    let text = mail.subparts[0].get_body().unwrap();
    let login = text.split('|').next().unwrap().to_owned();
    [header("Delivered-To"), header("To"), header("Message-ID"), login]
}

/// Whether the server at `url` offers PIPELINING and SMTPUTF8.
fn offers(url: &str) -> [bool; 2] {
    let port = url.trim_start_matches("smtp://localhost:").split('?').next().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().starts_with("220 "));
    (&stream).write_all(b"EHLO mail.example.com\r\n").unwrap();
    let mut offers = Vec::new();
    while offers.last().is_none_or(|line: &String| line.starts_with("250-")) {
        offers.push(lines.next().unwrap());
    }
    ["PIPELINING", "SMTPUTF8"].map(|wanted| offers.iter().any(|line| line[4..] == *wanted))
}

/// The same, as docs/TRANSPORTS.md has it.
fn documented(name: &str) -> [bool; 2] {
    let page = include_str!("../../docs/TRANSPORTS.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| {name} "))).unwrap();
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    [cells[2], cells[3]].map(|cell| cell == "yes")
}

fn holds(name: &str, server: Option<Server>) {
    let Some(server) = server else { return };
    each_mail_arrives_once(name, &server.url(), |count| server.mails(count));
}

#[test]
fn mails_in_groups_arrive_once_at_postfix() {
    let postfix = Postfix::start();
    if postfix.whole {
        each_mail_arrives_once("Postfix", &postfix.url(), |count| postfix.mails(count));
    }
}

#[test]
fn mails_in_groups_arrive_once_at_exim() {
    holds("Exim", exim());
}

#[test]
fn mails_in_groups_arrive_once_at_sendmail() {
    holds("Sendmail", sendmail());
}

#[test]
fn mails_in_groups_arrive_once_at_courier() {
    holds("Courier", courier());
}

#[test]
fn mails_arrive_once_at_opensmtpd() {
    holds("OpenSMTPD", opensmtpd());
}

#[test]
fn mails_in_groups_arrive_once_at_haraka() {
    holds("Haraka", Some(haraka()));
}

#[test]
fn mails_in_groups_arrive_once_at_smtp_server() {
    holds("smtp-server", Some(smtp_server()));
}

#[test]
fn mails_arrive_once_at_aiosmtpd() {
    holds("aiosmtpd", Some(aiosmtpd()));
}
