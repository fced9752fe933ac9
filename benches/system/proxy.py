"""A line with a length: passes bytes on to another port of this machine, so many milliseconds later
in each direction.

    proxy.py PORT_FILE PORT MILLISECONDS
"""

import asyncio
import os
import pathlib
import sys


async def carry(reader, writer, delay):
    """What comes is written after `delay` seconds, in order and however much is on its way."""
    on_its_way = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def arrive():
        while True:
            at, data = await on_its_way.get()
            await asyncio.sleep(max(0, at - loop.time()))
            if not data:
                writer.close()
                return
            writer.write(data)

    arriving = asyncio.create_task(arrive())
    data = True
    while data:
        try:
            data = await reader.read(65536)
        except OSError:
            data = b""
        on_its_way.put_nowait((loop.time() + delay, data))
    await arriving


async def main(port_file, port, milliseconds):
    async def connected(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(port))
        delay = float(milliseconds) / 1000
        await asyncio.gather(carry(reader, far_writer, delay), carry(far_reader, writer, delay),
                             return_exceptions=True)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    done = pathlib.Path(port_file + ".new")
    done.write_text(str(server.sockets[0].getsockname()[1]))
    os.rename(done, port_file)
    await server.serve_forever()

asyncio.run(main(*sys.argv[1:]))
