//! docs/VERIFYING.md: its code is run as it stands, with tokens that the program wrote and with
//! forged ones, and its SQL by the role that it describes.

use super::{blocks, read};
use crate::support::cluster::Database;
use crate::support::program::{KEY, Program, messages};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The block in Rust; a test compares the two.
#[path = "../snippets/verify.rs"]
pub(super) mod snippet;

/// The block of this language that verifies; the second one leaves a list.
fn block(language: &str) -> String {
    let found = blocks(&read("docs/VERIFYING.md"), language);
    assert_eq!(found.len(), 2, "blocks of {language}");
    found.into_iter().next().unwrap()
}

/// A question, and the secret in hexadecimal that is to be the answer.
struct Case {
    key: String,
    token: String,
    path: &'static str,
    code: String,
    secret: Option<String>,
}

/// A database with one token of each action, and both as `collect` wrote them: token and code.
fn written() -> (Database, [(String, String); 2]) {
    let database = Database::migrated();
    database.accounts("user", 1);
    database.recovery("other");
    let collect = Program::collect(&database).start();
    let found = messages(&collect.wait_lines(1)[0]);
    assert_eq!(collect.stop().code, Some(0));
    let of = |number: &str| {
        let [_, _, _, token, code] = found.iter().find(|fields| fields[0] == number).unwrap();
        (token.clone(), code.clone())
    };
    (database, [of("1"), of("2")])
}

fn secret_of(database: &Database, action: &str) -> String {
    let sql = format!("SELECT encode(secret, 'hex') FROM tokens WHERE action = '{action}'");
    database.client().query_one(&sql, &[]).unwrap().get(0)
}

