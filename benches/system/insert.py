"""What a mail costs the application: sign-ups a second, by clients, beside the same without us."""

import json
import re
import subprocess
import time
from statistics import median

import plot
from process import NOWHERE, call

CLIENTS = (1, 4, 16, 64)
SECONDS = 2
# All have a turn before any has its next.
TURNS = 2
TURNS_OF_CALLS, TURNS_OF_SETS = 9, 15
# Of other databases in the same cluster.
BESIDE = 4
# In one statement.
ROWS = 100_000

# A flush of a disk is not measured, it would be another one elsewhere; one of 2 ms is imitated: the server
# waits so long before each flush, and all who come meanwhile go with it.
DISKS = {"fsync off": {"fsync": "off"},
         "a flush of 2 ms": {"fsync": "on", "commit_delay": "2000", "commit_siblings": "0"}}

SIGN_UP = "INSERT INTO accounts (email, login) VALUES (gen_random_uuid() || '@example.com', gen_random_uuid());\n"
# As a collector that sleeps.
SLEEP = "LISTEN token_insert; SELECT pg_advisory_lock_shared(1835100527, hashenum('mailroom'::job_type))"
# The least that a sign-up and a mail can cost: triggers and a function that only insert.
ONLY_TRIGGERS = """
DROP TRIGGER after_account_insert ON accounts; DROP TRIGGER after_token_inserted ON tokens;
CREATE FUNCTION a() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO tokens (account, action) VALUES (NEW.id, 'activation'); RETURN NULL; END $$;
CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO deliveries (id, kind) VALUES (NEW.id, 'activation'); RETURN NULL; END $$;
CREATE TRIGGER a AFTER INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION a();
CREATE TRIGGER t AFTER INSERT ON tokens FOR EACH ROW EXECUTE FUNCTION t()"""
ONLY_FUNCTION = """
CREATE FUNCTION only_insert(kind text, recipient text, data jsonb) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE mail bigint; BEGIN
    INSERT INTO deliveries AS d (kind, recipient, data) VALUES (kind, recipient, data) RETURNING d.id INTO mail;
    RETURN mail; END $$"""
SEND_MAIL = "SELECT send_mail('notice', 'u' || gen_random_uuid() || '@example.com', '{\"n\": 1}');\n"


def written(bench):
    """Scripts for pgbench, by their names."""
    scripts = {}
    for name, sql in {"sign-up": SIGN_UP, "send_mail": SEND_MAIL,
                      "only_insert": SEND_MAIL.replace("send_mail", "only_insert"),
                      "add_job": "SELECT graphile_worker.add_job('mail', '{\"n\": 1}');\n",
                      "send": bench.queues and call("node", "-e", PGBOSS_SEND, cwd=bench.queues)}.items():
        scripts[name] = bench.cluster.dir / f"{name}.sql"
        scripts[name].write_text(sql or "")
    return scripts


