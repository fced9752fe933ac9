"""What growth does to the time of a claim, and to the table."""

import subprocess
import time

import plot
from figures import mega, median, percentile

# Messages that are claimed and timed in one go, and how many of the claims only warm up.
TIMED, WARM, TURNS = 5_000, 0.2, 6


def growth(bench):
    """Time of a claim by settled rows, by turns, and with many pending."""
    sizes = [10_000, 100_000, 1_000_000] + ([10_000_000] if bench.full else [])
    made, databases = 0, {}
    for size in sizes:
        databases[size] = bench.cluster.database(databases[made] if made else "ours_template")
        settled(bench, databases[size], made, size)
        made = size
    times = {size: [] for size in sizes}
    for turn in range(TURNS):
        for size in sizes:
            times[size].append(beside_settled(bench, databases[size], 100_000_000 * (turn + 1)))
    for database in databases.values():
        bench.cluster.drop(database)
    waiting = 1_000_000 if bench.full else 200_000
    database = bench.cluster.database()
    bench.cluster.fill(database, waiting)
    pending = [claims(bench, database, TIMED) for _ in range(TURNS)]
    bench.cluster.drop(database)
    points = [(size, best(runs, 1)) for size, runs in times.items()]
    first = points[0][1]
    named = [(f"{size:,} settled", runs) for size, runs in times.items()]
    rows = [[name, f"{best(runs, 1):.2f}", f"{best(runs, 1) / first:.2f}", f"{best(runs, 0):.2f}"]
            for name, runs in named + [(f"{waiting:,} pending", pending)]]
    bench.table("A claim of 50",
                ["beside", "processor time, ms", "times the first", "time, ms"], rows,
                f"The best of {TURNS} medians, by the server's log, the first claims of each turn left out. "
                "All sizes have a turn before any has its next. Processor time is compared, because it "
                "does not tell what else the machine did. Goal: within 20% of the first.")
    told = ", ".join(f"{time:.2f} ms beside {size:,}" for size, time in points)
    bench.draw("claim", f"Processor time of a claim of 50 by settled deliveries: {told}",
               lambda dark: plot.lines("PostgreSQL's time for a claim of 50", "settled deliveries in the table",
                                       "ms on a processor", {"median": points}, dark, log=True))


def best(runs, which):
    """The least median of the times that passed (0) or of processor time (1)."""
    return min(median(run[which]) for run in runs)


def settled(bench, database, made, size):
    """Fills up to so many settled deliveries; with nothing that would only take time: no foreign key
    is looked into, and secrets are no secret."""
    first = "" if made else "INSERT INTO accounts (id, email, login, status) VALUES (0, 'x', 'x', 'active');"
    series = f"FROM generate_series({made + 1}, {size}) i"
    bench.cluster.sql(database, "SET session_replication_role = replica;" + first +
                      "INSERT INTO tokens (id, account, action, secret, code) SELECT i, 0, 'activation', "
                      f"decode(lpad(to_hex(i), 64, '0'), 'hex'), '01234' {series};"
                      "INSERT INTO deliveries (id, kind, state, due_at, attempts) "
                      f"SELECT i, 'activation', 'sent', now() - interval '1 minute', 1 {series}",
                      "VACUUM ANALYZE")


def beside_settled(bench, database, start):
    series = f"FROM generate_series({start}, {start + TIMED - 1}) i"
    bench.cluster.sql(database, "SET session_replication_role = replica;"
                      "INSERT INTO accounts (id, email, login, status) SELECT i, "
                      f"'g' || i || '@example.com', 'g' || i, 'provisioned' {series};"
                      f"INSERT INTO tokens (id, account, action) SELECT i, i, 'activation' {series};"
                      f"INSERT INTO deliveries (id, kind, priority) SELECT i, 'activation', 20 {series}",
                      "VACUUM ANALYZE", "CHECKPOINT")
    return claims(bench, database, TIMED)


def claims(bench, database, count):
    """Milliseconds that claims take, by what the server says: as they passed, and on a processor."""
    bench.log_statements(database)
    bench.cluster.sql(database, f"ALTER DATABASE {database} SET log_executor_stats = on")
    mark = bench.mark()
    process = bench.ours("collect", database)
    process.read(count)
    process.stop()
    bench.cluster.sql(database, f"ALTER DATABASE {database} RESET ALL")
    return [times[int(len(times) * WARM):] for times in (bench.took(mark), bench.used(mark))]


