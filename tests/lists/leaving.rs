//! The code of docs/VERIFYING.md by which people leave a list, run as it stands against the database.

use super::{database, state_of, subscribers, token_of};
use crate::documents::{blocks, read};
use crate::support::cluster::{Database, bin_dir};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

#[path = "../snippets/leaving.rs"]
mod snippet;

fn block(language: &str) -> String {
    blocks(&read("docs/VERIFYING.md"), language).remove(1)
}

/// A server that prints its port; it asks the database through psql.
fn serve(
    database: &Database,
    program: &str,
    files: &[(&str, &str)],
) -> (Child, u16, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let mut server = Command::new(program)
        .arg(files.last().unwrap().0)
        .current_dir(dir.path())
        .env("PSQL", bin_dir().join("psql"))
        .env("DATABASE", &database.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): run scripts/setup"));
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (server, line.trim().parse().unwrap(), dir)
}

/// What it answers.
fn ask(port: u16, method: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = if method == "POST" { "List-Unsubscribe=One-Click" } else { "" };
    write!(
        stream,
        "{method} /unsubscribe?token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A look changes nothing, a press does, twice the same, and nobody learns who was there.
fn try_out(database: &Database, mut ask: impl FnMut(&str, &str) -> String) {
    subscribers(database, 2);
    let token = token_of(database, "s1@example.com");
    for _ in 0..2 {
        let page = ask("GET", &token);
        assert!(page.contains("<form method=\"post\">") && !page.contains(&token), "{page}");
        assert_eq!(state_of(database, "s1@example.com"), "confirmed");
    }
    let ends = |answer: String| answer.rsplit("\r\n").next().unwrap().to_owned();
    let gone = ends(ask("POST", &token));
    assert!(gone.contains("not on the list any more"), "{gone}");
    assert_eq!(state_of(database, "s1@example.com"), "unsubscribed");
    for token in [token.as_str(), "", "x", "%27%3B--", &"A".repeat(32)] {
        assert_eq!(ends(ask("POST", token)), gone, "{token}");
    }
    assert_eq!(state_of(database, "s2@example.com"), "confirmed");
}

const NODE: &str = r#"
import { spawnSync } from "node:child_process";
import { leaving } from "./leaving.mjs";
const query = async (sql, [token]) => {
  const words = ["-v", `token=${token}`, "-v", "ON_ERROR_STOP=1", process.env.DATABASE];
  const done = spawnSync(process.env.PSQL, words, { input: sql.replace("$1", ":'token'") });
  if (done.status !== 0) throw new Error(done.stderr);
};
const server = leaving(query);
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
"#;

#[test]
fn the_code_for_node_lets_people_leave() {
    let database = database();
    let code = block("js");
    let (mut server, port, _dir) =
        serve(&database, "node", &[("leaving.mjs", &code), ("main.mjs", NODE)]);
    try_out(&database, |method, token| ask(port, method, token));
    server.kill().unwrap();
    server.wait().unwrap();
}

const PYTHON: &str = r#"
import os, subprocess
from wsgiref.simple_server import make_server
from leaving import leaving
def execute(sql, values):
    words = [os.environ["PSQL"], "-v", "token=" + values[0], "-v", "ON_ERROR_STOP=1", os.environ["DATABASE"]]
    subprocess.run(words, input=sql.replace("%s", ":'token'"), text=True, check=True, stdout=subprocess.DEVNULL)
server = make_server("127.0.0.1", 0, leaving(execute))
print(server.server_port, flush=True)
server.serve_forever()
"#;

#[test]
fn the_code_for_python_lets_people_leave() {
    let database = database();
    let code = block("python");
    let python = crate::support::python::python();
    let (mut server, port, _dir) =
        serve(&database, python.to_str().unwrap(), &[("leaving.py", &code), ("main.py", PYTHON)]);
    try_out(&database, |method, token| ask(port, method, token));
    server.kill().unwrap();
    server.wait().unwrap();
}

#[test]
fn the_code_for_rust_lets_people_leave() {
    assert_eq!(block("rust"), include_str!("../snippets/leaving.rs"), "page and file differ");
    let database = database();
    let mut client = database.client();
    try_out(&database, |method, token| {
        snippet::leaving(method, &format!("a=b&token={token}"), &mut client).unwrap().to_owned()
    });
}
