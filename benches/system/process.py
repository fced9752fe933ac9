"""A program under measurement: its processor time, memory and wake-ups, from /proc."""

import os
import select
import signal
import subprocess
import time


class Process:
    def __init__(self, words, env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        self.started = time.monotonic()
        self.run = subprocess.Popen([str(word) for word in words], env=env, stdin=stdin, stdout=stdout,
                                    stderr=subprocess.DEVNULL)
        self.seen = 0
        self.lines = 0

    def status(self, name):
        with open(f"/proc/{self.run.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise KeyError(name)

    def peak(self):
        """The most memory it ever had resident, in bytes."""
        return self.status("VmHWM") * 1024

    def resident(self):
        return self.status("VmRSS") * 1024

    def cpu(self):
        """Seconds on a processor, of all threads."""
        total = 0
        for task in os.listdir(f"/proc/{self.run.pid}/task"):
            with open(f"/proc/{self.run.pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def wakes(self):
        return self.status("voluntary_ctxt_switches")

    def read(self, messages, timeout=600, also=None):
        """Reads standard output until so many messages were seen: their addresses are counted.
        `also` is called between reads."""
        output, deadline = self.run.stdout.fileno(), time.monotonic() + timeout
        while self.seen < messages:
            if not select.select([output], [], [], max(0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"bench: {self.run.args[0]} wrote {self.seen} of {messages} messages")
            data = os.read(output, 1 << 18)
            if not data:
                raise SystemExit(f"bench: {self.run.args[0]} ended after {self.seen} messages")
            self.seen += data.count(b"@")
            self.lines += data.count(b"\n")
            if also:
                also()

    def stop(self):
        if self.run.poll() is None:
            self.run.send_signal(signal.SIGTERM)
            try:
                self.run.wait(15)
            except subprocess.TimeoutExpired:
                self.run.kill()
        self.run.wait()
        if self.run.stdout:
            self.run.stdout.close()
