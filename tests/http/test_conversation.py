"""The end of a conversation: what came whole is not lost, and nothing is kept of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from cexnet.http.connector import ConnectionOptions
from cexnet.http.endpoint import WireRequest
from cexnet.http.session import HttpSession, Try
from tests.http.peer import head
from tests.websocket.certificates import self_signed


def large_and_gone(
    answer: bytes, tls: ssl.SSLContext, before: int, whole: threading.Event
) -> Callable[[socket.socket], None]:
    """One TLS connection, in a thread of its own: ``answer`` with a FIN right behind it.

    The large answers ``before`` have the kernel take so much at once.
    """
    large = head(200, {"Content-Length": "4000000"}) + bytes(4_000_000)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError), listener, tls.wrap_socket(listener.accept()[0], server_side=True) as peer:
            for _ in range(before):
                peer.recv(65_536)
                peer.sendall(large)
            peer.recv(65_536)
            peer.sendall(answer)
            socket.socket.shutdown(peer, socket.SHUT_WR)
            whole.set()
            peer.recv(65_536)

    return serve


@pytest.mark.parametrize("framing", ["chunked", "until close", "length"])
async def test_an_answer_over_tls_is_read_whole_before_the_end_of_its_connection(framing: str) -> None:
    """A transport that cannot get rid of all that it holds forgets the rest when the FIN comes."""
    server, client = self_signed("localhost")
    body = b" " * 199_980 + b'{"serverTime": 1234}'
    fields = {"Connection": "close"}
    sent = body
    if framing == "chunked":
        fields["Transfer-Encoding"] = "chunked"
        pieces = [body[at : at + 4000] for at in range(0, len(body), 4000)]
        sent = b"".join(b"fa0\r\n" + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    elif framing == "length":
        fields["Content-Length"] = str(len(body))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://localhost:{listener.getsockname()[1]}"
    whole = threading.Event()
    serve = large_and_gone(head(200, fields) + sent, server, 12, whole)
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    loop = asyncio.get_running_loop()
    session = HttpSession(url, options=ConnectionOptions(ssl_context=client))
    wire = WireRequest("GET", "/")
    for _ in range(12):
        await session.send(wire, loop.time() + 30, Try())
    answer = asyncio.create_task(session.send(wire, loop.time() + 30, Try()))
    await asyncio.sleep(0)  # it is sent now
    whole.wait(1.0)  # a busy loop: answer and FIN are there when it turns next
    assert (await answer).body == body
    await session.close()
    await asyncio.to_thread(thread.join)
