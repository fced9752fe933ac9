"""A way to a server's Unix socket that takes time, as the way to another machine does.

    far.py SOCKET PORT_FILE MILLISECONDS (there and back)
"""

import os
import queue
import socket
import sys
import threading
import time


def carry(source, sink, delay):
    """What comes from one side reaches the other so many seconds later."""
    waiting = queue.SimpleQueue()

    def deliver():
        while True:
            due, data = waiting.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if not data:
                    return sink.shutdown(socket.SHUT_WR)
                sink.sendall(data)
            except OSError:
                return None
    threading.Thread(target=deliver, daemon=True).start()
    data = b"-"
    while data:
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        waiting.put((time.monotonic() + delay, data))


def main(path, port_file, milliseconds):
    listener = socket.create_server(("127.0.0.1", 0))
    with open(port_file + ".new", "w") as file:
        file.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    while True:
        near, _ = listener.accept()
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=carry, args=(*pair, float(milliseconds) / 2000), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
