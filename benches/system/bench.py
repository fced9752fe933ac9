"""Measures the static program as a whole, beside what it is compared with in the same run. See
scripts/bench."""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import distant
import footprint
import growth
import insert
import lists
import rates
import resident
import trips
from cluster import ROOT, Cluster, tag
from process import Process, call

SECTIONS = {
    "size": footprint.size, "begin": footprint.begin, "drain": rates.drain, "scale": rates.scale,
    "deliver": rates.deliver, "distance": distant.distance, "latency": rates.latency, "growth": growth.growth,
    "horizon": growth.horizon, "churn": growth.churn, "memory": footprint.memory,
    "resident": resident.resident, "insert": insert.insert, "sets": insert.sets, "calls": insert.calls,
    "trips": trips.trips, "provider": trips.provider, "steady": trips.steady, "data": trips.data,
    "lists": lists.lists, "killed": lists.killed,
}

# Without these options a section has fewer rows or shorter runs than docs/PERFORMANCE.md tells of.
WRITTEN_WITH = {"size": "before", "begin": "before", "drain": "peer before", "deliver": "peer before",
                "latency": "peer before", "growth": "full", "horizon": "full",
                "churn": "full", "memory": "full", "resident": "symbols", "insert": "queues", "calls": "queues",
                "trips": "before", "provider": "before", "steady": "before", "killed": "full"}

# What has to be installed, and the package of Debian that has it.
TOOLS = {"psql": "postgresql", "pg_isready": "postgresql", "pgbench": "postgresql", "openssl": "openssl"}
TOOLS_OF_ROOT = {"setpriv": "util-linux"}
TOOLS_OF_SYMBOLS = {"nm": "binutils", "strip": "binutils"}


