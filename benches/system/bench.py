"""Measures the static program as a whole, beside what it is compared with in the same run. See
scripts/bench."""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

import plot
from cluster import ROOT, Cluster
from process import Process


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def mega(size):
    return f"{size / 1e6:.2f} MB"


class Bench:
    def __init__(self, options):
        self.full = options.full
        self.program = pathlib.Path(options.program).resolve()
        self.peer = pathlib.Path(options.peer).resolve() if options.peer else None
        self.repeat = 5 if self.full else 3
        self.cluster = Cluster(self.program)
        self.sections, self.processes, self.plots = [], [], {}
        if self.peer:
            self.cluster.sql("postgres", "CREATE DATABASE peer_template")
            subprocess.run(["psql", "-X", "-q", "-h", self.cluster.socket, "-U", "postgres", "-d",
                            "peer_template", "-f", self.peer / "migrations/0_init.up.sql"],
                           check=True, stdin=subprocess.DEVNULL, capture_output=True)

    # --- what the measurements stand on -----------------------------------------------------------

    def start(self, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env):
        process = Process(words, env, stdin, stdout)
        self.processes.append(process)
        return process

    def ours(self, command, database, limit=50, **more):
        env = self.cluster.env(database, MAILROOM_BATCH_LIMIT=limit, **more)
        return self.start(self.program, command, env=env)

    def collector(self, database, limit=50, **more):
        env = self.cluster.env(database, MAILROOM_BATCH_LIMIT=limit, **more)
        return self.start(self.peer / "collector/collector", env=env)

    def endpoint(self, tls=False):
        """A provider with no latency: its address, its process, and how to read its count."""
        folder = self.cluster.dir / f"endpoint{len(self.processes)}"
        folder.mkdir()
        words = [sys.executable, pathlib.Path(__file__).with_name("endpoint.py"),
                 folder / "port", folder / "count"]
        if tls:
            words += self.certificate()
        process = self.start(*words, env=dict(os.environ), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not (folder / "port").exists():
            if time.monotonic() > deadline:
                raise SystemExit("bench: the endpoint did not start")
            time.sleep(0.02)
        address = f"{'https' if tls else 'http'}://localhost:{(folder / 'port').read_text()}"

        def count():
            return int((folder / "count").read_text() or 0)
        return address, process, count

    def certificate(self):
        """A certificate for localhost of an authority that is made here: files of both."""
        folder = self.cluster.dir
        self.authority = folder / "ca.pem"
        key, request, made = folder / "key.pem", folder / "request.pem", folder / "cert.pem"
        if not made.exists():
            def openssl(*words):
                subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True,
                               stdin=subprocess.DEVNULL)
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            openssl("req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", self.authority,
                    "-days", 2, "-subj", "/CN=bench", "-addext", "basicConstraints=critical,CA:TRUE")
            openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
            (folder / "names").write_text("subjectAltName=DNS:localhost\n")
            openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey",
                    folder / "ca.key", "-days", 2, "-out", made, "-extfile", folder / "names")
        return [made, key]

    def wait(self, what, ready, seconds=600, step=0.005):
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: waited too long for {what}")
            time.sleep(step)

    def log_statements(self, database):
        self.cluster.sql(database, f"ALTER DATABASE {database} SET log_min_duration_statement = 0")

    def mark(self):
        return (self.cluster.dir / "server.log").stat().st_size

    def logged(self, mark):
        with open(self.cluster.dir / "server.log", errors="replace") as log:
            log.seek(mark)
            return log.read()

    def claimed(self, mark):
        """Milliseconds of each claim that the server logged since."""
        return [float(found) for found in re.findall(
            r"duration: ([0-9.]+) ms  execute \w+: -- Takes up to", self.logged(mark))]

    def table(self, title, head, rows, note=""):
        widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
        lines = [" | ".join(str(cell).ljust(width) for cell, width in zip(row, widths))
                 for row in [head, ["-" * width for width in widths]] + rows]
        text = f"### {title}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"
        if note:
            text += f"\n{note}\n"
        print(text, flush=True)
        self.sections.append(text)

    # --- what is measured -------------------------------------------------------------------------

    def size(self):
        self.table("Size", ["what", "bytes", "goal"],
                   [["static program, every transport", self.program.stat().st_size, "3,000,000"]])

    def begin(self):
        """From exec until the server knows of the LISTEN, and what an idle minute takes."""
        database, times = self.cluster.database(), []
        asked = ("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                 f"(SELECT oid FROM pg_database WHERE datname = '{database}')")
        for _ in range(self.repeat * 4):
            trace = self.cluster.dir / "start.log"
            env = self.cluster.env(database, MAILROOM_LOG_FORMAT="json")
            with open(trace, "wb") as log:
                begun = time.time()
                run = subprocess.Popen([self.program, "collect"], env=env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=log)
                self.wait("the start", lambda: b'"connected"' in trace.read_bytes(), 20, 0.0002)
                times.append(time.time() - begun)
                run.terminate()
                run.wait()
                run.stdout.close()
        self.log_statements(database)
        process = self.ours("collect", database)
        self.wait("a listener", lambda: self.cluster.sql(database, asked, output=True) != "0", 20)
        time.sleep(2)
        seconds = 60 if self.full else 20
        wakes, cpu, mark = process.wakes(), process.cpu(), self.mark()
        time.sleep(seconds)
        wakes, cpu = process.wakes() - wakes, process.cpu() - cpu
        asked = len(re.findall(r"duration:", self.logged(mark)))
        process.stop()
        self.table("Start and idle", ["what", "measured", "goal"], [
            ["exec to connected, listening and drained: best",
             f"{min(times) * 1000:.1f} ms", "20 ms"],
            ["the same, median", f"{median(times) * 1000:.1f} ms", ""],
            [f"wake-ups a second, idle for {seconds} s", f"{wakes / seconds:.2f}", "2"],
            ["processor time, milliseconds a minute", f"{cpu / seconds * 60 * 1000:.2f}", "none visible"],
            ["statements in that time", asked, "0"]])

    def drain_once(self, start, template, count, limit):
        database = self.cluster.database(template)
        self.cluster.fill(database, count)
        process = start(database, limit)
        process.read(count)
        seconds = time.monotonic() - process.started
        cpu, peak = process.cpu(), process.peak()
        process.stop()
        self.cluster.drop(database)
        return seconds, cpu, peak

    def drain(self):
        """Both collectors and pgbench, by turns."""
        count, rows, best = 20000, [], {}
        for _ in range(self.repeat):
            for limit in (50, 1000):
                runs = {}
                if limit == 50:
                    runs["mailroom collect"] = self.drain_once(
                        lambda d, l: self.ours("collect", d, l), "ours_template", count, limit)
                    database = self.cluster.database()
                    self.cluster.fill(database, count)
                    seconds = self.cluster.pgbench(
                        database, self.cluster.statements(limit), count // limit)
                    self.cluster.drop(database)
                    runs["pgbench, the same statements"] = (seconds, None, None)
                if self.peer:
                    runs["peer's collector"] = self.drain_once(
                        self.collector, "peer_template", count, limit)
                for name, run in runs.items():
                    if (name, limit) not in best or run[0] < best[name, limit][0]:
                        best[name, limit] = run
        peer = best.get(("peer's collector", 50))
        for (name, limit), (seconds, cpu, peak) in best.items():
            rows.append([name, limit, f"{count / seconds:,.0f}",
                         f"{peer[0] / seconds:.1f}" if peer else "",
                         f"{cpu / count * 1e6:.1f}" if cpu else "", mega(peak) if peak else ""])
        ours, plain = best["mailroom collect", 50][0], best["pgbench, the same statements", 50][0]
        self.table(f"Draining {count:,} messages (best of {self.repeat})",
                   ["who", "limit", "messages/s", "times the peer", "CPU a message, µs", "memory"], rows,
                   f"mailroom reaches {plain / ours:.0%} of what pgbench gets from PostgreSQL with the "
                   "same two statements on one connection.")

    def scale(self):
        """Several collectors on one queue."""
        count, points = 60000 if self.full else 30000, []
        for processes in (1, 2, 4):
            best = None
            for _ in range(2):
                database = self.cluster.database()
                self.cluster.fill(database, count)
                begun = time.monotonic()
                running = [self.start(self.program, "collect", stdout=subprocess.DEVNULL,
                                      env=self.cluster.env(database, MAILROOM_BATCH_LIMIT=50))
                           for _ in range(processes)]
                left = "SELECT count(*) FROM deliveries WHERE state <> 'sent'"
                self.wait("the drain", lambda: self.cluster.sql(database, left, output=True) == "0",
                          step=0.02)
                seconds = time.monotonic() - begun
                for process in running:
                    process.stop()
                self.cluster.drop(database)
                best = min(best or seconds, seconds)
            points.append((processes, count / best))
        self.table("Processes on one queue", ["processes", "messages/s", "times one"],
                   [[n, f"{rate:,.0f}", f"{rate / points[0][1]:.2f}"] for n, rate in points],
                   f"On {os.cpu_count()} processors, which PostgreSQL shares.")
        self.plots["processes"] = plot.lines("Messages a second by processes on one queue",
                                             "processes", "messages/s", {"collect": points})

    def deliver(self):
        """`run` and `send` against a provider with no latency, and the peer's sender."""
        rows = []
        count = 40000 if self.full else 20000
        for name, tls in (("run, http", False), ("run, https", True)):
            best = None
            for _ in range(self.repeat):
                address, endpoint, accepted = self.endpoint(tls)
                database = self.cluster.database()
                self.cluster.fill(database, count)
                more = {"AWS_CA_BUNDLE": self.authority} if tls else {}
                process = self.start(self.program, "run", stdout=subprocess.DEVNULL, env=self.cluster.env(
                    database, MAILROOM_BATCH_LIMIT=50, MAILROOM_SEND_RATE=1000000,
                    AWS_ENDPOINT_URL=address, MAILROOM_SES_OUTPUT_PATH=self.cluster.dir / "out", **more))
                self.wait("the mails", lambda: accepted() >= count)
                run = (time.monotonic() - process.started, process.cpu(), process.peak())
                process.stop()
                endpoint.stop()
                self.cluster.drop(database)
                best = min(best or run, run)
            seconds, cpu, peak = best
            rows.append([name, 50, f"{count / seconds:,.0f}", f"{cpu / count * 1e6:.1f}", mega(peak), "1"])
        lines, messages = self.batches(10000 if self.full else 2000, 10)
        senders = [("send, http", False, [self.program, "send"]), ("send, https", True, [self.program, "send"])]
        if self.peer and (self.peer / "sender/target/release/sender").exists():
            senders.append(("peer's sender, http", False, [self.peer / "sender/target/release/sender"]))
        for name, tls, words in senders:
            best = None
            for _ in range(self.repeat):
                address, endpoint, accepted = self.endpoint(tls)
                env = self.cluster.env("postgres", AWS_ENDPOINT_URL=address, MAILROOM_SEND_RATE=1000000,
                                       MAILROOM_SES_OUTPUT_PATH=self.cluster.dir / "out")
                if tls:
                    env["AWS_CA_BUNDLE"] = str(self.authority)
                process = self.start(*words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)
                threads = 1
                with process.run.stdin as pipe:
                    pipe.write(lines)
                    pipe.flush()
                    self.wait("the mails", lambda: accepted() >= messages)
                    threads = process.status("Threads")
                    run = (time.monotonic() - process.started, process.cpu(), process.peak(), threads)
                process.stop()
                endpoint.stop()
                best = min(best or run, run)
            seconds, cpu, peak, threads = best
            rows.append([name, 10, f"{messages / seconds:,.0f}", f"{cpu / messages * 1e6:.1f}", mega(peak),
                         threads])
        self.table("Delivering to a provider with no latency",
                   ["who", "limit", "messages/s", "CPU a message, µs", "memory", "threads"], rows,
                   f"run: {count:,} messages. send: {messages:,} messages, a request for each batch of 10. "
                   "HTTPS is with the certificate checked. The provider is a Python program on the same "
                   "machine, so the rates say what is reached, not what could be.")

    def batches(self, count, limit):
        """So many batches in the wire format; the peer's sender reads them too."""
        token = "A" * 86
        lines = []
        for batch in range(count):
            fields = [f"1,u{batch}x{i}@example.com,u{batch}x{i},{token},12345" for i in range(limit)]
            lines.append(",".join(fields) + "\n")
        return "".join(lines).encode(), count * limit

    def latency(self):
        """From the commit of an insert until its line can be read."""
        rows, count = [], 2000 if self.full else 500
        runs = [("mailroom collect", "ours_template", lambda d, l: self.ours("collect", d, l))]
        if self.peer:
            runs.append(("peer's collector", "peer_template", self.collector))
        for limit in (1, 50):
            for name, template, start in runs:
                database = self.cluster.database(template)
                process = start(database, limit)
                time.sleep(1)
                psql = subprocess.Popen(["psql", "-X", "-q", "-At", "-h", self.cluster.socket, "-U",
                                         "postgres", "-d", database], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
                times = []
                for turn in range(count if limit == 1 else count // 10):
                    # One transaction each: the peer counts notifications.
                    psql.stdin.write("".join(
                        "INSERT INTO accounts (email, login) VALUES "
                        f"('l{turn}x{i}@example.com', 'l{turn}x{i}');\n" for i in range(limit))
                        + "SELECT 1;\n")
                    psql.stdin.flush()
                    psql.stdout.readline()
                    begun = time.monotonic()
                    process.read(process.seen + limit, timeout=30)
                    times.append(time.monotonic() - begun)
                psql.stdin.close()
                psql.wait()
                psql.stdout.close()
                process.stop()
                self.cluster.drop(database)
                rows.append([name, limit, f"{percentile(times, 0.5) * 1000:.2f}",
                             f"{percentile(times, 0.99) * 1000:.2f}"])
        self.table("Latency: insert committed to line read", ["who", "limit", "p50, ms", "p99, ms"], rows,
                   "From the last of as many inserts as the limit, each committed by itself.")

    def claims(self, database, count, **more):
        """Milliseconds that claiming takes, each batch, by what the server says."""
        self.log_statements(database)
        mark = self.mark()
        process = self.ours("collect", database, **more)
        process.read(count)
        process.stop()
        self.cluster.sql(database, f"ALTER DATABASE {database} RESET log_min_duration_statement")
        return self.claimed(mark)

    def growth(self):
        """Claim time against settled rows, with a million pending, and beside a long transaction."""
        sizes = [10_000, 100_000, 1_000_000] + ([10_000_000] if self.full else [])
        points, rows, database, made = [], [], self.cluster.database(), 0
        self.cluster.sql(database, "ALTER TABLE accounts DISABLE TRIGGER USER",
                         "ALTER TABLE tokens DISABLE TRIGGER USER",
                         "INSERT INTO accounts (id, email, login, status) VALUES (0, 'x', 'x', 'active')")
        for size in sizes:
            self.cluster.sql(database, "INSERT INTO tokens (id, account, action) SELECT i, 0, 'activation' "
                             f"FROM generate_series({made + 1}, {size}) i",
                             "INSERT INTO deliveries (token, state, settled_at, attempts) "
                             "SELECT i, 'sent', now() - interval '1 minute', 1 "
                             f"FROM generate_series({made + 1}, {size}) i")
            made = size
            times = self.after_settled(database, size)
            points.append((size, percentile(times, 0.5)))
            rows.append([f"{size:,} settled", f"{percentile(times, 0.5):.2f}",
                         f"{points[-1][1] / points[0][1]:.2f}"])
        self.cluster.drop(database)
        waiting = 1_000_000 if self.full else 200_000
        database = self.cluster.database()
        self.cluster.fill(database, waiting)
        times = self.claims(database, 20000)
        self.cluster.drop(database)
        rows.append([f"{waiting:,} pending", f"{percentile(times, 0.5):.2f}",
                     f"{percentile(times, 0.5) / points[0][1]:.2f}"])
        self.table("Time of a claim of 50", ["beside", "median, ms", "times the first"], rows)
        self.plots["claim"] = plot.lines("Milliseconds of a claim of 50 by settled deliveries",
                                         "settled deliveries", "ms", {"claim": points}, log=True)

    def after_settled(self, database, size):
        start = 100_000_000 + size
        self.cluster.sql(database, "INSERT INTO accounts (id, email, login, status) SELECT i, "
                         f"'g' || i || '@example.com', 'g' || i, 'provisioned' FROM generate_series({start}, "
                         f"{start + 9999}) i",
                         "INSERT INTO tokens (id, account, action) SELECT i, i, 'activation' "
                         f"FROM generate_series({start}, {start + 9999}) i",
                         "INSERT INTO deliveries (token, priority) SELECT i, 20 "
                         f"FROM generate_series({start}, {start + 9999}) i", "VACUUM ANALYZE", "CHECKPOINT")
        return self.claims(database, 10000)

    def horizon(self):
        """Steady work beside a transaction that holds the xmin horizon back."""
        seconds, rate = (600, 500) if self.full else (60, 500)
        database = self.cluster.database()
        holder = subprocess.Popen(["psql", "-X", "-q", "-h", self.cluster.socket, "-U", "postgres", "-d",
                                   database], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        holder.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tokens;\n")
        holder.stdin.flush()
        self.log_statements(database)
        mark = self.mark()
        process = self.ours("collect", database, MAILROOM_BATCH_TIMEOUT=100)
        script, made, begun = self.cluster.dir / "churn.sql", 0, time.monotonic()
        script.write_text("INSERT INTO accounts (email, login) SELECT :client_id || 'h' || nextval("
                          "'accounts_id_seq') || '@example.com', 'h' || nextval('accounts_id_seq') "
                          "FROM generate_series(1, 50);\n")
        churn = subprocess.Popen(["pgbench", "-n", "-c", "1", "-R", str(rate // 50), "-T", str(seconds),
                                  "-f", script, database], env=self.cluster.env(database),
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while churn.poll() is None:
            made += 1
            process.read(process.seen + 1, timeout=60)
        left = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'leased')"
        # What is in the pipe is read so that the last batches are settled.
        while self.cluster.sql(database, left, output=True) != "0":
            total = int(self.cluster.sql(database, "SELECT count(*) FROM deliveries", output=True))
            process.read(total)
        process.stop()
        holder.stdin.close()
        holder.wait()
        times = self.claimed(mark)
        self.cluster.drop(database)
        tenth = max(1, len(times) // 10)
        first, last = times[tenth // 2:tenth + tenth // 2], times[-tenth:]
        self.table(f"Claims beside a transaction that stands for {seconds} s, {rate} mails/s",
                   ["claims", "median, ms", "p99, ms"],
                   [["first tenth", f"{median(first):.2f}", f"{percentile(first, 0.99):.2f}"],
                    ["last tenth", f"{median(last):.2f}", f"{percentile(last, 0.99):.2f}"]])

    def memory(self):
        """The most each daemon ever has resident, and whether that grows."""
        count = 1_000_000 if self.full else 100_000
        rows, samples = [], []
        database = self.cluster.database()
        self.cluster.fill(database, count)
        process = self.ours("collect", database)

        def sample():
            if not samples or process.seen - samples[-1][0] >= count // 200:
                samples.append((process.seen, process.resident() / 1e6))
        process.read(count, timeout=3600, also=sample)
        tenth = len(samples) // 10
        rows.append([f"collect, {count:,} messages", mega(process.peak()), "2.5 MB",
                     f"{max(s[1] for s in samples[tenth:2 * tenth]):.2f}",
                     f"{max(s[1] for s in samples[-tenth:]):.2f}"])
        process.stop()
        self.cluster.drop(database)
        curves = {"collect": samples}
        requests = 10_000 if self.full else 2_000
        for name, command, goal in (("send", "send", "3.5 MB"), ("run", "run", "4.0 MB")):
            address, endpoint, accepted = self.endpoint(True)
            more = {"AWS_CA_BUNDLE": self.authority, "AWS_ENDPOINT_URL": address,
                    "MAILROOM_SEND_RATE": 1000000, "MAILROOM_SES_OUTPUT_PATH": self.cluster.dir / "out"}
            if command == "send":
                lines, messages = self.batches(requests, 10)
                process = self.start(self.program, "send", stdin=subprocess.PIPE,
                                     stdout=subprocess.DEVNULL, env=self.cluster.env("postgres", **more))
                feeder = os.fork()
                if feeder == 0:
                    try:
                        process.run.stdin.write(lines)
                        process.run.stdin.flush()
                        time.sleep(3600)
                    finally:
                        os._exit(0)
            else:
                messages, feeder = requests * 10, 0
                database = self.cluster.database()
                self.cluster.fill(database, messages)
                process = self.start(self.program, "run", stdout=subprocess.DEVNULL,
                                     env=self.cluster.env(database, MAILROOM_BATCH_LIMIT=10, **more))
            taken = []

            def reached():
                taken.append((accepted(), process.resident() / 1e6))
                return taken[-1][0] >= messages
            self.wait("the mails", reached, 3600, 0.02)
            if feeder:
                os.kill(feeder, 15)
                os.waitpid(feeder, 0)
            tenth = max(1, len(taken) // 10)
            rows.append([f"{name}, {requests:,} HTTPS requests", mega(process.peak()), goal,
                         f"{max(s[1] for s in taken[tenth:2 * tenth]):.2f}",
                         f"{max(s[1] for s in taken[-tenth:]):.2f}"])
            curves[name] = taken
            if process.run.stdin:
                process.run.stdin.close()
            process.stop()
            endpoint.stop()
        self.table("Memory", ["what", "peak", "goal", "second tenth, MB", "last tenth, MB"], rows,
                   "Peak is VmHWM: everything resident, with the pages of the program itself.")
        self.plots["memory"] = plot.lines(
            "Resident memory over a drain", "share of the messages", "MB",
            {name: [(x / curve[-1][0], y) for x, y in curve] for name, curve in curves.items()}, zero=True)

    def write(self):
        """Puts the tables into docs/PERFORMANCE.md, and the plots beside it."""
        for name, text in self.plots.items():
            (ROOT / f"docs/img/{name}.svg").write_text(text)
        path = ROOT / "docs/PERFORMANCE.md"
        before, rest = path.read_text().split("<!-- measured -->\n", 1)
        after = rest.split("<!-- end of measured -->", 1)[1]
        rows = "\n".join(self.sections)
        path.write_text(f"{before}<!-- measured -->\n\n{rows}\n<!-- end of measured -->{after}")

    def close(self):
        for process in self.processes:
            process.stop()
        self.cluster.close()


SECTIONS = ["size", "begin", "drain", "scale", "deliver", "latency", "growth", "horizon", "memory"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--full", action="store_true", help="all of it, for hours, not minutes")
    parser.add_argument("--write", action="store_true", help="write docs/PERFORMANCE.md and its plots")
    parser.add_argument("--peer", help="a directory with the peer's collector and sender, built")
    parser.add_argument("--program", required=True, help="the static program")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]}")
    bench = Bench(options)
    try:
        for name in options.sections or SECTIONS:
            getattr(bench, name)()
        if options.write:
            bench.write()
    finally:
        bench.close()


if __name__ == "__main__":
    main()
