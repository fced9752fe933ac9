"""What lies between the program and the database, and between it and the provider: flushes, round
trips, old snapshots. Beside an earlier build (--before) and the peer where they are there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import insert
from figures import mega, percentile
from process import NOWHERE
from rates import all_settled, builds, drain_once, ours

# There and back to a database that is not on this machine, a provider's answer, and a flush of a disk that
# is not as fast as this one: milliseconds.
AWAY, CALL, FLUSH = 3, 80, 2


def trips(bench):
    """Draining with and without a disk, near and far."""
    count, limit = 20000, 50
    way = bench.way(AWAY)
    runs = {}
    for flush in ("off", "on", f"and {FLUSH} ms more"):
        bench.cluster.flush(flush != "off", FLUSH if "more" in flush else 0)
        for far in (False, True):
            more = {"MAILROOM_DATABASE_URL": f"{way} user=postgres dbname="} if far else {}

            def start(program, more=more):
                def started(database, limit):
                    place = {name: value + database for name, value in more.items()}
                    return ours(bench, program, "collect", database, limit, **place)
                return started
            who = {name: (start(program), template) for name, (program, template) in builds(bench).items()}
            if bench.peer:
                who["peer's collector"] = (lambda d, l, more=more: bench.collector(
                    d, l, **{name: value + d for name, value in more.items()}), "peer_template")
            for _ in range(bench.repeat):
                for name, (begin, template) in who.items():
                    seconds, cpu, _ = drain_once(bench, begin, template, count, limit)
                    runs.setdefault((name, flush, far), []).append((seconds, cpu))
    bench.cluster.flush(False)
    rows = []
    for (name, flush, far), taken in runs.items():
        best = min(seconds for seconds, _ in taken)

        def times(other):
            beside = runs.get((other, flush, far))
            return f"{min(seconds for seconds, _ in beside) / best:.2f}" if beside else ""
        rows.append([name, flush, f"{AWAY} ms" if far else "socket",
                     f"{count / best:,.0f}", times("before"), times("peer's collector"),
                     f"{best / count * limit * 1000:.2f}", f"{min(cpu for _, cpu in taken) / count * 1e6:.1f}"])
    bench.table(f"Draining {count:,} messages, limit {limit}, with a disk and a distance (best of "
                f"{bench.repeat})",
                ["who", "fsync", "the database", "messages/s", "times before", "times the peer",
                 "ms a batch", "CPU a message, µs"], rows,
                f"All by turns. The distance is a program that holds each packet for half of {AWAY} ms. "
                f"A flush of {FLUSH} ms is a wait of the server before each. Goals: 1.6 times before with fsync, 1.8 "
                "times 3 ms away, 10.5 times the peer with fsync.")


def provider(bench):
    """`run` with a provider that takes its time: calls one after the other."""
    count, limit, rows = 2000, 50, []
    bench.cluster.flush(True)
    for far in (None, bench.way(AWAY)):
        for name, (program, template) in builds(bench).items():
            best = min(call_once(bench, program, template, count, limit, far) for _ in range(bench.repeat))
            rows.append([name, f"{AWAY} ms" if far else "socket", f"{count / best:,.0f}",
                         f"{count / limit * CALL / 1000 / best:.3f}"])
    bench.cluster.flush(False)
    bench.table(f"Delivering with {CALL} ms a call of {limit}, fsync on (best of {bench.repeat})",
                ["who", "the database", "messages/s", "of calls in sequence"], rows,
                f"From the first call to the last answer of {count:,} mails. Goal: 0.95 of what calls in "
                f"sequence can give, {limit * 1000 / CALL:.0f}/s.")


def call_once(bench, program, template, count, limit, far):
    address, endpoint, accepted = bench.endpoint(wait=CALL)
    database = bench.cluster.database(template)
    bench.cluster.fill(database, count)
    place = {"MAILROOM_DATABASE_URL": f"{far} user=postgres dbname={database}"} if far else {}
    process = bench.start(program, "run", stdout=NOWHERE, env=bench.cluster.env(
        database, MAILROOM_BATCH_LIMIT=limit, MAILROOM_SEND_RATE=1000000, AWS_ENDPOINT_URL=address,
        MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out", **place))
    bench.wait("the first call", lambda: accepted() >= limit, 60, 0.001, process, endpoint)
    begun = time.monotonic()
    bench.wait("the mails", lambda: accepted() >= count, 600, 0.001, process, endpoint)
    seconds = time.monotonic() - begun
    all_settled(bench, database, count, process)
    process.stop()
    endpoint.stop()
    bench.cluster.drop(database)
    # The first call had been answered when the time began.
    return seconds * count / (count - limit)


def steady(bench):
    """Single inserts at a steady rate, with and without an old snapshot beside them."""
    seconds, rate, rows = (180 if bench.full else 25), 800, []
    bench.cluster.flush(True)
    for limit in (10, 1):
        for held in (False, True):
            for name, (program, template) in builds(bench).items():
                times, dead = steady_once(bench, program, template, limit, held, seconds, rate)
                last = times[-len(times) // 10:]
                rows.append([name, limit, "held" if held else "free"] + [
                    f"{percentile(part, share) * 1000:.1f}" for part, share in
                    ((times, 0.5), (times, 0.99), (last, 0.5), (last, 0.99))] + [f"{dead:,}"])
    for name, queue in OTHERS.items() if bench.queues else ():
        for held in (False, True):
            times = other_once(bench, queue, held, seconds, rate)
            last = times[-len(times) // 10:]
            rows.append([name, "", "held" if held else "free"] + [
                f"{percentile(part, share) * 1000:.1f}" for part, share in
                ((times, 0.5), (times, 0.99), (last, 0.5), (last, 0.99))] + [""])
    bench.cluster.flush(False)
    bench.table(f"Insert committed to line read, {rate} single inserts a second for {seconds} s, fsync on",
                ["who", "limit", "a snapshot beside it", "p50, ms", "p99, ms", "p50 in the last tenth",
                 "p99 there", "dead rows at the end"], rows,
                "A held snapshot is a transaction in REPEATABLE READ that was open all the time. Dead rows "
                "are those of deliveries. The other queues: from the insert to the job, 10 jobs at once with "
                "graphile-worker, 1,000 with pg-boss, which asks each half of a second. Goal: p99 of 21 ms at "
                "most beside it, flat.")


# What makes a job, and the schema of each.
OTHERS = {
    "graphile-worker": ("graphile", insert.GRAPHILE, "SELECT graphile_worker.add_job('mail', {})"),
    "pg-boss": ("pgboss", insert.PGBOSS, "INSERT INTO pgboss.job (name, data) VALUES ('mail', {})")}


def other_once(bench, queue, held, seconds, rate):
    """Seconds from insert to job with another queue."""
    name, schema, add = queue
    database, _ = insert.queue(bench, schema)
    written = bench.cluster.dir / f"{name}.times"
    with open(written, "wb") as file:
        worker = bench.start("node", Path(__file__).with_name("queues.js"), name, bench.queues,
                             f"postgresql://postgres@/{database}?host={bench.cluster.socket}",
                             stdout=file, env=dict(os.environ), timed=False)
    holder = bench.cluster.session(database)
    time.sleep(2)
    if held:
        holder.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
    script = bench.cluster.dir / "single.sql"
    script.write_text(add.format("json_build_object('t', extract(epoch FROM clock_timestamp()))") + ";\n")
    pgbench(bench, database, script, seconds, rate).wait()
    count = 0
    while count != (count := written.read_bytes().count(b"\n")) or not count:
        time.sleep(2)
    holder.close()
    worker.stop()
    bench.cluster.drop(database)
    return [float(line) for line in written.read_text().split()]


def pgbench(bench, database, script, seconds, rate):
    return bench.beside(subprocess.Popen(
        ["pgbench", "-n", "-c", "4", "-M", "prepared", "-R", str(rate), "-T", str(seconds), "-f", script,
         database], stdin=subprocess.DEVNULL, env=bench.cluster.env(database), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL))


def steady_once(bench, program, template, limit, held, seconds, rate):
    """Seconds from commit to line of each mail, in the order of the lines, and dead rows."""
    database = bench.cluster.database(template)
    session, holder = bench.cluster.session(database), bench.cluster.session(database)
    process = ours(bench, program, "collect", database, limit)
    # It does not say on its output that it listens.
    time.sleep(1)
    if held:
        holder.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tokens")
    script = bench.cluster.dir / "single.sql"
    script.write_text("INSERT INTO accounts (email, login) SELECT 's' || i || '@example.com', 's' || i "
                      "FROM (SELECT nextval('accounts_id_seq') AS i) s;\n")
    inserts = pgbench(bench, database, script, seconds, rate)
    read = []
    while inserts.poll() is None or process.has_more(1.5 if limit == 1 else 6):
        if process.has_more(0.1):
            seen = process.seen
            process.read(seen + 1)
            read += [time.time()] * (process.seen - seen)
    dead = int(session.ask("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'deliveries'"))
    holder.close()
    process.stop()
    # Mails go in the order of their commits, as good as.
    commits = bench.cluster.sql(database, "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) "
                                "FROM accounts ORDER BY 1", output=True).split()
    session.close()
    bench.cluster.drop(database)
    return [line - float(commit) for line, commit in zip(read, commits)], dead


def data_once(bench, program, template, size, count):
    """What all statements of a batch of 50 cost the server, milliseconds of processor time, and the memory
    of `run`. Two runs of as many mails come before, each with a vacuum after it: pages have room, as where
    mails have gone out for a while."""
    text = (f"jsonb_build_object('text', (SELECT string_agg(md5((i * 2000 + j)::text), '') "
            f"FROM generate_series(1, {size * 31}) j))")
    database = bench.cluster.database(template)
    address, endpoint, accepted = bench.endpoint(True)
    if size:
        bench.cluster.sql(database, "INSERT INTO kinds (kind) VALUES ('notice')")
    bench.log_statements(database)
    bench.cluster.sql(database, f"ALTER DATABASE {database} SET log_executor_stats = on")
    for turn in (1, 2, 3):
        if size:
            bench.cluster.sql(database, f"SELECT count(send_mail('notice', 'u' || i || '@example.com', {text})) "
                              f"FROM generate_series(1, {count}) i")
        else:
            bench.cluster.fill(database, count, f"u{turn}x")
        bench.cluster.sql(database, "VACUUM ANALYZE", "CHECKPOINT")
        mark = bench.mark()
        process = bench.start(program, "run", stdout=NOWHERE, timed=False, env=bench.cluster.env(
            database, MAILROOM_BATCH_LIMIT=50, MAILROOM_SEND_RATE=1000000, AWS_ENDPOINT_URL=address,
            AWS_CA_BUNDLE=bench.authority, MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out"))
        bench.wait("the mails", lambda: accepted() >= turn * count, 600, 0.01, process, endpoint)
        peak = process.peak()
        all_settled(bench, database, count * turn, process)
        process.stop()
        used = sum(bench.used(mark, None))
    endpoint.stop()
    bench.cluster.drop(database)
    return used * 50 / count, peak


def data(bench):
    """What data costs: a batch, and the memory of `run`."""
    programs = {"before": (bench.before, "before_template")} if bench.before else {}
    programs["now"] = (bench.program, "ours_template")
    cases = [(who, *programs[who], 0, 2000) for who in programs]
    cases += [("now", *programs["now"], size, count) for size, count in ((1, 2000), (64, 500))]
    found = [[] for _ in cases]
    for _ in range(bench.repeat):
        for case, measured in zip(cases, found):
            measured.append(data_once(bench, *case[1:]))
    rows, first = [], None
    for (who, _, _, size, _), measured in zip(cases, found):
        used = percentile([used for used, _ in measured], 0.5)
        first = first or used
        rows.append([who, f"50 with {size} KB" if size else "50 tokens", f"{used:.2f}", f"{used / first:.2f}",
                     mega(max(peak for _, peak in measured))])
    bench.table("Data of a mail", ["who", "mails", "processor time of the server, ms", "times the first",
                                   "memory of run"], rows,
                "Delivered over HTTPS, by turns, the median: all that the server does for `run` while it claims "
                "and settles 2,000 mails (500 of 64 KB), for 50 of them, after two such runs in the same "
                "database. A batch of 50 ends where its data reaches 256 KiB, and that bounds memory. Goals: "
                "1.3 times the tokens of the build before with 1 KB each, and 4.0 MB.")
