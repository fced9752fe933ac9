"""A program under measurement: its processor time, memory and wake-ups, from /proc."""

import os
import select
import signal
import subprocess
import threading
import time

# `collect` refuses a /dev/null that can be read too: that is what a closed output becomes.
NOWHERE = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def processor_time(pid):
    """Seconds that all threads of a process were on a processor."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def call(*words, **more):
    """What a command that must succeed writes; ends the bench with its messages if it does not."""
    done = subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL, text=True, errors="replace",
                          capture_output=True, **more)
    if done.returncode:
        raise SystemExit(f"bench: {words[0]} ended with {done.returncode}\n{last_lines(done.stderr)}")
    return done.stdout


def last_lines(text):
    return "\n".join(text.splitlines()[-20:])


class Process:
    """`messages` is a file for what it says on standard error. Without one that goes nowhere: to write
    it costs `send` one or two per cent of its processor time, so not where time counts."""

    def __init__(self, words, env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, messages=None):
        self.messages = messages
        errors = open(messages, "wb") if messages else NOWHERE
        self.started = time.monotonic()
        self.run = subprocess.Popen([str(word) for word in words], env=env, stdin=stdin, stdout=stdout,
                                    stderr=errors)
        if messages:
            errors.close()
        self.seen = 0
        self.lines = 0

    def check(self):
        """Ends the bench if this has ended."""
        code = self.run.poll()
        if code is not None:
            self.failed(f"ended with {code} while it was measured")

    def failed(self, how):
        said = (last_lines(self.messages.read_text(errors="replace")) if self.messages
                else "What it said was not kept, because that would be measured too.")
        raise SystemExit(f"bench: {' '.join(self.run.args[:2])} {how}\n{said}")

    def feed(self, data):
        """Writes to its standard input from beside, and leaves that open."""
        def write():
            try:
                self.run.stdin.write(data)
                self.run.stdin.flush()
            except (OSError, ValueError):
                pass  # It has ended, which `check` tells.
        threading.Thread(target=write, daemon=True).start()

    def status(self, name):
        self.check()
        with open(f"/proc/{self.run.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise KeyError(name)

    def peak(self):
        """The most memory it ever had resident, in bytes."""
        return self.status("VmHWM") * 1024

    def resident(self):
        """Now, in bytes; exact, where VmRSS may lag behind."""
        with open(f"/proc/{self.run.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))

    def cpu(self):
        """Seconds on a processor, of all threads."""
        return processor_time(self.run.pid)

    def wakes(self):
        return self.status("voluntary_ctxt_switches")

    def read(self, messages, timeout=600, also=None):
        """Reads standard output until so many messages were seen: their addresses are counted.
        `also` is called between reads."""
        output, deadline = self.run.stdout.fileno(), time.monotonic() + timeout
        while self.seen < messages:
            if not select.select([output], [], [], max(0, deadline - time.monotonic()))[0]:
                self.failed(f"wrote {self.seen} of {messages} messages")
            data = os.read(output, 1 << 18)
            if not data:
                self.failed(f"ended after {self.seen} messages")
            self.seen += data.count(b"@")
            self.lines += data.count(b"\n")
            if also:
                also()

    def has_more(self, seconds):
        """Whether it has written more, or does within this time."""
        return bool(select.select([self.run.stdout], [], [], seconds)[0])

    def stop(self):
        """Ends it, if it has not."""
        if self.run.poll() is None:
            self.run.send_signal(signal.SIGTERM)
            try:
                self.run.wait(15)
            except subprocess.TimeoutExpired:
                self.run.kill()
        self.run.wait()
        for pipe in (self.run.stdin, self.run.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:
                pass  # What was not read any more.
