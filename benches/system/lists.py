"""Issues of lists: what a claim costs beside one to a million, how long a recovery waits beside one, and
whether each subscriber gets one, whoever is killed on the way."""

import random
import re
import time

from figures import median, percentile
from process import NOWHERE

MANY, SENT = 1_000_000, 300_000
# Mails of which the claims are timed in one go, how many of these only warm up, and how often.
TIMED, LIMIT, WARM, TURNS = 5_000, 50, 0.2, 6
# Recoveries a second, for so many seconds, so often; and what the provider lets through.
RECOVERIES, SECONDS, ROUNDS, RATE = 20, 12, 2, 50
# Batches, the window in ms, and how long the provider takes for a call, in ms.
SETTINGS = ((10, 100, 50), (1, 100, 0), (1, 100, 10))
KILLS = 20


def lists(bench):
    few, many = bench.cluster.database(), bench.cluster.database()
    subscribers(bench, few, TIMED)
    subscribers(bench, many, MANY)
    # As if the first of them had it already.
    bench.cluster.sql(
        many, "SELECT publish('news', 'weekly', 'many', '{\"title\": \"Snow\"}')",
        f"UPDATE issues SET cursor = {SENT}, enqueued = {SENT}",
        "INSERT INTO deliveries (kind, priority, recipient, issue, subscriber, state, due_at, attempts) "
        f"SELECT 'news', 1000, address, 1, id, 'sent', now(), 1 FROM subscribers WHERE id <= {SENT}",
        "VACUUM ANALYZE", "CHECKPOINT")
    claims(bench, few, many)
    waits(bench, few, many)
    for database in (few, many):
        bench.cluster.drop(database)


def subscribers(bench, database, count):
    """Who is confirmed; their ids are 1 and on."""
    bench.cluster.sql(
        database,
        "INSERT INTO lists (list, unsubscribe) VALUES ('news', 'https://example.com/unsubscribe?token=')",
        "INSERT INTO subscribers (list, address, state, data, how) SELECT 'news', 's' || i || '@example.com', "
        "'confirmed', jsonb_build_object('name', 'Name ' || i, 'plan', 'pro'), 'import' "
        f"FROM generate_series(1, {count}) i",
        "VACUUM ANALYZE", "CHECKPOINT")


