"""A server of aiosmtpd on a port of this machine; each mail becomes a file in mail/new."""

import asyncio
import itertools
import os
import sys

from aiosmtpd.smtp import SMTP

NUMBERS = itertools.count()
REFUSED = {"gone@example.com": "550 5.1.1 no such user", "later@example.com": "450 4.2.0 not now"}


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in REFUSED:
            return REFUSED[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = str(next(NUMBERS))
        with open(f"mail/tmp/{name}", "wb") as file:
            file.write(f"Delivered-To: {','.join(envelope.rcpt_tos)}\r\n".encode() + envelope.content)
        os.rename(f"mail/tmp/{name}", f"mail/new/{name}")
        return "250 taken"


async def main():
    keep = Keep()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(keep, enable_SMTPUTF8=True), "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


asyncio.run(main())
