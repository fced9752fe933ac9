"""What a mail costs the application: sign-ups a second, by clients, beside the same without us."""

import json
import re
import subprocess

from process import call

CLIENTS = (1, 4, 16, 64)
SECONDS = 2

# A flush of a disk is not measured, it would be another one elsewhere; one of 2 ms is imitated: the server
# waits so long before each flush, and all who come meanwhile go with it.
DISKS = {"fsync off": {"fsync": "off"},
         "a flush of 2 ms": {"fsync": "on", "commit_delay": "2000", "commit_siblings": "0"}}

SIGN_UP = "INSERT INTO accounts (email, login) VALUES (gen_random_uuid() || '@example.com', gen_random_uuid());\n"
SEND_MAIL = "SELECT send_mail('notice', 'u' || gen_random_uuid() || '@example.com', '{\"n\": 1}');\n"


def insert(bench):
    cluster = bench.cluster
    scripts = {}
    for name, sql in {"sign-up": SIGN_UP, "send_mail": SEND_MAIL,
                      "add_job": "SELECT graphile_worker.add_job('mail', '{\"n\": 1}');\n",
                      "send": "INSERT INTO pgboss.job (name, data) VALUES ('mail', '{\"n\": 1}');\n"}.items():
        scripts[name] = cluster.dir / f"{name}.sql"
        scripts[name].write_text(sql)
    for disk, settings in DISKS.items():
        for name, value in settings.items():
            cluster.sql("postgres", f"ALTER SYSTEM SET {name} = {value}")
        cluster.sql("postgres", "SELECT pg_reload_conf()")
        rows = []
        for what, script, prepare in variants(bench):
            database, end = prepare()
            rates = [tps(cluster, database, scripts[script], clients) for clients in CLIENTS]
            end()
            cluster.drop(database)
            rows.append([what] + [f"{rate:,.0f}" for rate in rates])
        bench.table(f"Inserts a second, {disk}", ["what", *(f"{n} clients" for n in CLIENTS)], rows)
    cluster.sql("postgres", "ALTER SYSTEM RESET ALL", "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")


def variants(bench):
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
        session.ask("LISTEN token_insert; SELECT pg_advisory_lock_shared(1835100527, hashenum('mailroom'::job_type))")
        return database, session.close

    def drained(*statements):
        def prepare():
            database, _ = plain(*statements)()
            # It does not write into nothing.
            reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            run = bench.start(bench.program, "collect", stdout=reader.stdin, timed=False,
                              env=cluster.env(database, MAILROOM_BATCH_LIMIT=50, MAILROOM_FORMAT="cloudevents"))
            bench.wait("a collector", lambda: cluster.sql(
                database, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", output=True) != "0", 30, 0.1, run)

            def end():
                run.stop()
                reader.communicate()
            return database, end
        return prepare

    never = "ALTER DATABASE {database} SET mailroom.notify = 'never'"
    bare = "DROP TRIGGER after_account_insert ON accounts"
    notice = "INSERT INTO kinds (kind) VALUES ('notice')"
    found = [("accounts alone", "sign-up", plain(bare)),
             ("sign-up, nobody notified", "sign-up", plain(never)),
             ("sign-up, collect drains", "sign-up", drained()),
             ("sign-up, each notifies", "sign-up", sleeper),
             ("send_mail, collect drains", "send_mail", drained(notice))]
    if bench.queues:
        found += [("graphile-worker add_job", "add_job", lambda: queue(bench, GRAPHILE)),
                  ("pg-boss, the row of send", "send", lambda: queue(bench, PGBOSS))]
    return found


GRAPHILE = "require('graphile-worker').runMigrations({connectionString: url}).then(() => process.exit(0))"
PGBOSS = ("(async () => { const Boss = require('pg-boss'); const boss = new Boss(url); await boss.start(); "
          "await boss.createQueue('mail'); process.exit(0) })()")


def queue(bench, program):
    """A database with the schema of another queue, as its own library makes it."""
    database = bench.cluster.database("template1")
    url = f"postgresql://postgres@/{database}?host={bench.cluster.socket}"
    call("node", "-e", f"const url = {json.dumps(url)}; {program}", cwd=bench.queues)
    return database, lambda: None


def tps(cluster, database, script, clients):
    told = call("pgbench", "-n", "-M", "prepared", "-c", clients, "-j", "1", "-T", SECONDS, "-f", script, database,
                env=cluster.env(database))
    return float(re.search(r"tps = ([0-9.]+)", told).group(1))
