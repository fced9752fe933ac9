"""A private PostgreSQL for the benches: made, started, filled and removed."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time

from process import call, last_lines

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[2]
KEY = "deadbeef" * 8


def planning():
    """What src/queue/store/prepared.rs sets on its connection, so that pgbench plans the same way."""
    found = re.search(r"const SETTINGS: &str =\s*\"(.*?)\";", (ROOT / "src/queue/store/prepared.rs").read_text(), re.S)
    if not found:
        raise SystemExit("bench: there is no SETTINGS in src/queue/store/prepared.rs")
    return re.findall(r"SET (\w+) = '?(\w+)'?", found.group(1))


def tag(name):
    """How the server's log shows the statement of this name: by the first line of its file."""
    return f"-- mailroom:{name}"


def programs():
    """The directory of the newest PostgreSQL server on this machine."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    initdb = found[-1] if found else shutil.which("initdb")
    if not initdb:
        raise SystemExit("bench: PostgreSQL's server is missing (initdb); scripts/setup installs it")
    return pathlib.Path(initdb).parent


def unprivileged():
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    group = pwd.getpwnam("nobody").pw_gid
    return ["setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups"]


class Cluster:
    """A server on a Unix socket, with a migrated template database."""

    def __init__(self, mailroom):
        self.bin = programs()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="mr-bench-", dir="/tmp"))
        # The server's user passes through; whoever reaches the socket is trusted, so nobody else may.
        os.chmod(self.dir, 0o711)
        pg = self.dir / "pg"
        pg.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(pg, "nobody")
        self.socket, self.made, self.server = pg, 0, None
        self.log = open(self.dir / "server.log", "wb")
        try:
            self.start()
            # Not a word of the command line, which would stand above what a section sets.
            self.sql("postgres", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()",
                     "CREATE DATABASE ours_template")
            call(mailroom, "migrate", "up", env=self.env("ours_template"))
        except BaseException:
            self.close()
            raise

    def start(self):
        pg = self.socket
        quiet = {"stdout": self.log, "stderr": self.log, "stdin": subprocess.DEVNULL, "cwd": pg}
        call(*unprivileged(), self.bin / "initdb", "-D", pg / "data", "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--no-locale", "--no-sync", cwd=pg)
        # No disk is measured, but where it is said: it would be another one elsewhere.
        settings = ["listen_addresses=", "log_timezone=UTC", "shared_buffers=512MB", "max_wal_size=8GB",
                    "checkpoint_timeout=1h", "autovacuum_naptime=15s", "track_commit_timestamp=on"]
        words = [word for setting in settings for word in ("-c", setting)]
        self.server = subprocess.Popen(
            unprivileged() + [self.bin / "postgres", "-D", pg / "data", "-k", pg] + words, **quiet)
        deadline = time.monotonic() + 30
        while subprocess.run(["pg_isready", "-q", "-h", pg], stdin=subprocess.DEVNULL).returncode:
            if time.monotonic() > deadline or self.server.poll() is not None:
                raise SystemExit("bench: PostgreSQL did not start:\n"
                                 + last_lines((self.dir / "server.log").read_text(errors="replace")))
            time.sleep(0.05)

    def flush(self, on, wait=0):
        """Whether a commit waits for the disk from now on, and for so many milliseconds more: then the server
        waits before each flush, and all who come meanwhile go with it."""
        wanted = {"fsync": "on" if on else "off", "commit_delay": int(wait * 1000),
                  "commit_siblings": 0 if wait else 5}
        self.sql("postgres", *(f"ALTER SYSTEM SET {name} = {value}" for name, value in wanted.items()),
                 "SELECT pg_reload_conf()", "CHECKPOINT")
        while any(self.sql("postgres", f"SELECT setting FROM pg_settings WHERE name = '{name}'", output=True)
                  != str(value) for name, value in wanted.items()):
            time.sleep(0.02)

    def sql(self, database, *statements, output=False):
        """Runs statements, each in a transaction of its own."""
        words = [word for statement in statements for word in ("-c", statement)]
        found = call("psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-U", "postgres",
                     "-d", database, *words)
        return found.strip() if output else None

    def session(self, database):
        return Session(self.socket, database)

    def env(self, database, **more):
        """The environment of a program that works on `database`; only what it needs."""
        env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        env.update(MAILROOM_DATABASE_URL=f"host={self.socket} user=postgres dbname={database}",
                   MAILROOM_SECRET_KEY=KEY, PGHOST=str(self.socket), PGUSER="postgres",
                   PGCLIENTENCODING="UTF8", AWS_CONFIG_FILE="/dev/null",
                   AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_REGION="us-east-1",
                   AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench",
                   NO_PROXY="127.0.0.1,localhost")
        env.update({name: str(value) for name, value in more.items()})
        return env

    def database(self, template="ours_template"):
        """A new database."""
        self.made += 1
        name = f"bench{self.made}"
        self.sql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name):
        self.sql("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def fill(self, database, count, prefix="u"):
        """Accounts that each want one mail, in one transaction; settled on disk and analysed."""
        self.sql(database, "INSERT INTO accounts (email, login) SELECT "
                 f"'{prefix}' || i || '@example.com', '{prefix}' || i "
                 f"FROM generate_series(1, {count}) i", "VACUUM ANALYZE", "CHECKPOINT")

    def statements(self, limit):
        """The settlement of a batch and the claim of the next, one statement, as a pgbench script: rows
        come in the order of tokens."""
        def text(name):
            lines = (ROOT / "src/queue/sql" / name).read_text().splitlines()
            return "\n".join(line for line in lines if not line.startswith("--"))

        def put(sql, values):
            unknown = set(re.findall(r"\$\d+", sql)) - set(values)
            if unknown:
                raise SystemExit(f"bench: what is {', '.join(sorted(unknown))} of a statement in src/queue/sql?")
            return re.sub(r"\$\d+", lambda found: values[found.group()], sql)

        def array(what):
            return f"ARRAY(SELECT {what} FROM generate_series(:first::bigint - {limit}, :first - 1) g)"

        turn = put(text("turn.sql"), {
            "$1": "'mailroom'", "$2": str(limit), "$3": str(limit), "$4": ":lease::text",
            "$5": "120::float8", "$6": "'{}'", "$7": "30::float8", "$8": str(limit),
            "$9": "'{20}'", "$10": "'{-infinity}'", "$11": "'csv'",
            "$12": array("g"), "$13": array("(:lease - 1)::text"), "$14": array("'sent'::text"),
            "$15": array("''::text"), "$16": array("''::text"), "$17": array("0::float8"),
            "$18": array("true"), "$19": "false", "$20": "false", "$21": "NULL",
            "$22": "262144"})
        path = self.dir / f"turn{limit}.sql"
        path.write_text(f"\\set lease :lease + 1\n{turn};\n\\set first :first + {limit}\n")
        return path

    def bare(self, limit):
        """The least that a lease and a settlement write, as a pgbench script: two updates of rows whose
        tokens are known, with nothing found, locked, joined or given back."""
        rows = f"SELECT g FROM generate_series(:first::bigint, :first + {limit - 1}) g"
        path = self.dir / f"bare{limit}.sql"
        path.write_text(
            "UPDATE deliveries SET state = 'leased', lease = :lease::text, due_at = now() "
            f"WHERE id = ANY (ARRAY({rows}));\n"
            "UPDATE deliveries SET state = 'sent', lease = NULL, due_at = now() "
            f"WHERE id = ANY (ARRAY({rows}));\n\\set first :first + {limit}\n")
        return path

    def pgbench(self, database, script, transactions):
        """Seconds that pgbench takes for so many transactions on one connection."""
        options = " ".join(f"-c {name}={value}" for name, value in planning())
        told = call("pgbench", "-n", "-M", "prepared", "-c", "1", "-t", transactions, "-D", "lease=1",
                    "-D", "first=1", "-f", script, database, env=self.env(database, PGOPTIONS=options))
        return transactions / float(re.search(r"tps = ([0-9.]+)", told).group(1))

    def close(self):
        if self.server and self.server.poll() is None:
            # PostgreSQL's fast shutdown: it does not wait for clients.
            self.server.send_signal(signal.SIGINT)
            try:
                self.server.wait(60)
            except subprocess.TimeoutExpired:
                self.server.send_signal(signal.SIGQUIT)
                self.server.wait()
        self.log.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Session:
    """A psql that stays: asking it costs no process."""

    def __init__(self, socket, database):
        self.run = subprocess.Popen(["psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U",
                                     "postgres", "-d", database], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)

    def ask(self, sql):
        """The last statement must give one line: that one is returned."""
        self.run.stdin.write(sql + ";\n")
        self.run.stdin.flush()
        line = self.run.stdout.readline()
        if not line:
            raise SystemExit(f"bench: psql ended at: {sql[:200]}")
        return line.rstrip("\n")

    def close(self):
        if self.run.poll() is None:
            # It may be gone meanwhile.
            try:
                self.run.stdin.close()
            except OSError:
                pass
            self.run.terminate()
        self.run.wait()
        self.run.stdout.close()