/// The text with one character changed.
fn changed(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

/// Another text that a lenient decoder reads as the same bytes.
fn same_bytes(token: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(token.chars().last().unwrap()).unwrap();
    format!("{}{}", &token[..85], &alphabet[last + 1..last + 2])
}

fn cases() -> Vec<Case> {
    let (database, [(activation, unsigned), (recovery, code)]) = written();
    let activates = Some(secret_of(&database, "activation"));
    let recovers = Some(secret_of(&database, "password_recovery"));
    let case = |token: &str, path, code: &str, secret: &Option<String>| {
        let (token, code) = (token.to_owned(), code.to_owned());
        Case { key: KEY.to_owned(), token, path, code, secret: secret.clone() }
    };
    let wrong_code = if code == "00000" { "00001" } else { "00000" };
    let mut all = vec![
        case(&activation, "/activate", "", &activates),
        case(&recovery, "/recover", &code, &recovers),
        case(&activation, "/activate", "12345", &None),
        case(&activation, "/recover", "", &None),
        case(&activation, "/recover", &unsigned, &None),
        case(&recovery, "/recover", "", &None),
        case(&recovery, "/recover", wrong_code, &None),
        case(&recovery, "/recover", &format!("{code}0"), &None),
        case(&recovery, "/activate", &code, &None),
        case("", "/activate", "", &None),
        case("Zoë", "/activate", "", &None),
        case(&activation[..85], "/activate", "", &None),
        case(&format!("{activation}A"), "/activate", "", &None),
        case(&format!("{activation}=="), "/activate", "", &None),
        case(&format!("{activation}\n"), "/activate", "", &None),
        case(&format!("{} {}", &activation[..40], &activation[40..]), "/activate", "", &None),
        case(&same_bytes(&activation), "/activate", "", &None),
    ];
    all.extend((0..86).map(|at| case(&changed(&activation, at), "/activate", "", &None)));
    let mut other = case(&activation, "/activate", "", &None);
    other.key = "ab".repeat(32);
    all.push(other);
    all
}

/// Writes these files, gives the program the cases as JSON, and compares what it prints.
fn run(files: &[(&str, String)], program: impl AsRef<Path>, words: &[&str], cases: &[Case]) {
    let program = program.as_ref().display().to_string();
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let mut child = Command::new(&program)
        .args(words)
        .current_dir(dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): run scripts/setup"));
    let asked: Vec<Value> =
        cases.iter().map(|one| json!([one.key, one.token, one.path, one.code])).collect();
    child.stdin.take().unwrap().write_all(Value::from(asked).to_string().as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{program}: {}", done.status);
    let found: Vec<Option<String>> = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(found.len(), cases.len());
    for (one, found) in cases.iter().zip(&found) {
        assert_eq!(*found, one.secret, "{program}: {:?} {} {}", one.token, one.path, one.code);
    }
}

const NODE: &str = r#"
import { readFileSync } from "node:fs";
import { verify } from "./verify.mjs";
const cases = JSON.parse(readFileSync(0, "utf8"));
const found = cases.map(([key, token, path, code]) =>
    verify(Buffer.from(key, "hex"), token, path, code)?.toString("hex") ?? null);
process.stdout.write(JSON.stringify(found));
"#;

#[test]
fn the_code_for_node_knows_our_tokens_from_forged_ones() {
    let code = block("js");
    assert!(code.contains("timingSafeEqual(mac"), "it compares in constant time");
    let files = [("verify.mjs", code), ("main.mjs", NODE.to_owned())];
    run(&files, "node", &["main.mjs"], &cases());
}

const PYTHON: &str = r#"
import json, sys
from verify import verify
found = [verify(bytes.fromhex(key), *rest) for key, *rest in json.load(sys.stdin)]
print(json.dumps([secret and secret.hex() for secret in found]))
"#;

#[test]
fn the_code_for_python_knows_our_tokens_from_forged_ones() {
    let code = block("python");
    assert!(code.contains("compare_digest(expected"), "it compares in constant time");
    let files = [("verify.py", code), ("main.py", PYTHON.to_owned())];
    run(&files, crate::support::python::python(), &["main.py"], &cases());
}

#[test]
fn the_code_for_rust_knows_our_tokens_from_forged_ones() {
    assert_eq!(block("rust"), include_str!("../snippets/verify.rs"), "page and file differ");
    for one in cases() {
        let key: [u8; 32] = hex::decode(&one.key).unwrap().try_into().unwrap();
        let found = snippet::verify(&key, &one.token, one.path, &one.code).map(hex::encode);
        assert_eq!(found, one.secret, "{:?} {} {}", one.token, one.path, one.code);
    }
}

#[test]
fn a_token_is_used_up_once_by_the_role_of_a_web_application() {
    let [using, of_others, granting] =
        blocks(&read("docs/VERIFYING.md"), "sql").try_into().unwrap();
    let (database, _) = written();
    let web = format!("web_{}", database.name);
    database.run(&format!("CREATE ROLE {web} LOGIN"));
    database.run(&granting.replace("TO web;", &format!("TO {web};")));
    let url = database.url.replace("user=postgres", &format!("user={web}"));
    let mut client = crate::support::cluster::connect(&url).unwrap();
    let mut uses = |secret: &str, action: &str| -> usize {
        let secret = hex::decode(secret).unwrap();
        client.query(&using, &[&secret, &action]).unwrap().len()
    };
    let activation = secret_of(&database, "activation");
    let recovery = secret_of(&database, "password_recovery");
    assert_eq!(uses(&activation, "password_recovery"), 0, "of another action");
    assert_eq!(uses(&"00".repeat(32), "activation"), 0, "unknown");
    database.run("UPDATE accounts SET status = 'suspended'");
    assert_eq!(uses(&recovery, "password_recovery"), 0, "suspended");
    // Out of a suspension an account that was never activated is provisioned.
    for _ in 0..2 {
        database.run("UPDATE accounts SET status = 'active' WHERE login = 'other'");
    }
    database.run("UPDATE accounts SET status = 'provisioned' WHERE login = 'user1'");
    assert_eq!(uses(&activation, "activation"), 1);
    let active = "SELECT count(*) FROM accounts WHERE login = 'user1' AND status = 'active'";
    assert_eq!(database.number(active), 1, "the trigger activates the account");
    assert_eq!(uses(&activation, "activation"), 0, "used before");
    database.run(
        "UPDATE tokens SET expires_at = extract(epoch FROM now()) - 1
          WHERE action = 'password_recovery'",
    );
    assert_eq!(uses(&recovery, "password_recovery"), 0, "expired");
    database.run(
        "UPDATE tokens SET expires_at = extract(epoch FROM now()) + 60
          WHERE action = 'password_recovery'",
    );
    assert_eq!(uses(&recovery, "password_recovery"), 1);
    // A token of send_mail gives its subject back, and the older one of that subject is void.
    let make = "SELECT send_mail(kind => 'password_recovery', recipient => $1, subject => '4711')";
    let secrets = ["a@example.com", "b@example.com"].map(|address| -> Vec<u8> {
        let id: i64 = database.client().query_one(make, &[&address]).unwrap().get(0);
        let secret = "SELECT secret FROM tokens WHERE id = $1";
        database.client().query_one(secret, &[&id]).unwrap().get(0)
    });
    let mut used = |secret: &Vec<u8>, kind: &str| -> Vec<String> {
        let rows = client.query(&of_others, &[secret, &kind]).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    assert!(used(&secrets[1], "invitation").is_empty(), "of another kind");
    assert_eq!(used(&secrets[1], "password_recovery"), ["4711"]);
    assert!(used(&secrets[1], "password_recovery").is_empty(), "used before");
    assert!(used(&secrets[0], "password_recovery").is_empty(), "void since the newer was used");
    let error = client.query("SELECT email FROM accounts", &[]).unwrap_err();
    assert_eq!(error.code(), Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE));
    drop(client);
    database.run(&format!("DROP OWNED BY {web}; DROP ROLE {web}"));
}
