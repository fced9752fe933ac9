"""What is resident by what it is asked to do, and of which crate the resident code is."""

import re
import struct
import subprocess

from cluster import ROOT
from figures import mega
from process import NOWHERE, call

PAGE = 4096
MAILS, LIMIT = 2_000, 10
# What is smaller everywhere is added up.
LEAST = 20 * 1024
STANDARD = {"core", "alloc", "std", "compiler_builtins", "hashbrown", "panic_abort", "unwind"}


class Work:
    """A command, and how it is brought to do all that it does."""

    def __init__(self, name, command, tls=False, transport="ses"):
        self.name, self.command, self.tls, self.transport = name, command, tls, transport

    def settings(self, bench, address):
        if self.transport == "smtp":
            end = f"?ca={bench.authority}" if self.tls else "?tls=none"
            return {"MAILROOM_SMTP_URL": address + end, "MAILROOM_TEMPLATE_DIR": ROOT / "templates"}
        more = {"AWS_CA_BUNDLE": bench.authority} if self.tls else {}
        if self.transport == "postmark":
            return {"MAILROOM_POSTMARK_URL": address, "MAILROOM_POSTMARK_TOKEN": "bench", **more}
        return {"AWS_ENDPOINT_URL": address, **more}

    def done(self, bench, program):
        """The process, its work done."""
        database = bench.cluster.database()
        if self.command != "send":
            bench.cluster.fill(database, MAILS)
        if self.command == "collect":
            process = bench.start(program, "collect", env=bench.cluster.env(
                database, MAILROOM_BATCH_LIMIT=LIMIT), timed=False)
            process.read(MAILS)
            return process
        speaks = "smtp" if self.transport == "smtp" else "http"
        address, endpoint, accepted = bench.endpoint(self.tls, speaks)
        env = bench.cluster.env(database, MAILROOM_BATCH_LIMIT=LIMIT, MAILROOM_SEND_RATE=1000000,
                                MAILROOM_TRANSPORT=self.transport,
                                MAILROOM_SES_OUTPUT_PATH=bench.cluster.dir / "out",
                                **self.settings(bench, address))
        process = bench.start(program, self.command, stdin=subprocess.PIPE, stdout=NOWHERE, env=env,
                              timed=False)
        if self.command == "send":
            process.feed(bench.batches(MAILS // LIMIT, LIMIT)[0])
        bench.wait("the mails", lambda: accepted() >= MAILS, 120, 0.01, process, endpoint)
        return process


WORKS = [
    Work("collect", "collect"),
    Work("send, SES over HTTP", "send"),
    Work("send, SES over HTTPS", "send", True),
    Work("send, Postmark over HTTPS", "send", True, "postmark"),
    Work("send, SMTP", "send", False, "smtp"),
    Work("send, SMTP over TLS", "send", True, "smtp"),
    Work("run, SES over HTTPS", "run", True),
    Work("run, SMTP over TLS", "run", True, "smtp"),
]
BY_CRATE = ["collect", "send, SES over HTTPS", "send, SMTP over TLS"]


def resident(bench):
    rows = []
    for work in WORKS:
        process = work.done(bench, bench.program)
        file, allocated = process.status("RssFile") * 1024, process.status("RssAnon") * 1024
        rows.append([work.name, mega(process.peak()), mega(file), mega(allocated)])
        process.stop()
    bench.table("Resident by what it does", ["what", "peak", "program and constants", "allocated and written"],
                rows, f"After {MAILS:,} mails in batches of {LIMIT}. The program was read from disk, as after a "
                "start of the machine.")
    if bench.symbols:
        by_crate(bench)


def by_crate(bench):
    symbols = named(bench.symbols)
    total, found = {}, {}
    for _, size, crate in symbols:
        total[crate] = total.get(crate, 0) + size
    for work in WORKS:
        if work.name in BY_CRATE:
            process = work.done(bench, bench.stripped)
            found[work.name] = attributed(symbols, pages(process.run.pid, bench.stripped))
            process.stop()
    crates = sorted(set().union(total, *found.values()) - {""}, key=lambda crate: -sum(
        each.get(crate, 0) for each in found.values()))
    small = [crate for crate in crates if all(each.get(crate, 0) < LEAST for each in found.values())]

    def row(name, members):
        return [name, f"{sum(total.get(each, 0) for each in members):,}"] + [
            f"{round(sum(each.get(crate, 0) for crate in members)):,}" for each in found.values()]
    rows = [row(crate, [crate]) for crate in crates if crate not in small]
    rows.append(row("all other crates", small))
    rows.append(row("constants without a name", [""]))
    rows[-1][1] = ""
    rows.append(row("together", crates + [""]))
    rows[-1][1] = ""
    bench.table("Resident bytes of the program by crate", ["crate", "in the program"] + list(found), rows,
                "Pages of the program that are resident after the same work, each divided among what "
                "lies in it. The kernel maps 64 KiB around what is used, so code that is never run "
                "counts where it lies beside code that is. A generic function counts for the first "
                "crate that its name tells of, other than the standard library. Constants without a "
                "name are texts and tables: statements, help, migrations, authorities.")


def crate_of(name):
    """The crate that a symbol's name tells of."""
    for word in re.findall(r"(?<![\w:])([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::", name):
        if word not in STANDARD:
            return word
    if "::" in name:
        return "standard library"
    if re.search(r"ring_core|nistz256|x25519|_p256|p384|aes_|gcm|chacha|sha(256|512)_block", name):
        return "ring"
    if name.startswith("OUTLINED_FUNCTION"):
        return "sequences that several share"
    return "C library"


def named(program):
    """Address, size and crate of every symbol of a program that was not stripped."""
    out = call("nm", "-C", "-S", "--defined-only", program)
    found = {}
    for address, size, name in re.findall(r"(?m)^([0-9a-f]+) ([0-9a-f]+) \w (.*)$", out):
        if int(size, 16):
            found[int(address, 16)] = (int(size, 16), crate_of(name))
    if not found:
        raise SystemExit(f"bench: {program} has no symbols")
    return [(address, size, crate) for address, (size, crate) in sorted(found.items())]


def pages(pid, program):
    """Addresses of the resident pages that a process has of its program.
    <https://www.kernel.org/doc/html/latest/admin-guide/mm/pagemap.html>"""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for line in maps:
            if not line.rstrip().endswith(str(program)):
                continue
            first, end = (int(each, 16) for each in line.split()[0].split("-"))
            pagemap.seek(first // PAGE * 8)
            entries = struct.unpack(f"={(end - first) // PAGE}Q", pagemap.read((end - first) // PAGE * 8))
            found += [first + i * PAGE for i, entry in enumerate(entries) if entry >> 63]
    return found


def attributed(symbols, resident_pages):
    """Bytes of resident pages by crate; under "" what no symbol covers."""
    out, at = {"": 0}, 0
    for page in sorted(resident_pages):
        while at < len(symbols) and symbols[at][0] + symbols[at][1] <= page:
            at += 1
        covered, i = page, at
        while i < len(symbols) and symbols[i][0] < page + PAGE:
            address, size, crate = symbols[i]
            begin, end = max(covered, address), min(page + PAGE, address + size)
            if end > begin:
                out[""] += begin - covered
                out[crate] = out.get(crate, 0) + end - begin
                covered = end
            i += 1
        out[""] += page + PAGE - covered
    return out
