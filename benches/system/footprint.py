"""What it takes: size, start, idle, memory."""

import datetime
import subprocess
import time

import plot
from figures import mega, median
from process import NOWHERE
from rates import builds, ours


def size(bench):
    which = {"now": "static program, every transport", "before": "the one before"}
    bench.table("Size", ["what", "bytes", "goal"], [
        [which[name], f"{program.stat().st_size:,}", "3,500,000" if name == "now" else ""]
        for name, (program, _) in builds(bench).items()])


def begin(bench):
    """From exec until it says that it is connected, and what an idle minute takes."""
    rows = []
    for name, (program, template) in builds(bench).items():
        rows += begun(bench, name, program, template)
    bench.table("Start and idle", ["who", "what", "measured", "goal"], rows,
                f"All of it is `collect`, started {bench.repeat * 4} times each way. When LISTEN was done is "
                "known from the server's log, to the millisecond.")


def begun(bench, name, program, template):
    database = bench.cluster.database(template)
    times = [start_once(bench, program, database) for _ in range(bench.repeat * 4)]
    bench.log_statements(database)
    heard = [listening_once(bench, program, database) for _ in range(bench.repeat * 4)]
    process = ours(bench, program, "collect", database, 50)
    connected = ("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
                 f"datname = '{database}' AND pid <> pg_backend_pid()")
    bench.wait("a listener", lambda: bench.cluster.sql(database, connected, output=True) != "0", 20, 0.1,
               process)
    time.sleep(2)
    seconds = 60 if bench.full else 20
    wakes, cpu, mark = process.wakes(), process.cpu(), bench.mark()
    time.sleep(seconds)
    wakes, cpu = process.wakes() - wakes, process.cpu() - cpu
    asked = sum("duration:" in line for line in bench.logged(mark))
    process.stop()
    bench.cluster.drop(database)
    return [[name, *row] for row in [
        ["exec to LISTEN: best", f"{min(heard):.0f} ms", ""],
        ["the same, median", f"{median(heard):.0f} ms", "20 ms"],
        ["exec to listening and drained: best", f"{min(times) * 1000:.1f} ms", ""],
        ["the same, median", f"{median(times) * 1000:.1f} ms", ""],
        [f"wake-ups a second, idle for {seconds} s", f"{wakes / seconds:.2f}", "2"],
        ["processor time, milliseconds a minute", f"{cpu / seconds * 60 * 1000:.2f}", "none visible"],
        ["statements in that time", asked, "0"]]]


def start_once(bench, program, database):
    env = bench.cluster.env(database, MAILROOM_LOG_FORMAT="json")
    process = bench.start(program, "collect", env=env, timed=False)
    bench.wait("the start", lambda: b'"connected"' in process.messages.read_bytes(), 20, 0.0002, process)
    taken = time.monotonic() - process.started
    process.stop()
    return taken


def listening_once(bench, program, database):
    """Milliseconds from exec until the server has done the LISTEN, by the time in its log. That is cut
    to whole ones: half a one more is right in the mean."""
    mark, begun = bench.mark(), time.time()
    process = ours(bench, program, "collect", database, 50)
    lines = []

    def done():
        lines[:] = [line for line in bench.logged(mark) if "statement: LISTEN" in line]
        return lines
    bench.wait("the LISTEN", done, 20, 0.005, process)
    process.stop()
    day, moment = lines[0].split()[:2]
    then = datetime.datetime.fromisoformat(f"{day} {moment}").replace(tzinfo=datetime.timezone.utc)
    return (then.timestamp() - begun) * 1000 + 0.5


def memory(bench):
    """The most each daemon ever has resident, and whether that grows."""
    count, requests = (1_000_000, 10_000) if bench.full else (100_000, 2_000)
    runs = {"collect": (f"collect, {count:,} messages", "2.5 MB", draining(bench, count)),
            "send": (f"send, {requests:,} HTTPS requests", "3.5 MB", sending(bench, "send", requests)),
            "run": (f"run, {requests:,} HTTPS requests", "4.0 MB", sending(bench, "run", requests))}
    rows, curves = [], {}
    for name, (what, goal, (peak, samples)) in runs.items():
        total = samples[-1][0]
        curves[name] = thin([(100 * done / total, size / 1e6) for done, size in samples])
        # The kernel's own record may lag a little behind.
        peak = max(peak, *(size for _, size in samples))
        second = [size for share, size in curves[name] if 10 <= share < 20]
        last = [size for share, size in curves[name] if share >= 90]
        # A run that is over at once was not looked at in each tenth.
        rows.append([what, mega(peak), goal, f"{max(second):.2f}" if second else "", f"{max(last):.2f}"])
    bench.table("Memory", ["what", "peak", "goal", "second tenth, MB", "last tenth, MB"], rows,
                "Peak is VmHWM, or what was seen if that was more: everything resident, with the "
                "pages of the program itself.")
    told = "; ".join(f"{row[0]}: {row[1]} at most, {row[4]} MB at the end" for row in rows)
    bench.draw("memory", f"Resident memory by share of the messages done. {told}", lambda dark: plot.lines(
        "Resident memory", "% of the messages done", "MB", curves, dark))


def thin(points, most=300):
    """Few enough to draw, the first and the last among them."""
    step = max(1, len(points) // most)
    return points[:-1:step] + points[-1:]


def draining(bench, count):
    database = bench.cluster.database()
    bench.cluster.fill(database, count)
    process, samples = bench.ours("collect", database), []

    def sample():
        if not samples or process.seen - samples[-1][0] >= count // 500:
            samples.append((process.seen, process.resident()))
    process.read(count, timeout=3600, also=sample)
    samples.append((process.seen, process.resident()))
    peak = process.peak()
    process.stop()
    bench.cluster.drop(database)
    return peak, samples


def sending(bench, command, requests):
    """Batches of 10 over HTTPS with the certificate checked, a request each."""
    address, endpoint, accepted = bench.endpoint(True)
    more = {"AWS_CA_BUNDLE": bench.authority, "AWS_ENDPOINT_URL": address, "MAILROOM_BATCH_LIMIT": 10,
            "MAILROOM_SEND_RATE": 1000000, "MAILROOM_SES_OUTPUT_PATH": bench.cluster.dir / "out"}
    lines, messages = bench.batches(requests, 10)
    database = bench.cluster.database()
    if command == "send":
        process = bench.start(bench.program, "send", stdin=subprocess.PIPE, stdout=NOWHERE,
                              env=bench.cluster.env(database, **more), timed=False)
        process.feed(lines)
    else:
        bench.cluster.fill(database, messages)
        process = bench.start(bench.program, "run", stdout=NOWHERE,
                              env=bench.cluster.env(database, **more), timed=False)
    samples = []

    def reached():
        samples.append((accepted(), process.resident()))
        return samples[-1][0] >= messages
    bench.wait("the mails", reached, 3600, 0.01, process, endpoint)
    peak = process.peak()
    process.stop()
    endpoint.stop()
    bench.cluster.drop(database)
    return peak, samples
