"""A provider that accepts everything, at once or after WAIT milliseconds. With `http` it speaks SES v2
(SendBulkEmail), Postmark, and what the peer's sender speaks, SES v1 (SendBulkTemplatedEmail); with
`smtp` it is a mail server, with `smtp-plain` one without PIPELINING. Not a fake of their failures: tests/support has that.

    endpoint.py http|smtp|smtp-plain PORT_FILE COUNT_FILE [CERTIFICATE KEY]
"""

import os
import pathlib
import re
import socket
import ssl
import sys
import threading
import time

WAIT = float(os.environ.get("WAIT", 0)) / 1000
SEEN = open(os.environ["SEEN"], "w") if "SEEN" in os.environ else None


def answer(head, body):
    if body.startswith(b"Action="):
        count = body.count(b".Destination.ToAddresses.member.1=")
        member = "<member><Status>Success</Status><MessageId>0102018f-0001</MessageId></member>"
        text = ('<SendBulkTemplatedEmailResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/">'
                f"<SendBulkTemplatedEmailResult><Status>{member * count}</Status>"
                "</SendBulkTemplatedEmailResult><ResponseMetadata><RequestId>1</RequestId>"
                "</ResponseMetadata></SendBulkTemplatedEmailResponse>")
        return count, "text/xml", text.encode()
    if head.startswith(b"POST /email/batchWithTemplates "):
        count = body.count(b'"TemplateAlias"')
        entry = b'{"ErrorCode":0,"Message":"OK","MessageID":"b7bc2f4a-e38e-4336-af7d-e6c392c2f817"}'
        return count, "application/json", b"[" + b",".join([entry] * count) + b"]"
    if head.startswith(b"GET "):
        text = (b'{"SendQuota":{"Max24HourSend":-1,"MaxSendRate":1000000,"SentLast24Hours":0},'
                b'"ProductionAccessEnabled":true,"SendingEnabled":true}')
        return 0, "application/json", text
    count = body.count(b'"ReplacementEmailContent"')
    entry = b'{"Status":"SUCCESS","MessageId":"0102018f0000abcd-00000000-0000"}'
    return count, "application/json", b'{"BulkEmailEntryResults":[' + b",".join([entry] * count) + b"]}"


class Endpoint:
    def __init__(self, count_file):
        self.count_file, self.accepted, self.lock = count_file, 0, threading.Lock()

    def count(self, more):
        with self.lock:
            self.accepted += more
            self.count_file.seek(0)
            self.count_file.write(f"{self.accepted}\n")
            self.count_file.flush()

    def serve(self, connection):
        waiting = b""
        with connection:
            while True:
                while b"\r\n\r\n" not in waiting:
                    more = connection.recv(65536)
                    if not more:
                        return
                    waiting += more
                head, waiting = waiting.split(b"\r\n\r\n", 1)
                lower = head.lower()
                length = 0
                if b"content-length:" in lower:
                    length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
                if b"expect: 100-continue" in lower:
                    connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                while len(waiting) < length:
                    waiting += connection.recv(65536)
                body, waiting = waiting[:length], waiting[length:]
                if SEEN:
                    now = time.time()
                    SEEN.writelines(f"{now} {name}\n" for name in
                                    re.findall(r'"(r\d+)@example\.com"', body.decode()))
                    SEEN.flush()
                count, kind, text = answer(head, body)
                if count:
                    time.sleep(WAIT)
                connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
                                   f"Content-Length: {len(text)}\r\n\r\n".encode() + text)
                if count:
                    self.count(count)

    def serve_mail(self, connection, groups=True):
        """RFC 5321, as far as one who is never refused goes."""
        with connection, connection.makefile("rwb") as stream:
            def say(text):
                stream.write(text + b"\r\n")
                stream.flush()
            say(b"220 localhost")
            for line in stream:
                word = line[:4].upper().strip()
                if word == b"DATA":
                    say(b"354 go on")
                    while stream.readline() not in (b".\r\n", b""):
                        pass
                    self.count(1)
                if word == b"EHLO" and groups:
                    stream.write(b"250-localhost\r\n250-PIPELINING\r\n")
                say(b"221 bye" if word == b"QUIT" else b"250 ok")


def main(speaks, port_file, count_file, *certificate):
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    endpoint = Endpoint(open(count_file, "w"))
    serve = {"smtp": endpoint.serve_mail, "http": endpoint.serve,
             "smtp-plain": lambda connection: endpoint.serve_mail(connection, False)}[speaks]
    done = pathlib.Path(port_file + ".new")
    done.write_text(str(listener.getsockname()[1]))
    os.rename(done, port_file)

    def take(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            serve(connection)
        except OSError:
            pass  # The client has gone.

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=take, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
