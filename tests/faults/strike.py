"""The faults: each acts before one message is handed on, and says when it has struck."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg

from tests.clusters import Server
from tests.faults.proxy import Link, Proxy

STALL = 3.0


@dataclass
class Scene:
    """What a fault can reach: the network, the server, and the process that runs the operation."""

    server: Server
    proxy: Proxy
    dbname: str
    task: asyncio.Future[object] | None = None
    process: Process | None = None
    later: list[asyncio.Task[None]] = field(default_factory=list)
    # what another worker would do while the network is away
    meanwhile: Callable[[], Awaitable[None]] | None = None


async def cut(scene: Scene, link: Link, letter: str) -> None:
    """The connection ends; the message never arrives."""
    link.cut()


async def lose_answer(scene: Scene, link: Link, letter: str) -> None:
    """The message arrives, the answer does not: the sender cannot know what became of it."""
    link.deaf = True


async def cut_network(scene: Scene, link: Link, letter: str) -> None:
    """Every connection ends at once."""
    scene.proxy.cut_all()


async def kill_backend(scene: Scene, link: Link, letter: str) -> None:
    """Somebody ends the backend that the message is for."""
    if link.pid is None:  # it has none yet: the connection is being made
        link.cut()
        return
    admin = await asyncpg.connect(scene.server.url("postgres"))
    try:
        # waits for its end, so that the message surely finds it gone
        assert await admin.fetchval("SELECT pg_terminate_backend($1, 5000)", link.pid)
    finally:
        await admin.close()


async def crash_server(scene: Scene, link: Link, letter: str) -> None:
    """The server stops without warning, and is started again."""

    def crash() -> None:
        scene.server.stop("immediate")
        scene.server.start()

    await asyncio.to_thread(crash)


async def stall(scene: Scene, link: Link, letter: str) -> None:
    """Nothing arrives for longer than a lease lasts; then all that was held arrives after all."""
    scene.proxy.stall()

    async def heal() -> None:
        await asyncio.sleep(STALL - 0.3)
        if scene.meanwhile is not None:
            await scene.meanwhile()
        await asyncio.sleep(0.3)
        scene.proxy.flow()

    scene.later.append(asyncio.create_task(heal()))


async def cancel(scene: Scene, link: Link, letter: str) -> None:
    """The client of the operation goes away: Ctrl-C, or a request that is given up."""
    assert scene.task is not None
    scene.task.cancel()


async def kill_client(scene: Scene, link: Link, letter: str) -> None:
    """The process that runs the operation is killed; the message may still arrive."""
    assert scene.process is not None
    scene.process.kill()
    await scene.process.wait()


@dataclass(frozen=True)
class Fault:
    """One way in which things break; what costs seconds strikes fewer messages."""

    name: str
    act: Callable[[Scene, Link, str], Awaitable[None]]
    costly: int = 1  # so many times fewer

    @property
    def said(self) -> str:
        """What happens, in words."""
        return (self.act.__doc__ or "").strip()


FAULTS = {
    fault.name: fault
    for fault in (
        Fault("cut", cut),
        Fault("lost answer", lose_answer),
        Fault("network", cut_network, 2),
        Fault("backend", kill_backend),
        Fault("crash", crash_server, 3),
        Fault("stall", stall, 4),
        Fault("cancel", cancel),
        Fault("client", kill_client, 2),
    )
}
