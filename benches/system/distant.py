"""SMTP over a line with a length: mails a second on one connection and on several, beside nodemailer."""

import os
import pathlib
import subprocess
import sys
import time

from cluster import ROOT
from process import NOWHERE, call
from rates import exactly

# There and back.
MILLISECONDS = 20
# Ours are more: they are done in the same time, and a start and an end do not count for more.
THEIRS, OURS = 200, 600
LIMIT = 50


def distance(bench):
    who = [
        ("nodemailer", 1, "smtp", theirs), ("nodemailer", 5, "smtp", theirs),
        ("mailroom, one command at a time", 1, "smtp-plain", ours),
        ("mailroom", 1, "smtp", ours), ("mailroom", 2, "smtp", ours), ("mailroom", 5, "smtp", ours),
    ]
    best = {}
    for _ in range(bench.repeat):
        for name, connections, speaks, once in who:
            seconds = once(bench, connections, speaks)
            best[name, connections] = min(seconds, best.get((name, connections), seconds))
    sent = {theirs: THEIRS, ours: OURS}
    rate = {(name, connections): sent[once] / best[name, connections] for name, connections, _, once in who}
    rows = [[name, connections, f"{rate[name, connections]:,.1f}",
             f"{rate[name, connections] / rate['nodemailer', connections]:.1f}"
             if ("nodemailer", connections) in rate else ""] for name, connections, _, _ in who]
    bench.table(f"SMTP, the server {MILLISECONDS} ms away (best of {bench.repeat})",
                ["who", "connections", "mails/s", "times nodemailer"], rows,
                f"{OURS} mails, of nodemailer {THEIRS}, to the same server, behind the same proxy, which passes bytes on "
                f"{MILLISECONDS / 2:.0f} ms later in each direction; `send` in batches of {LIMIT}, with its start "
                "and its end. A connection is used for all mails (MAILROOM_SMTP_CONNECTION_MAILS). Goals: 45 "
                "on one connection, 180 on five.")


def line(bench, speaks, mails):
    """A server and the line to it: its port, how to read its count, and how to end both."""
    address, endpoint, accepted = bench.endpoint(False, speaks)
    folder = bench.cluster.dir / f"proxy{len(bench.processes)}"
    folder.mkdir()
    proxy = bench.start(sys.executable, "-B", pathlib.Path(__file__).with_name("proxy.py"), folder / "port",
                        address.rsplit(":", 1)[1], str(MILLISECONDS / 2), env=dict(os.environ),
                        stdout=NOWHERE, timed=False)
    bench.wait("the proxy", (folder / "port").exists, 10, 0.02, proxy)

    def end():
        exactly("mails at the server", accepted(), mails)
        proxy.stop()
        endpoint.stop()
    return (folder / "port").read_text(), end


def ours(bench, connections, speaks):
    port, end = line(bench, speaks, OURS)
    env = bench.cluster.env(
        "postgres", MAILROOM_TRANSPORT="smtp", MAILROOM_SMTP_URL=f"smtp://127.0.0.1:{port}?tls=none",
        MAILROOM_SMTP_CONNECTIONS=connections, MAILROOM_SMTP_CONNECTION_MAILS=100000,
        MAILROOM_SEND_RATE=1000000, MAILROOM_TEMPLATE_DIR=ROOT / "templates",
        MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out")
    begun = time.monotonic()
    subprocess.run([bench.program, "send"], input=bench.batches(OURS // LIMIT, LIMIT)[0], env=env,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - begun
    end()
    return seconds


def theirs(bench, connections, speaks):
    port, end = line(bench, speaks, THEIRS)
    script = pathlib.Path(__file__).with_name("nodemailer.js")
    seconds = float(call("node", script, ROOT / "tests/peer/node_modules", port, str(THEIRS), str(connections)))
    end()
    return seconds