class Bench:
    """What the measurements stand on, and what they have found."""

    def __init__(self, options):
        self.full, self.churn_minutes = options.full, options.churn_minutes
        self.symbols = pathlib.Path(options.symbols).resolve() if options.symbols else None
        self.queues = pathlib.Path(options.queues).resolve() if options.queues else None
        self.peer = pathlib.Path(options.peer).resolve() if options.peer else None
        self.before = pathlib.Path(options.before).resolve() if options.before else None
        # The size is known without a server.
        self.serves = options.sections != ["size"]
        self.repeat = 5 if self.full else 3
        self.section, self.sections, self.plots = None, {}, {}
        self.processes, self.others = [], []
        self.cluster = self.copies = None

    def prepare(self, program):
        target().mkdir(parents=True, exist_ok=True)
        self.copies = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=target()))
        kind = call("stat", "-f", "-c", "%T", self.copies).strip()
        if kind in ("tmpfs", "ramfs"):
            raise SystemExit(f"bench: {target()} is kept in memory, so that no program can be read from disk "
                             "there; set CARGO_TARGET_DIR to a directory on a disk")
        self.program = self.from_disk(program, "mailroom")
        if self.symbols:
            self.stripped = self.without_symbols()
        if not self.serves:
            return
        self.cluster = Cluster(pathlib.Path(program).resolve())
        if self.before:
            self.before = self.from_disk(self.before, "before")
            self.cluster.sql("postgres", "CREATE DATABASE before_template")
            call(self.before, "migrate", "up", env=self.cluster.env("before_template"))
        if self.peer:
            self.peer_collector = self.from_disk(self.peer / "collector/collector", "collector")
            sender = self.peer / "sender/target/release/sender"
            self.peer_sender = self.from_disk(sender, "sender") if sender.exists() else None
            self.cluster.sql("postgres", "CREATE DATABASE peer_template")
            call("psql", "-X", "-q", "-h", self.cluster.socket, "-U", "postgres", "-d", "peer_template",
                 "-f", self.peer / "migrations/0_init.up.sql")

    def from_disk(self, program, name):
        """A copy of a program that no cache holds, as after a start of the machine. What was just
        written in large pieces lies in large pieces in the cache, and a process that touches one
        has all of it resident."""
        copy = self.copies / name
        shutil.copy(program, copy)
        with open(copy, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return copy

    def without_symbols(self):
        """What is shipped has no symbols, and lies in memory as it lies in its file."""
        written = self.copies / "written"
        call("strip", "-o", written, self.symbols)
        # Not byte by byte: cargo numbers crates by their profile, and `strip` is a part of that.
        size, expected = written.stat().st_size, self.program.stat().st_size
        if abs(size - expected) > expected / 500:
            raise SystemExit(f"bench: {self.symbols} is of another build: {size:,} bytes when stripped, the "
                             f"program has {expected:,}")
        return self.from_disk(written, "stripped")

    # --- programs ---------------------------------------------------------------------------------

    def start(self, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env, timed=True):
        """What a program says is kept if it is not timed."""
        messages = None if timed else self.cluster.dir / f"messages{len(self.processes)}"
        process = Process(words, env, stdin, stdout, messages)
        self.processes.append(process)
        return process

    def beside(self, run):
        """Something that is not measured, and must not outlive the bench."""
        self.others.append(run)
        return run

    def ours(self, command, database, limit=50, **more):
        env = self.cluster.env(database, MAILROOM_BATCH_LIMIT=limit, **more)
        return self.start(self.program, command, env=env)

    def collector(self, database, limit=50, **more):
        env = self.cluster.env(database, MAILROOM_BATCH_LIMIT=limit, **more)
        return self.start(self.peer_collector, env=env)

    def endpoint(self, tls=False, speaks="http", wait=0, seen=None):
        """A provider that answers after so many milliseconds: its address, its process, and how to read
        its count. `seen` is a file for when recoveries came."""
        folder = self.cluster.dir / f"endpoint{len(self.processes)}"
        folder.mkdir()
        words = [sys.executable, "-B", pathlib.Path(__file__).with_name("endpoint.py"), speaks,
                 folder / "port", folder / "count"]
        if tls:
            words += self.certificate()
        env = {**os.environ, "WAIT": str(wait), **({"SEEN": str(seen)} if seen else {})}
        process = self.start(*words, env=env, stdout=subprocess.DEVNULL, timed=False)
        self.wait("the endpoint", (folder / "port").exists, 10, 0.02, process)
        address = f"{speaks.split('-')[0]}{'s' if tls else ''}://localhost:{(folder / 'port').read_text()}"

        def count():
            return int((folder / "count").read_text() or 0)
        return address, process, count

    def way(self, milliseconds):
        """Where the database can be reached so far away."""
        port = self.cluster.dir / f"far{len(self.processes)}"
        process = self.start(sys.executable, "-B", pathlib.Path(__file__).with_name("far.py"),
                             self.cluster.socket / ".s.PGSQL.5432", port, milliseconds,
                             env=dict(os.environ), stdout=subprocess.DEVNULL, timed=False)
        self.wait("the way", port.exists, 10, 0.02, process)
        return f"host=127.0.0.1 port={port.read_text()}"

    def certificate(self):
        """A certificate for localhost of an authority that is made here: files of both."""
        folder = self.cluster.dir
        self.authority = folder / "ca.pem"
        key, request, made = folder / "key.pem", folder / "request.pem", folder / "cert.pem"
        if not made.exists():
            def openssl(*words):
                call("openssl", *words)
            curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            openssl("req", "-x509", *curve, "-keyout", folder / "ca.key", "-out", self.authority,
                    "-days", 2, "-subj", "/CN=bench", "-addext", "basicConstraints=critical,CA:TRUE")
            openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
            (folder / "names").write_text("subjectAltName=DNS:localhost\n")
            openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey",
                    folder / "ca.key", "-days", 2, "-out", made, "-extfile", folder / "names")
        return [made, key]

    def batches(self, count, limit):
        """So many batches in the wire format; the peer's sender reads them too."""
        token = "A" * 86
        lines = []
        for batch in range(count):
            fields = [f"1,u{batch}x{i}@example.com,u{batch}x{i},{token},12345" for i in range(limit)]
            lines.append(",".join(fields) + "\n")
        return "".join(lines).encode(), count * limit

    def wait(self, what, ready, seconds=600, step=0.005, *programs):
        """Until it is ready; ends the bench if one of the programs ends before."""
        deadline = time.monotonic() + seconds
        while not ready():
            for program in programs:
                program.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"bench: waited too long for {what}")
            time.sleep(step)

    # --- what the server says ---------------------------------------------------------------------

    def log_statements(self, database):
        self.cluster.sql(database, f"ALTER DATABASE {database} SET log_min_duration_statement = 0")

    def mark(self):
        return (self.cluster.dir / "server.log").stat().st_size

    def logged(self, mark):
        """The lines of the server's log since."""
        with open(self.cluster.dir / "server.log", errors="replace") as log:
            log.seek(mark)
            yield from log

    def took(self, mark, statement="turn"):
        """Milliseconds that the server logged since, of each run of a statement in src/queue/sql."""
        line = re.compile(r"duration: ([0-9.]+) ms  execute \w+: " + re.escape(tag(statement)) + "$")
        return self.any(statement, [float(match.group(1)) for match in
                                    map(line.search, self.logged(mark)) if match])

    def used(self, mark, statement="turn"):
        """As `took`, of processor time, with log_executor_stats: what else the machine does is not in
        it. None: of all statements."""
        found, words, cpu = [], tag(statement) if statement else "", None
        for line in self.logged(mark):
            usage = re.search(r"!\s+([0-9.]+) s user, ([0-9.]+) s system, [0-9.]+ s elapsed", line)
            if usage:
                # The last one before the duration is that of the whole.
                cpu = 1000 * (float(usage.group(1)) + float(usage.group(2)))
            elif "  execute " in line and cpu is not None:
                if line.rstrip().endswith(words):
                    found.append(cpu)
                cpu = None
        return self.any(statement, found)

    @staticmethod
    def any(statement, found):
        if not found:
            raise SystemExit(f"bench: the server told of no run of {statement}; is the program as old as it?")
        return found

    # --- what was found ---------------------------------------------------------------------------

    def table(self, title, head, rows, note=""):
        widths = [max(len(str(row[i])) for row in [head] + rows) for i in range(len(head))]
        lines = [" | ".join(str(cell).ljust(width) for cell, width in zip(row, widths))
                 for row in [head, ["-" * width for width in widths]] + rows]
        text = f"### {title}\n\n" + "\n".join(f"| {line} |" for line in lines) + "\n"
        if note:
            text += f"\n{note}\n"
        print(text, flush=True)
        self.sections.setdefault(self.section, []).append(text)

    def draw(self, name, words, picture):
        """A plot below the tables of this section; `picture` gives it for light or dark."""
        self.plots.update({f"{name}-{scheme}": picture(scheme == "dark") for scheme in ("light", "dark")})
        self.sections.setdefault(self.section, []).append(
            f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="img/{name}-dark.svg">\n'
            f'  <img alt="{words}" src="img/{name}-light.svg">\n</picture>\n')

    def write(self):
        """Puts what was measured into docs/PERFORMANCE.md, each section in its place, and the plots
        beside it. What was not measured this time stays."""
        path = ROOT / "docs/PERFORMANCE.md"
        text = path.read_text()
        for name, parts in self.sections.items():
            begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
            if begin not in text or end not in text:
                raise SystemExit(f"bench: {path} has no place for {name}")
            before, rest = text.split(begin, 1)
            body = "\n".join(parts)
            text = f"{before}{begin}\n{body}\n{end}{rest.split(end, 1)[1]}"
        path.write_text(text)
        for name, picture in self.plots.items():
            (ROOT / f"docs/img/{name}.svg").write_text(picture)

    def close(self):
        for process in self.processes:
            process.stop()
        for run in self.others:
            if run.poll() is None:
                run.terminate()
            run.wait()
        if self.cluster:
            self.cluster.close()
        if self.copies:
            shutil.rmtree(self.copies, ignore_errors=True)


