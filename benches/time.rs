//! How long the pure parts take on this machine, with Criterion: `cargo bench --bench time`.
//!
//! In scope: what is done for each message of a batch, and a step of the batcher. Out of scope: whether that
//! got slower (`count.rs`, which needs no clock), the program as a whole (`scripts/bench`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod fixtures;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fixtures::{CODE, PATH, SECRET, batch, key};
use mailroom::mail::batcher::{Action, Batcher, Event};
use mailroom::mail::token::{Parsed, verify};
use mailroom::mail::wire::{Decode as _, csv, fields};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn of_wire(criterion: &mut Criterion) {
    let token = key().signer().sign(PATH, true, &SECRET, Some(CODE)).unwrap();
    let batch = batch(&token);
    let mut record = Vec::new();
    fields::encode(&batch.messages, &mut record);
    let mut group = criterion.benchmark_group("a record of 50");
    group.throughput(Throughput::Elements(50));
    let mut out = Vec::with_capacity(record.len());
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            fields::encode(black_box(&batch.messages), &mut out);
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let read = csv::Decoder::default().push(black_box(&record)).1.unwrap();
            assert_eq!(read.good.len(), 50);
            read
        });
    });
    group.finish();
}

fn of_token(criterion: &mut Criterion) {
    let keys = [key()];
    let signer = keys[0].signer();
    let token = signer.sign(PATH, true, &SECRET, Some(CODE)).unwrap();
    let mut group = criterion.benchmark_group("a token");
    group.bench_function("sign", |bencher| {
        bencher.iter(|| signer.sign(PATH, true, black_box(&SECRET), Some(CODE)).unwrap());
    });
    group.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let parsed = Parsed::from_text(black_box(&token)).unwrap();
            verify(&keys, &parsed, &["/activate", "/recover"], Some(CODE)).unwrap();
        });
    });
    group.finish();
}

fn of_batcher(criterion: &mut Criterion) {
    let now = Instant::now();
    let mut batcher = Batcher::new(Duration::from_secs(5));
    criterion.bench_function("a step of the batcher", |bencher| {
        bencher.iter(|| {
            let action = batcher.step(black_box(Event::Notified(1)), black_box(now));
            assert_eq!(action, Action::Look);
        });
    });
}

criterion_group!(benches, of_wire, of_token, of_batcher);
criterion_main!(benches);
