//! Fixed work on the hot paths, so many times: `scripts/count` runs it under callgrind, which counts
//! instructions and needs no clock.
//!
//! In scope: what is done for each message of a batch, without the database and the network. Out of
//! scope: timing (`scripts/bench`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod fixtures;

use aws_credential_types::Credentials;
use fixtures::{CODE, PATH, SECRET, batch, key};
use http::Request;

use mailroom::edges::aws::sign::sign;
use mailroom::mail::batcher::{Action, Batcher, Event};
use mailroom::mail::token::{Parsed, verify};
use mailroom::mail::wire::{Decode as _, csv, fields};
use std::hint::black_box;
use std::time::{Duration, Instant, UNIX_EPOCH};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let (Some(path), Some(times)) = (words.get(1), words.get(2).and_then(|n| n.parse().ok()))
    else {
        // `cargo test` and `cargo bench` run this without words.
        return;
    };
    let times: usize = times;
    let key = key();
    let signer = key.signer();
    let token = signer.sign(PATH, true, &SECRET, Some(CODE)).unwrap();
    let batch = batch(&token);
    let mut record = Vec::new();
    fields::encode(&batch.messages, &mut record);
    match path.as_str() {
        "encode" => (0..times).for_each(|_| {
            record.clear();
            fields::encode(black_box(&batch.messages), &mut record);
        }),
        "decode" => (0..times).for_each(|_| {
            let read = csv::Decoder::default().push(black_box(&record)).1.unwrap();
            assert_eq!(black_box(read).good.len(), 50);
        }),
        "sign" => (0..times).for_each(|_| {
            black_box(signer.sign(PATH, true, black_box(&SECRET), Some(CODE))).unwrap();
        }),
        "request" => {
            let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
            let credentials = Credentials::new("AKIDEXAMPLE", secret, None, None, "bench");
            let region = "us-east-1";
            let url = "https://email.us-east-1.amazonaws.com/v2/email/outbound-bulk-emails";
            (0..times).for_each(|_| {
                let request = Request::post(url).header("content-type", "application/json");
                let mut request = request.body(black_box(record.clone())).unwrap();
                sign(&mut request, &credentials, region, "ses", UNIX_EPOCH).unwrap();
                black_box(request);
            });
        }
        "verify" => {
            let keys = [key];
            (0..times).for_each(|_| {
                let parsed = Parsed::from_text(black_box(&token)).unwrap();
                verify(&keys, &parsed, &["/activate", "/recover"], Some(CODE)).unwrap();
            });
        }
        "batcher" => {
            let mut now = Instant::now();
            let mut batcher = Batcher::new(Duration::from_secs(5));
            batcher.step(Event::Slept(Some(true)), now);
            (0..times).for_each(|_| {
                now += Duration::from_secs(1);
                let action = batcher.step(black_box(Event::Notified(1)), black_box(now));
                assert_eq!(black_box(action), Action::Look);
            });
        }
        "verdict" => (0..times).for_each(|_| {
            let _ = black_box(mailroom::send::ses::causes::entry(
                black_box("SUCCESS"),
                "",
                "a@example.com",
                &["b@example.com"],
            ));
            let _ = black_box(mailroom::send::ses::causes::entry(
                black_box("MESSAGE_REJECTED"),
                "no",
                "a@example.com",
                &["b@example.com"],
            ));
        }),
        #[cfg(feature = "smtp")]
        "mail" => {
            use mailroom::send::smtp::mail::{Files, make, sender};
            let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
            let files = Files::new(&directory);
            let from = sender("Example <hello@example.com>");
            let message = &batch.messages[1];
            (0..times).for_each(|_| {
                black_box(make(&files, "activationv1", black_box(message), &from, UNIX_EPOCH))
                    .unwrap();
            });
        }
        other => panic!("there is no hot path {other}"),
    }
}
