"""A unix-socket proxy before PostgreSQL that cuts connections at the one moment that matters: around COMMIT.

It speaks just enough of the protocol (version 3, message flow of the documentation's chapter 54) to see a COMMIT go
by: psycopg sends it as a simple `Query`, or through the extended protocol as `Parse`.
"""

import asyncio
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


class CuttingProxy:
    """Stands between a client and the server.

    Attributes:
        cut_before: how many COMMITs yet to come are dropped on their way to the server, with their connection.
        cut_after: how many are let through, and their answer swallowed, with their connection.
        is_closed: whether new connections are turned away, as by a server that is not there.
        commits: how many COMMITs went by or were dropped.
    """

    def __init__(self, target):
        self.target = target
        self.cut_before = 0
        self.cut_after = 0
        self.is_closed = False
        self.commits = 0
        self.is_done = asyncio.Event()
        self._open = set()

    async def serve(self, reader, writer):
        if self.is_closed:
            writer.close()
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self.target)
        link = _Link(self, reader, writer, server_reader, server_writer)
        self._open.add(link)
        try:
            await link.run()
        finally:
            self._open.discard(link)

    def cut_all(self):
        """Cuts every connection now and lets no new one in, until `is_closed` is unset."""
        self.is_closed = True
        for link in list(self._open):
            link.cut()


class _Link:
    """One client's connection and its other half."""

    def __init__(self, proxy, *streams):
        self.proxy = proxy
        self.client_reader, self.client_writer, self.server_reader, self.server_writer = streams
        self.swallows = False

    async def run(self):
        both = [asyncio.create_task(self._from_client()), asyncio.create_task(self._from_server())]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        self.cut()
        await asyncio.gather(*both, return_exceptions=True)

    def cut(self):
        for writer in (self.client_writer, self.server_writer):
            if writer.transport is not None:
                writer.transport.abort()

    async def _from_client(self):
        # The first message has no type byte.
        header = await self.client_reader.readexactly(4)
        body = await self.client_reader.readexactly(struct.unpack("!I", header)[0] - 4)
        self.server_writer.write(header + body)
        while True:
            head = await self.client_reader.readexactly(5)
            body = await self.client_reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            if head[:1] in {b"Q", b"P"} and b"COMMIT\x00" in body.upper():
                self.proxy.commits += 1
                if self.proxy.cut_before:
                    self.proxy.cut_before -= 1
                    self.proxy.is_done.set()
                    return
                if self.proxy.cut_after:
                    self.proxy.cut_after -= 1
                    self.swallows = True
            self.server_writer.write(head + body)
            await self.server_writer.drain()

    async def _from_server(self):
        while data := await self.server_reader.read(65536):
            if self.swallows:
                # The server has answered, so it has committed; nobody will hear of it.
                assert b"COMMIT" in data
                self.proxy.is_done.set()
                return
            self.client_writer.write(data)
            await self.client_writer.drain()


@asynccontextmanager
async def cutting_proxy(url, folder: Path):
    """A proxy before the server of a libpq URL, and the URL that leads through it."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    target = Path(query["host"][0]) / f".s.PGSQL.{query['port'][0]}"
    proxy = CuttingProxy(str(target))
    server = await asyncio.start_unix_server(proxy.serve, str(folder / target.name))
    try:
        yield (
            proxy,
            parts._replace(query=f"host={quote(str(folder), safe='')}&port={query['port'][0]}").geturl(),
        )
    finally:
        server.close()
        proxy.cut_all()