def program(path):
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{path} is no program")
    return path


def built_peer(path):
    for needed in ("migrations/0_init.up.sql", "collector/collector"):
        if not os.path.isfile(os.path.join(path, needed)):
            raise argparse.ArgumentTypeError(f"there is no {needed} in {path}; it must be built there")
    return path


def minutes(text):
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < 10000:
        raise argparse.ArgumentTypeError(f"{text} is no number of minutes")
    return number


def require_tools(options):
    tools = {**TOOLS, **(TOOLS_OF_ROOT if os.geteuid() == 0 else {})} if options.sections != ["size"] else {}
    if options.symbols:
        tools.update(TOOLS_OF_SYMBOLS)
    for tool, package in tools.items():
        if not shutil.which(tool):
            raise SystemExit(f"bench: {tool} is missing; scripts/setup installs PostgreSQL and what building "
                             f"takes (Debian: apt-get install {package})")


def target():
    return (ROOT / os.environ.get("CARGO_TARGET_DIR", "target")).resolve()


def script(*words):
    if subprocess.run(words, cwd=ROOT, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode:
        raise SystemExit(f"bench: {words[0]} failed")


def build():
    """The program as it is delivered, from these sources."""
    script("scripts/build-static")
    return target() / f"{os.uname().machine}-unknown-linux-musl/release/mailroom"


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--full", action="store_true", help="all of it, for hours, not minutes")
    parser.add_argument("--write", action="store_true", help="write docs/PERFORMANCE.md and its plots")
    parser.add_argument("--peer", type=built_peer, metavar="DIR",
                        help="a directory with the peer's collector and sender, built")
    parser.add_argument("--queues", type=pathlib.Path, metavar="DIR",
                        help="a directory where graphile-worker and pg-boss are installed, for insert")
    parser.add_argument("--before", type=program, metavar="FILE",
                        help="an earlier build, to compare with in the same run")
    parser.add_argument("--program", type=program, metavar="FILE",
                        help="the static program, if not that which is built now")
    parser.add_argument("--symbols", type=program, metavar="FILE", help="the same program, not stripped")
    parser.add_argument("--churn-minutes", type=minutes, metavar="N",
                        help="how long churn goes on, if not 3, or 60 with --full")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]}")
    options.sections = options.sections or list(SECTIONS)
    for name in options.sections if options.write else []:
        missing = [word for word in WRITTEN_WITH.get(name, "").split() if not getattr(options, word)]
        if missing:
            parser.error(f"{name} is written with --{missing[0]} only: the table there has what this run "
                         "would not have")
    if not options.program:
        script("scripts/setup", "--quick")
    require_tools(options)
    options.program = options.program or build()
    ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def end(number, _):
        # Once: cleaning up is not to be disturbed.
        for each in ends:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)
    for each in ends:
        signal.signal(each, end)
    bench = Bench(options)
    try:
        bench.prepare(options.program)
        for name in options.sections:
            bench.section = name
            SECTIONS[name](bench)
            if options.write:
                bench.write()
    finally:
        for each in ends:
            signal.signal(each, signal.SIG_IGN)
        bench.close()


if __name__ == "__main__":
    main()
