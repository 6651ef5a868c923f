"""The socket that the studio listens on."""

from __future__ import annotations

import socket

from app.server.serving import listen


def test_the_listener_says_that_it_is_tcp():
    """Asyncio turns Nagle's algorithm off for such alone; with it, each answer is 40 ms late."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