def run(bench, database, address, limit, rate, window=5000):
    return bench.start(bench.program, "run", stdout=NOWHERE, timed=False, env=bench.cluster.env(
        database, MAILROOM_BATCH_LIMIT=limit, MAILROOM_BATCH_TIMEOUT=window, MAILROOM_SEND_RATE=rate,
        AWS_ENDPOINT_URL=address, MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out"))


def claims(bench, few, many):
    """Claims of 50, by turns: of account mail and of an issue."""
    found, beside = {}, f"{MANY:,} subscribers, {MANY - SENT:,} of them to be served"
    for turn in range(TURNS):
        sign_up = ("INSERT INTO accounts (email, login) SELECT "
                   f"'a{turn}x' || i || '@example.com', 'a{turn}x' || i FROM generate_series(1, {TIMED}) i")
        for what, where, database, statement in (
                ("account mail", "an empty table", few, sign_up), ("account mail", beside, many, sign_up),
                ("an issue", f"{TIMED:,} subscribers", few,
                 f"SELECT publish('news', 'weekly', 'few{turn}', '{{\"title\": \"Snow\"}}')"),
                ("an issue", beside, many, "SELECT")):
            found.setdefault((what, where), []).append(turns(bench, database, statement))
    rows, first = [], {}
    for (what, where), taken in found.items():
        least = min(median(times) for times in taken)
        rows.append([what, where, f"{least:.2f}", f"{least / first.setdefault(what, least):.2f}"])
    bench.table("A claim of 50 beside a list", ["of", "beside", "processor time, ms", "times the first"], rows,
                f"The best of {TURNS} medians, by turns, with the settlement of the batch before, of `run`. "
                "Goal: within 20% of the first.")


def turns(bench, database, statement):
    """Milliseconds of processor time of the claims that follow on a statement."""
    bench.cluster.sql(database, statement, "VACUUM ANALYZE deliveries", "CHECKPOINT")
    bench.log_statements(database)
    bench.cluster.sql(database, f"ALTER DATABASE {database} SET log_executor_stats = on")
    address, endpoint, accepted = bench.endpoint()
    mark = bench.mark()
    process = run(bench, database, address, LIMIT, 1000000)
    bench.wait("the mails", lambda: accepted() >= TIMED, 600, 0.01, process, endpoint)
    process.stop()
    endpoint.stop()
    bench.cluster.sql(database, f"ALTER DATABASE {database} RESET ALL")
    used = bench.used(mark)[:TIMED // LIMIT]
    return used[int(len(used) * WARM):]


def waits(bench, few, many):
    """From the commit of a recovery until the provider has it, beside an issue and beside nothing, by
    turns."""
    for database in (few, many):
        bench.cluster.sql(
            database, "INSERT INTO accounts (email, login, status) SELECT 'r' || i || '@example.com', 'r' || i, "
            f"'active' FROM generate_series(1, {len(SETTINGS) * ROUNDS * SECONDS * RECOVERIES * 2}) i")
    rows, used = [], {few: 0, many: 0}
    for limit, window, call in SETTINGS:
        found = {few: [], many: []}
        for _ in range(ROUNDS):
            for database, times in found.items():
                times += recoveries(bench, database, limit, window, call, used, database == many)
        first = percentile(found[few], 0.99)
        for database, times in found.items():
            last = percentile(times, 0.99)
            rows.append([f"{limit}, window of {window} ms, calls of {call} ms" if limit > 1 else
                         f"{limit}, calls of {call} ms", "an issue" if database == many else "an empty queue",
                         f"{len(times):,}", f"{median(times) * 1000:.1f}", f"{last * 1000:.1f}",
                         f"{last / first:.2f}"])
    bench.table(f"Recoveries beside an issue that goes out at {RATE} a second: insert committed to call read",
                ["batches of", "beside", "recoveries", "p50, ms", "p99, ms", "times the first"], rows,
                f"{RECOVERIES} recoveries a second, at random, for {SECONDS} s at a time, {ROUNDS} times, by "
                f"turns; MAILROOM_SEND_RATE is {RATE}. Goal: a p99 within 1.2 of that of an empty queue.")


def recoveries(bench, database, limit, window, call, used, issue):
    seen = bench.cluster.dir / f"seen{len(bench.processes)}"
    address, endpoint, accepted = bench.endpoint(wait=call, seen=seen)
    process = run(bench, database, address, limit, RATE, window)
    if issue:
        bench.wait("the issue", lambda: accepted() >= 2 * limit, 60, 0.01, process, endpoint)
    else:
        # It does not say on its output that it listens.
        time.sleep(1)
    session, commits, end = bench.cluster.session(database), {}, time.monotonic() + SECONDS
    while time.monotonic() < end:
        used[database] += 1
        name = f"r{used[database]}"
        commits[name] = session.ask("INSERT INTO tokens (account, action) SELECT id, 'password_recovery' "
                                    f"FROM accounts WHERE login = '{name}' RETURNING xmin")
        time.sleep(random.uniform(0, 2 / RECOVERIES))

    def arrived():
        return dict(reversed(line.split()) for line in seen.read_text().splitlines())
    bench.wait("the recoveries", lambda: len(arrived()) >= len(commits), 60, 0.1, process, endpoint)
    process.stop()
    endpoint.stop()
    times = [float(arrived()[name]) - float(session.ask(
        f"SELECT extract(epoch FROM pg_xact_commit_timestamp('{xmin}'))")) for name, xmin in commits.items()]
    session.close()
    return times


def killed(bench):
    """Two collectors, one of which is killed again and again while an issue goes out."""
    count = MANY if bench.full else 50_000
    database, files, running = bench.cluster.database(), [], []
    subscribers(bench, database, count)
    bench.log_statements(database)
    session = bench.cluster.session(database)
    mark, wal = bench.mark(), session.ask("SELECT pg_current_wal_lsn()")

    def start():
        files.append(bench.cluster.dir / f"lines{len(files)}")
        with open(files[-1], "wb") as lines:
            running.append(bench.start(bench.program, "collect", stdout=lines, env=bench.cluster.env(
                database, MAILROOM_BATCH_LIMIT=LIMIT, MAILROOM_FORMAT="cloudevents", MAILROOM_LEASE=10000)))

    def sent():
        return int(session.ask("SELECT coalesce(sum(sent), 0) FROM tallies"))
    begun = time.monotonic()
    session.ask("SELECT publish('news', 'weekly', 'k', '{\"title\": \"Snow\"}')")
    published = time.monotonic() - begun
    start()
    start()
    for kill in range(1, KILLS + 1):
        bench.wait("the mails", lambda: sent() >= kill * count // (KILLS + 1), 3600, 0.02, *running)
        one = running.pop(0)
        one.run.kill()
        one.run.wait()
        start()
    waiting = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'leased')"
    bench.wait("the last mail", lambda: sent() >= count and session.ask(waiting) == "0", 3600, 0.1, *running)
    seconds = time.monotonic() - begun
    written = int(session.ask(f"SELECT pg_current_wal_lsn() - '{wal}'").split(".")[0])
    for one in running:
        one.stop()
    copies = copies_of(files, count)
    # Most are asked for when there are enough, or another one makes them, and take no time.
    made = sorted(bench.took(mark, "enqueue"))[-count // 1000:]
    session.close()
    bench.cluster.drop(database)
    bench.table(f"An issue to {count:,} subscribers, a collector killed {KILLS} times on the way",
                ["what", "found"], [
                    ["subscribers that got none", f"{sum(1 for n in copies if n == 0):,}"],
                    [f"copies too many; a batch for each kill is {KILLS * LIMIT:,}",
                     f"{sum(n - 1 for n in copies if n):,}"],
                    ["publishing", f"{published:.2f} s"],
                    ["from there to the last settlement", f"{seconds:,.0f} s, {count / seconds:,.0f} a second"],
                    ["1,000 deliveries made: median, p99, longest",
                     f"{median(made):.0f}, {percentile(made, 0.99):.0f}, {made[-1]:.0f} ms"],
                    ["log (WAL) a subscriber, of all of it", f"{written / count:,.0f} bytes"]],
                "Two collectors, with CloudEvents into files, in which whole lines are counted; batches of "
                f"{LIMIT}, leases of 10 s, which the last ones killed are waited for.")


def copies_of(files, count):
    """How many whole lines each subscriber has."""
    copies = [0] * count
    for file in files:
        with open(file, "rb") as lines:
            for line in lines:
                found = re.search(rb"\bs(\d+)@example\.com", line)
                if line.endswith(b"\n") and found:
                    copies[int(found.group(1)) - 1] += 1
        file.unlink()
    return copies
