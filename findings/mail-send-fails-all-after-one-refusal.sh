#!/bin/sh
# Several mails over one connection of mail-send 0.7.0 (crates.io), to aiosmtpd 1.4.6 (PyPI), 2026-11-30.
# Guess: send() is one mail. When the server refuses a recipient it returns the error and leaves the connection
# fit for the next mail, by RSET or by closing it.
# Fact: it returns at the refusal and leaves the transaction open. The next send() begins with MAIL again, which
# the server refuses as nested, with 503; so does every later one, since none of them gets as far as to end the
# transaction. The code begins with a 5: a sender that keeps one connection for a run, and takes 5yz for final,
# marks each mail after the first unknown address as failed for good, at addresses that are well. What helps is to
# call rset() after an error. The method is there, but neither README nor the page of send() says that it is
# needed; no report of it was found.
# (mail-send needs Rust 1.88 or newer to be built.)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install aiosmtpd==1.4.6
mkdir src
cat >Cargo.toml <<'CARGO'
[package]
name = "probe"
version = "0.0.0"
edition = "2021"
[dependencies]
mail-send = { version = "=0.7.0", default-features = false, features = ["builder", "ring"] }
tokio = { version = "1", features = ["macros", "net", "rt"] }
[profile.dev]
debug = 0
CARGO
cat >src/main.rs <<'PROBE'
use mail_send::{mail_builder::MessageBuilder, SmtpClientBuilder};
async fn run(port: u16, reset: bool) {
    let mut client = SmtpClientBuilder::new("127.0.0.1", port).unwrap().connect_plain().await.unwrap();
    for to in ["ann@example.org", "gone@example.org", "bob@example.org", "eve@example.org"] {
        let mail = MessageBuilder::new().from("news@example.com").to(to).subject("News").text_body("News.");
        match client.send(mail).await {
            Ok(_) => println!("{to}: sent"),
            Err(error) => {
                println!("{to}: {error}");
                if reset {
                    client.rset().await.unwrap();
                }
            }
        }
    }
}
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port = std::env::args().nth(1).unwrap().parse().unwrap();
    run(port, false).await;
    println!("with rset() after an error");
    run(port, true).await;
}
PROBE
cat >server.py <<'SERVER'
import asyncio, sys
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith('gone@'):
            return '550 5.1.1 no such user'
        envelope.rcpt_tos.append(address)
        return '250 2.1.5 ok'
    async def handle_DATA(self, server, session, envelope):
        return '250 2.0.0 ok'
async def main():
    make = lambda: SMTP(Handler(), loop=asyncio.get_running_loop(), hostname='mx.example.org')
    server = await asyncio.get_running_loop().create_server(make, '127.0.0.1', 0)
    probe = await asyncio.create_subprocess_exec(*sys.argv[1:], str(server.sockets[0].getsockname()[1]))
    sys.exit(await probe.wait())
asyncio.run(main())
SERVER
cat >expected <<'SEEN'
ann@example.org: sent
gone@example.org: Unexpected reply: Code: 550, Enhanced code: 5.1.1, Message: no such user
bob@example.org: Unexpected reply: Code: 503, Enhanced code: 0.0.0, Message: Error: nested MAIL command
eve@example.org: Unexpected reply: Code: 503, Enhanced code: 0.0.0, Message: Error: nested MAIL command
with rset() after an error
ann@example.org: sent
gone@example.org: Unexpected reply: Code: 550, Enhanced code: 5.1.1, Message: no such user
bob@example.org: sent
eve@example.org: sent
SEEN
CARGO_TARGET_DIR="$dir/target" cargo build --quiet 2>log || { cat log >&2; exit 1; }
venv/bin/python server.py target/debug/probe >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
