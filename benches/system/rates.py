"""How fast: draining, several processes, delivering, latency; beside the peer where it is there."""

import json
import os
import random
import subprocess
import time

import plot
from figures import mega, percentile
from process import NOWHERE, processor_time


def ours(bench, program, command, database, limit, **more):
    env = bench.cluster.env(database, MAILROOM_BATCH_LIMIT=limit, **more)
    return bench.start(program, command, env=env)


def builds(bench):
    """The programs that can be compared, each with the template of its schema."""
    found = {"before": (bench.before, "before_template")} if bench.before else {}
    return {**found, "now": (bench.program, "ours_template")}


def collectors(bench):
    """By name: how each is started on a database, and the template of that."""
    def start(program):
        return lambda database, limit: ours(bench, program, "collect", database, limit)
    found = {"mailroom collect" if name == "now" else f"collect, {name}": (start(program), template)
             for name, (program, template) in builds(bench).items()}
    return {**found, **({"peer's collector": (bench.collector, "peer_template")} if bench.peer else {})}


def drain_once(bench, start, template, count, limit):
    database = bench.cluster.database(template)
    bench.cluster.fill(database, count)
    process = start(database, limit)
    process.read(count)
    seconds = time.monotonic() - process.started
    cpu, peak = process.cpu(), process.peak()
    if template == "ours_template":
        all_settled(bench, database, count, process)
    exactly("messages read", process.seen, count)
    if process.has_more(0.1):
        raise SystemExit(f"bench: {process.run.args[0]} wrote more than {count:,} messages")
    process.stop()
    bench.cluster.drop(database)
    return seconds, cpu, peak