def disks(cluster):
    """Each of the disks, while the cluster has it."""
    for disk, settings in DISKS.items():
        cluster.sql("postgres", *(f"ALTER SYSTEM SET {name} = {value}" for name, value in settings.items()),
                    "SELECT pg_reload_conf()")
        yield disk
    cluster.sql("postgres", "ALTER SYSTEM RESET ALL", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")


def calls(bench):
    """One call that asks for a mail, beside those that ask other queues for a job, by turns."""
    prepared = {what: (script, prepare) for what, script, prepare, _ in variants(bench) if what in CALLS}
    scripts, rows = written(bench), []
    databases = {what: prepare()[0] for what, (_, prepare) in prepared.items()}
    for disk in disks(bench.cluster):
        for clients in CLIENTS[:3]:
            rates = {what: [] for what in prepared}
            for _ in range(TURNS_OF_CALLS):
                for what, (script, _) in prepared.items():
                    rates[what].append(tps(bench, [databases[what]], scripts[script], clients))
            ours = median(rates[CALLS[0]])
            rows += [[what, disk, clients, f"{median(taken):,.0f}", f"{ours / median(taken):.2f}"]
                     for what, taken in rates.items()]
    for database in databases.values():
        bench.cluster.drop(database)
    bench.table(f"Calls a second (medians of {TURNS_OF_CALLS})",
                ["what", "disk", "clients", "a second", "send_mail, times"], rows,
                "All by turns, nobody works them. Goal: ahead of both queues.")


# Ours first.
CALLS = ["send_mail, nobody notified", "send_mail, a function that only inserts", "graphile-worker add_job",
         "pg-boss send"]


def insert(bench):
    cluster, scripts = bench.cluster, written(bench)
    for disk in disks(cluster):
        best = {}
        for _ in range(TURNS):
            for what, script, prepare, others in variants(bench):
                # The first one is measured.
                databases, ends = zip(*(prepare() for _ in range(1 + others)))
                rates = [tps(bench, databases, scripts[script], clients) for clients in CLIENTS]
                # A session that listens and is not read keeps the server from dropping any database.
                for end in ends:
                    end()
                for database in databases:
                    cluster.drop(database)
                best[what] = [max(pair) for pair in zip(rates, best.get(what, rates))]
        bench.table(f"Inserts a second, {disk} (best of {TURNS})", ["what", *(f"{n} clients" for n in CLIENTS)],
                    [[what] + [f"{rate:,.0f}" for rate in rates] for what, rates in best.items()])
        if disk != "fsync off":
            picture(bench, f"Inserts a second, {disk}",
                    {name: list(zip(CLIENTS, best[what])) for what, name in DRAWN.items() if what in best})


# By their names at the ends of their curves.
DRAWN = {"sign-up, nobody notified": "nobody told", "sign-up, run drains": "run drains",
         "sign-up, each notifies": "each notifies", "graphile-worker add_job": "add_job"}


def picture(bench, title, curves):
    told = "; ".join(f"{name}: " + ", ".join(f"{rate:,.0f} with {n}" for n, rate in points)
                     for name, points in curves.items())
    bench.draw("insert", f"{title}, by clients. {told}", lambda dark: plot.lines(
        f"Sign-ups, {title[0].lower()}{title[1:]}", "clients", "a second", curves, dark, log=True, marks=CLIENTS))


def variants(bench):
    """What is measured: its name, its script, what makes a database for it and gives what ends that,
    and in how many other databases the same goes on meanwhile."""
    cluster = bench.cluster

    def plain(*statements):
        def prepare():
            database = cluster.database()
            for sql in statements:
                cluster.sql(database, sql.format(database=database))
            return database, lambda: None
        return prepare

    def sleeper():
        database = cluster.database()
        session = cluster.session(database)
        session.ask(SLEEP)
        return database, session.close

    def drained(command, *statements):
        def prepare():
            database, _ = plain(*statements)()
            settings = {"MAILROOM_BATCH_LIMIT": 50, "MAILROOM_FORMAT": "cloudevents"}
            ends = []
            if command == "run":
                address, endpoint, _ = bench.endpoint()
                settings = {"MAILROOM_BATCH_LIMIT": 50, "MAILROOM_SEND_RATE": 1000000,
                            "AWS_ENDPOINT_URL": address, "MAILROOM_SES_OUTPUT_PATH": cluster.dir / "out"}
                out, ends = NOWHERE, [endpoint.stop]
            else:
                # It does not write into nothing.
                reader = bench.beside(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
                out, ends = reader.stdin, [reader.communicate]
            process = bench.start(bench.program, command, stdout=out, timed=False,
                                  env=cluster.env(database, **settings))
            bench.wait("a collector", lambda: cluster.sql(
                database, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND query LIKE '-- mailroom:%'", output=True) != "0", 30, 0.1, process)

            def end():
                for each in [process.stop, *ends]:
                    each()
            return database, end
        return prepare

    never = "ALTER DATABASE {database} SET mailroom.notify = 'never'"
    bare = "DROP TRIGGER after_account_insert ON accounts"
    found = [("accounts alone", "sign-up", plain(bare), 0),
             ("sign-up, triggers that only insert", "sign-up", plain(ONLY_TRIGGERS), 0),
             ("sign-up, nobody notified", "sign-up", plain(never), 0),
             ("sign-up, collect drains", "sign-up", drained("collect"), 0),
             ("sign-up, run drains", "sign-up", drained("run"), 0),
             ("sign-up, each notifies", "sign-up", sleeper, 0),
             ("send_mail, a function that only inserts", "only_insert", plain(ONLY_FUNCTION), 0),
             ("send_mail, nobody notified", "send_mail", plain(NOTICE, never), 0),
             ("send_mail, collect drains", "send_mail", drained("collect", NOTICE), 0),
             ("send_mail, run drains", "send_mail", drained("run", NOTICE), 0),
             ("sign-up, nobody notified, also in two others", "sign-up", plain(never), 2),
             ("sign-up, run drains, also in two others", "sign-up", drained("run"), 2),
             ("sign-up, nobody notified, run looks each second, also in two others", "sign-up",
              drained("run", never), 2),
             ("sign-up, each notifies, also in two others", "sign-up", sleeper, 2)]
    if bench.queues:
        found += [("graphile-worker add_job", "add_job", lambda: queue(bench, GRAPHILE), 0),
                  ("pg-boss send", "send", lambda: queue(bench, PGBOSS), 0)]
    return found


GRAPHILE = "require('graphile-worker').runMigrations({connectionString: url}).then(() => process.exit(0))"
PGBOSS = ("(async () => { const Boss = require('pg-boss'); const boss = new Boss(url); await boss.start(); "
          "await boss.createQueue('mail'); process.exit(0) })()")
# The statement that its library sends, with the values in their places.
PGBOSS_SEND = """
const Boss = require('pg-boss')
const literal = (value) => value == null ? 'NULL'
  : typeof value === 'object' ? `'${JSON.stringify(value)}'` : typeof value === 'string' ? `'${value}'` : `${value}`
const executeSql = async (sql, values) => {
  console.log(sql.replace(/\\$(\\d+)/g, (_, n) => literal(values[n - 1])).replace(/\\s+/g, ' ') + ';')
  return { rows: [{ id: 1 }] }
}
new Boss('postgresql://nobody@127.0.0.1/nothing').send('mail', { n: 1 }, { db: { executeSql } })
"""


def queue(bench, program):
    """A database with the schema of another queue, as its own library makes it."""
    database = bench.cluster.database("template1")
    url = f"postgresql://postgres@/{database}?host={bench.cluster.socket}"
    call("node", "-e", f"const url = {json.dumps(url)}; {program}", cwd=bench.queues)
    return database, lambda: None


def pgbench(cluster, database, script, clients, seconds):
    return ["pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "1", "-T", str(seconds), "-f", script,
            database], cluster.env(database)


def tps(bench, databases, script, clients):
    """Of the first database, while as much goes on in the others."""
    others = []
    for other in databases[1:]:
        words, env = pgbench(bench.cluster, other, script, BESIDE, SECONDS + 60)
        others.append(bench.beside(subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL,
                                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)))
    words, env = pgbench(bench.cluster, databases[0], script, clients, SECONDS)
    told = call(*words, env=env)
    for other in others:
        if other.poll() is not None:
            raise SystemExit(f"bench: pgbench beside it ended with {other.returncode}")
        other.terminate()
        other.wait()
    return float(re.search(r"tps = ([0-9.]+)", told).group(1))


# The same rows by INSERT ... SELECT, with nothing looked at.
ROWS_ALONE = "the rows alone"
# The least that a function called for each row can cost.
FUNCTION_ALONE = "a function that only inserts"
NOTICE = "INSERT INTO kinds (kind) VALUES ('notice')"
# Beside what the same rows cost in a table of the same columns without index, CHECK or trigger.
SETS = {
    "accounts": [
        ("COPY into a table of the same columns", None, False),
        ("accounts alone", "DROP TRIGGER after_account_insert ON accounts", False),
        ("sign-ups", "SELECT", False),
        ("sign-ups, somebody sleeps", "SELECT", True),
    ],
    "deliveries": [
        ("COPY into a table of the same columns", None, False),
        (ROWS_ALONE, "SELECT", False),
        (FUNCTION_ALONE, ONLY_FUNCTION, False),
        ("send_mail", NOTICE, False),
        ("send_mails", NOTICE, False),
        ("send_mails, somebody sleeps", NOTICE, True),
    ],
}
# Made beforehand, so that making recipients and data is not measured.
GIVEN = ("CREATE TABLE given AS SELECT 'u' || i || '@example.com' AS recipient, jsonb_build_object('n', i) AS data "
         f"FROM generate_series(1, {ROWS}) i")
STATEMENTS = {
    "accounts": "INSERT INTO accounts (email, login) SELECT 'u' || i || '@example.com', 'u' || i "
                f"FROM generate_series(1, {ROWS}) i",
    "deliveries": "SELECT count(send_mail('notice', recipient, data)) FROM given",
    FUNCTION_ALONE: "SELECT count(only_insert('notice', recipient, data)) FROM given",
    "send_mails": "SELECT send_mails('notice', array_agg(recipient), array_agg(data)) FROM given",
    ROWS_ALONE: "INSERT INTO deliveries (kind, recipient, data) SELECT 'notice', recipient, data FROM given",
}


def sets(bench):
    """Many rows by one statement."""
    rows = []
    for table, ways in SETS.items():
        seconds = {what: [] for what, _, _ in ways}
        for _ in range(TURNS_OF_SETS):
            for what, before, sleeps in ways:
                statement = STATEMENTS.get(what.removesuffix(", somebody sleeps"), STATEMENTS[table])
                seconds[what].append(at_once(bench, table, statement, before, sleeps))
        bare = min(seconds[ways[0][0]])
        rows += [[table, what, f"{min(taken):.2f}", f"{min(taken) / bare:.2f}"]
                 for what, taken in seconds.items()]
    bench.table(f"{ROWS:,} rows by one statement, fsync off (best of {TURNS_OF_SETS})",
                ["table", "how", "s", "times COPY"], rows,
                "All by turns. COPY reads the rows that the same statement makes elsewhere, from a file, into a "
                "table without index, check or trigger. Recipients and data stand in a table. Goals: 2.0 s for "
                "sign-ups, twice COPY for send_mails.")


def at_once(bench, table, statement, before, sleeps):
    """Seconds that so many rows take; `before` None: by COPY."""
    cluster = bench.cluster
    database = cluster.database()
    session = cluster.session(database)
    cluster.sql(database, GIVEN)
    if sleeps:
        sleeper = cluster.session(database)
        sleeper.ask(SLEEP)
    if before is None:
        # Written by the server, where it may write.
        file = cluster.socket / f"{table}.rows"
        if table == "deliveries":
            cluster.sql(database, NOTICE)
        cluster.sql(database, statement, f"COPY {table} TO '{file}'", f"CREATE TABLE bare (LIKE {table})")
        statement = f"COPY bare FROM '{file}'"
    else:
        cluster.sql(database, before)
    cluster.sql(database, "CHECKPOINT")
    begun = time.monotonic()
    # What is asked gives one line.
    session.ask(statement if statement.startswith("SELECT") else f"{statement}; SELECT 1")
    seconds = time.monotonic() - begun
    for each in [session] + ([sleeper] if sleeps else []):
        each.close()
    cluster.drop(database)
    return seconds
