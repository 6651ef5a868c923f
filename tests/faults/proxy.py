"""A proxy that knows where one message of PostgreSQL's protocol ends and the next begins.

It counts the messages that clients send, over all connections, and lets a fault act before one of
them is handed on. The layout is that of the manual's chapter "Message Formats": a letter, then a
length of four bytes that counts itself; only the first message of a connection has no letter.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

CANCEL_REQUEST = 80877102
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
STARTUP = "startup"
NETWORK = (OSError, EOFError, asyncio.IncompleteReadError)


@dataclass(eq=False)
class Link:
    """One client's connection through the proxy."""

    proxy: Proxy
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    pid: int | None = None  # of the backend, once it said so
    deaf: bool = False  # the next answer ends the connection, and does not arrive

    def cut(self) -> None:
        """End both sides at once, without a word."""
        for writer in (self.client, self.server):
            writer.transport.abort()


# Acts before the message of that number is handed on; the letter is the message's.
Act = Callable[[Link, str], Awaitable[None]]


@dataclass
class Proxy:
    """Listens on a port of its own, and hands everything on to a server."""

    host: str
    port: int
    at: int | None = None  # the message that the fault waits for, from 1
    act: Act | None = None
    counted: int = 0
    counting: bool = False
    struck: str | None = None  # the letter of the message that was struck, once that happened
    acting: asyncio.Future[None] | None = None  # the fault, while it acts
    letters: Counter[str] = field(default_factory=Counter)
    links: set[Link] = field(default_factory=set)
    listening_on: int = 0

    def __post_init__(self) -> None:
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.listening_on = self._listener.sockets[0].getsockname()[1]

    async def settle(self) -> None:
        """Wait until a fault that acts has acted; what it raises is a fault of the harness."""
        if self.acting is not None:
            await self.acting

    async def close(self) -> None:
        """End every connection, and listen no more."""
        self._listener.close()
        self.flow()
        self.cut_all()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def url(self, dbname: str, user: str) -> str:
        """Return the address of a database by way of the proxy."""
        return f"postgresql://{user}@127.0.0.1:{self.listening_on}/{dbname}?sslmode=disable"

    def stall(self) -> None:
        """Take everything, and hand nothing on."""
        self._flowing.clear()

    def flow(self) -> None:
        """Hand on what was held, and all that follows."""
        self._flowing.set()

    def cut_all(self) -> None:
        """End every connection at once."""
        for link in list(self.links):
            link.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except NETWORK:
            pass
        except asyncio.CancelledError:
            pass  # the proxy closes; the streams' own callback would report it
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(self.host, self.port)
        link = Link(self, writer, to_server)
        self.links.add(link)
        pumps = [
            asyncio.create_task(self._from_client(link, reader)),
            asyncio.create_task(self._from_server(link, from_server)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            # what the server said before it went still has to arrive, and the other way round
            await asyncio.wait(pumps, timeout=0.05)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            for pump in pumps:
                if not pump.cancelled():
                    pump.exception()
            link.cut()
            self.links.discard(link)

    async def _from_client(self, link: Link, reader: asyncio.StreamReader) -> None:
        letter: str | None = None
        while True:
            if letter in {None, "cancel"}:
                letter, message = await self._read_first(reader)
            else:
                head = await reader.readexactly(5)
                letter = chr(head[0])
                message = head + await reader.readexactly(_length(head[1:]) - 4)
            await self._count(link, letter)
            await self._flowing.wait()
            if link.server.transport.is_closing():
                return
            link.server.write(message)
            await link.server.drain()

    async def _read_first(self, reader: asyncio.StreamReader) -> tuple[str, bytes]:
        size = await reader.readexactly(4)
        rest = await reader.readexactly(_length(size) - 4)
        code = struct.unpack("!i", rest[:4])[0]
        if code in {SSL_REQUEST, GSS_REQUEST}:
            raise ConnectionError("the proxy cannot read what is encrypted")
        return ("cancel" if code == CANCEL_REQUEST else STARTUP), size + rest

    async def _count(self, link: Link, letter: str) -> None:
        if not self.counting or letter == "cancel":
            return
        self.counted += 1
        self.letters[letter] += 1
        if self.counted == self.at and self.act is not None:
            # what the fault ends may be this very connection: it acts on its own
            self.acting = asyncio.ensure_future(self.act(link, letter))
            await asyncio.shield(self.acting)

    async def _from_server(self, link: Link, reader: asyncio.StreamReader) -> None:
        while link.pid is None:  # until the backend says which it is
            head = await reader.readexactly(5)
            body = await reader.readexactly(_length(head[1:]) - 4)
            if head[:1] == b"K":
                link.pid = struct.unpack("!i", body[:4])[0]
            await self._hand_back(link, head + body)
        while chunk := await reader.read(65536):
            await self._hand_back(link, chunk)

    async def _hand_back(self, link: Link, chunk: bytes) -> None:
        await self._flowing.wait()
        if link.deaf:
            link.cut()
        if link.client.transport.is_closing():
            raise ConnectionError("nobody hears it")
        link.client.write(chunk)
        with suppress(ConnectionError):
            await link.client.drain()


def _length(head: bytes) -> int:
    return int(struct.unpack("!i", head)[0])