def drain(bench):
    """Both collectors and pgbench, by turns."""
    count, best = 20000, {}
    for _ in range(bench.repeat):
        for limit in (50, 1000):
            # Ours are measured with one limit.
            who = {name: one for name, one in collectors(bench).items() if limit == 50 or "peer" in name}
            runs = {name: drain_once(bench, start, template, count, limit)
                    for name, (start, template) in who.items()}
            for name, script in (("pgbench, the same statement", bench.cluster.statements(limit)),
                                 ("pgbench, two bare updates", bench.cluster.bare(limit))):
                database = bench.cluster.database()
                bench.cluster.fill(database, count)
                seconds = bench.cluster.pgbench(database, script, count // limit)
                bench.cluster.drop(database)
                runs[name] = (seconds, None, None)
            for name, run in runs.items():
                if (name, limit) not in best or run[0] < best[name, limit][0]:
                    best[name, limit] = run
    peer = best.get(("peer's collector", 50))
    rows = [[name, limit, f"{count / seconds:,.0f}", f"{peer[0] / seconds:.1f}" if peer else "",
             f"{cpu / count * 1e6:.1f}" if cpu else "", mega(peak) if peak else ""]
            for (name, limit), (seconds, cpu, peak) in sorted(best.items(), key=lambda each: each[0])]
    ours, plain = best["mailroom collect", 50][0], best["pgbench, the same statement", 50][0]
    bench.table(f"Draining {count:,} messages (best of {bench.repeat})",
                ["who", "limit", "messages/s", "times the peer", "CPU a message, µs", "memory"], rows,
                f"mailroom reaches {plain / ours:.0%} of what pgbench gets from PostgreSQL with the "
                "same statement for 50 on one connection. Goals: 20 times the peer and 70% of pgbench "
                "with 50, and no more CPU a message than the peer. CPU and memory are those of the best "
                "run.")


def scale(bench):
    """Several collectors on one queue, and who keeps the processors busy."""
    count, rows, points = 60000 if bench.full else 30000, [], []
    for processes in (1, 2, 4):
        best = min(scale_once(bench, processes, count) for _ in range(bench.repeat))
        seconds, database, own = best
        points.append((processes, count / seconds))
        rows.append([processes, f"{count / seconds:,.0f}", f"{points[-1][1] / points[0][1]:.2f}",
                     f"{database / seconds:.2f}", f"{own / seconds:.2f}"])
    bench.table(f"Processes on one queue, {count:,} messages, limit 50 (best of {bench.repeat})",
                ["processes", "messages/s", "times one", "processors that PostgreSQL uses",
                 "processors that they use"], rows,
                f"On {os.cpu_count()} processors, which PostgreSQL and the processes share.")
    told = ", ".join(f"{rate:,.0f} with {n}" for n, rate in points)
    bench.draw("processes", f"Messages a second by processes on one queue: {told}", lambda dark: plot.lines(
        "Draining one queue", "processes", "messages a second", {"collect": points}, dark,
        marks=[n for n, _ in points]))


def scale_once(bench, processes, count):
    """Seconds until all is settled; seconds of processor of PostgreSQL and of the programs."""
    database = bench.cluster.database()
    bench.cluster.fill(database, count)
    # Each settlement adds to a few rows: asking those takes no longer at the end than at the start.
    session = bench.cluster.session(database)
    settled = "SELECT coalesce(sum(sent), 0) FROM tallies"
    begun = time.monotonic()
    running = [bench.start(bench.program, "collect", stdout=NOWHERE,
                           env=bench.cluster.env(database, MAILROOM_BATCH_LIMIT=50))
               for _ in range(processes)]
    bench.wait("the drain", lambda: int(session.ask(settled)) >= count, 600, 0.01, *running)
    seconds = time.monotonic() - begun
    own = sum(process.cpu() for process in running)
    backends = json.loads(session.ask(
        "SELECT coalesce(json_agg(pid), '[]') FROM pg_stat_activity WHERE datname = "
        "current_database() AND pid <> pg_backend_pid()"))
    served = sum(map(time_of_backend, backends))
    for process in running:
        process.stop()
    session.close()
    bench.cluster.drop(database)
    return seconds, served, own


def time_of_backend(pid):
    """Nothing, if it has ended since it was asked for."""
    try:
        return processor_time(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def deliver(bench):
    """`run` and `send` against a provider with no latency, and the peer's sender, by turns."""
    count = 40000 if bench.full else 20000
    lines, messages = bench.batches(10000 if bench.full else 2000, 10)

    def run(tls, program, template):
        return 50, count, lambda: run_once(bench, program, template, tls, count)

    def send(tls, *words):
        return 10, messages, lambda: send_once(bench, tls, words, lines, messages)
    who = {}
    for tls, how in ((False, "http"), (True, "https")):
        for name, (program, template) in builds(bench).items():
            which = "" if name == "now" else f", {name}"
            who[f"run, {how}{which}"] = run(tls, program, template)
            who[f"send, {how}{which}"] = send(tls, program, "send")
    if bench.peer:
        who["peer's sender, http"] = send(False, bench.peer_sender)
    runs = {name: [] for name in who}
    for _ in range(bench.repeat):
        for name, (_, _, once) in who.items():
            runs[name].append(once())
    rows = [delivered(name, limit, total, runs[name]) for name, (limit, total, _) in who.items()]
    bench.table(f"Delivering to a provider with no latency ({bench.repeat} turns)",
                ["who", "limit", "messages/s", "CPU a message, µs", "memory", "threads"], rows,
                f"run: {count:,} messages. send: {messages:,} messages, a request for each batch of 10. "
                "All have a turn before any has its next; the rate is the best of the turns, CPU the least, "
                "memory the most. MAILROOM_SEND_RATE is raised so far that it limits nothing; by default "
                "it is 50 messages/s. HTTPS is with the certificate checked. The provider is a Python "
                "program on the same machine, so the rates say what is reached, not what could be. Goals: "
                "10,000 messages/s for `run`, half the CPU a message of the peer's sender for `send`.")


def delivered(name, limit, messages, runs):
    seconds, cpu, peak, threads = zip(*runs)
    return [name, limit, f"{messages / min(seconds):,.0f}", f"{min(cpu) / messages * 1e6:.1f}",
            mega(max(peak)), max(threads)]


def run_once(bench, program, template, tls, count):
    address, endpoint, accepted = bench.endpoint(tls)
    database = bench.cluster.database(template)
    bench.cluster.fill(database, count)
    more = {"AWS_CA_BUNDLE": bench.authority} if tls else {}
    process = bench.start(program, "run", stdout=NOWHERE, env=bench.cluster.env(
        database, MAILROOM_BATCH_LIMIT=50, MAILROOM_SEND_RATE=1000000, AWS_ENDPOINT_URL=address,
        MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out", **more))
    bench.wait("the mails", lambda: accepted() >= count, 600, 0.005, process, endpoint)
    run = measured(process)
    all_settled(bench, database, count, process)
    process.stop()
    exactly("mails at the provider", accepted(), count)
    endpoint.stop()
    bench.cluster.drop(database)
    return run


def send_once(bench, tls, words, lines, messages):
    address, endpoint, accepted = bench.endpoint(tls)
    env = bench.cluster.env("postgres", AWS_ENDPOINT_URL=address, MAILROOM_SEND_RATE=1000000,
                            MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out")
    if tls:
        env["AWS_CA_BUNDLE"] = str(bench.authority)
    process = bench.start(*words, stdin=subprocess.PIPE, stdout=NOWHERE, env=env)
    process.feed(lines)
    bench.wait("the mails", lambda: accepted() >= messages, 600, 0.005, process, endpoint)
    run = measured(process)
    process.stop()
    exactly("mails at the provider", accepted(), messages)
    endpoint.stop()
    return run


def all_settled(bench, database, count, process):
    """Waits until all deliveries are sent by what the database says."""
    sent = "SELECT count(*) FROM deliveries WHERE state = 'sent'"
    bench.wait("the last settlement", lambda: int(bench.cluster.sql(
        database, sent, output=True)) >= count, 60, 0.05, process)


def exactly(what, found, wanted):
    """Ends the bench if something was lost or came twice."""
    if found != wanted:
        raise SystemExit(f"bench: {found:,} {what}, not {wanted:,}")


def measured(process):
    return (time.monotonic() - process.started, process.cpu(), process.peak(), process.status("Threads"))


def latency(bench):
    """From the commit of an insert until its line can be read, by turns."""
    rows, rounds, turns = [], 10, 100 if bench.full else 50
    for limit in (1, 50):
        for when, pause in (("at once", None), ("after a rest", (0.02, 0.06))):
            listeners = [Listener(bench, name, template, start, limit)
                         for name, (start, template) in collectors(bench).items()]
            # Neither says on its output that it listens.
            time.sleep(1)
            for _ in range(rounds):
                for listener in listeners:
                    for _ in range(turns):
                        listener.turn(pause)
            for listener in listeners:
                times = listener.times()
                rows.append([listener.name, limit, when] + [
                    f"{percentile(times, share) * 1000:.2f}" for share in (0.5, 0.99)])
                listener.close()
    bench.table("Latency: insert committed to line read", ["who", "limit", "the next", "p50, ms", "p99, ms"],
                rows, f"Of {rounds * turns} batches, {turns} of one program and then of the other. Each mail is "
                "a transaction of its own, and the time is that from the last one of a batch. It comes at "
                "once after the line or the mail before it, or after a rest of 20 to 60 ms. Goal: half the "
                "peer's.")


class Listener:
    """A collector that is sent one batch after the other."""

    def __init__(self, bench, name, template, start, limit):
        self.bench, self.name, self.limit, self.read = bench, name, limit, []
        self.database = bench.cluster.database(template)
        self.process = start(self.database, limit)
        self.session = bench.cluster.session(self.database)

    def turn(self, pause):
        first = self.process.seen
        names = [f"l{first + i}" for i in range(self.limit)]
        # One transaction each: the peer counts notifications.
        for name in names[:-1]:
            self.insert(name)
        if pause:
            time.sleep(random.uniform(*pause))
        last = self.insert(names[-1])
        self.process.read(first + self.limit, timeout=30)
        self.read.append((last, time.time()))

    def insert(self, name):
        return self.session.ask("INSERT INTO accounts (email, login) VALUES "
                                f"('{name}@example.com', '{name}') RETURNING xmin")

    def times(self):
        """Seconds of each batch, from the moment that the server wrote down for its commit."""
        return [read - float(self.session.ask(
            f"SELECT extract(epoch FROM pg_xact_commit_timestamp('{last}'))")) for last, read in self.read]

    def close(self):
        self.session.close()
        self.process.stop()
        self.bench.cluster.drop(self.database)