class Steady:
    """Mails at a steady rate, `at_once` in a transaction, and a collector that takes them."""

    def __init__(self, bench, seconds, rate, at_once, **more):
        self.bench, self.database = bench, bench.cluster.database()
        self.session = bench.cluster.session(self.database)
        self.seconds, self.rate, self.at_once, self.more = seconds, rate, at_once, more

    def work(self, also=lambda share: None):
        """Until the time is over and all is settled; gives where in the server's log the claims are,
        and how many mails there were. `also` is told what share of the time has passed, often."""
        bench, cluster = self.bench, self.bench.cluster
        bench.log_statements(self.database)
        mark = bench.mark()
        process = bench.ours("collect", self.database, **self.more)
        script = cluster.dir / "steady.sql"
        script.write_text("INSERT INTO accounts (email, login) SELECT 'h' || i || '@example.com', 'h' || i "
                          f"FROM (SELECT nextval('accounts_id_seq') AS i FROM generate_series(1, "
                          f"{self.at_once})) s;\n")
        begun = time.monotonic()
        insert = bench.beside(subprocess.Popen(
            ["pgbench", "-n", "-c", "1", "-M", "prepared", "-R", str(self.rate / self.at_once), "-T",
             str(self.seconds), "-f", script, self.database], stdin=subprocess.DEVNULL,
            env=cluster.env(self.database, PGOPTIONS="-c log_min_duration_statement=-1 "
                                                   "-c log_executor_stats=off"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        while insert.poll() is None:
            # The last mail may have been read already.
            if process.has_more(0.2):
                process.read(process.seen + 1)
            also(min(1, (time.monotonic() - begun) / self.seconds))
        if insert.returncode:
            raise SystemExit(f"bench: pgbench ended with {insert.returncode}")
        made = int(self.session.ask("SELECT count(*) FROM accounts"))
        process.read(made)
        bench.wait("the last settlement", lambda: int(self.session.ask(
            "SELECT coalesce(sum(sent), 0) FROM tallies")) >= made, 60, 0.02, process)
        also(1)
        process.stop()
        self.session.close()
        cluster.drop(self.database)
        return mark, made


def tenths(times):
    """The first tenth, begun when the start is over, and the last."""
    tenth = max(1, len(times) // 10)
    return times[tenth // 2:tenth + tenth // 2], times[-tenth:]


def horizon(bench):
    """Steady work beside a transaction that holds the xmin horizon back."""
    seconds, rate = (600, 500) if bench.full else (60, 500)
    steady = Steady(bench, seconds, rate, 50, MAILROOM_BATCH_TIMEOUT=100)
    holder = bench.cluster.session(steady.database)
    bench.beside(holder.run)
    holder.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tokens")
    bench.cluster.sql(steady.database, f"ALTER DATABASE {steady.database} SET log_executor_stats = on")
    mark, made = steady.work()
    holder.close()
    rows = []
    for name, statement in (("turn", "turn"), ("look", "look"), ("watermark", "levels")):
        wall, cpu = bench.took(mark, statement), bench.used(mark, statement)
        for when, i in (("first", 0), ("last", 1)):
            rows.append([f"{name}, {when} tenth", f"{len(tenths(cpu)[i]):,}",
                         f"{median(tenths(cpu)[i]):.2f}", f"{median(tenths(wall)[i]):.2f}",
                         f"{percentile(tenths(wall)[i], 0.99):.2f}"])
    bench.table(f"Statements beside a transaction that stands for {seconds:,} s, {rate} mails/s",
                ["statement", "runs", "processor time, ms", "time, ms", "p99 of that, ms"], rows,
                f"Medians, {made:,} mails, 50 in a transaction. A look counts what is due, a turn writes "
                "down what was sent and takes the next, a search for watermarks finds where both begin. Goal: the same in the last tenth as in the first.")


def churn(bench):
    """Steady work with autovacuum and pruning: whether the table stays as large as it was."""
    minutes = bench.churn_minutes or (60 if bench.full else 3)
    seconds, rate = int(minutes * 60), 200
    # Long before the first look, as many are pruned as come.
    retention = max(10, seconds // 20)
    steady = Steady(bench, seconds, rate, 1, MAILROOM_BATCH_TIMEOUT=250,
                    MAILROOM_HEALTHCHECK_INTERVAL=5000, MAILROOM_RETENTION=f"{retention}s")
    looks = []

    def also(share):
        if share * 6 >= len(looks) + 1:
            looks.append(steady.session.ask(
                "SELECT (SELECT count(*) FROM deliveries), pg_table_size('deliveries'), "
                "pg_indexes_size('deliveries')").split("|"))
    mark, made = steady.work(also)
    first, last = tenths(bench.took(mark))
    rows = [[f"{(i + 1) * minutes / 6:.3g} min", f"{int(count):,}", mega(int(table)), mega(int(indexes))]
            for i, (count, table, indexes) in enumerate(looks)]
    bench.table(f"The table deliveries through {minutes:g} minutes of churn, {rate} mails/s",
                ["after", "rows", "table", "its indexes"], rows,
                f"{made:,} mails, each inserted by itself; settled ones are kept for {retention} s. "
                f"Autovacuum is on. A claim took {median(first):.2f} ms (median; p99 "
                f"{percentile(first, 0.99):.2f} ms) in the first tenth, {median(last):.2f} ms "
                f"({percentile(last, 0.99):.2f} ms) in the last.")
