"""One WebSocket client: frames in, frames out with backpressure."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

if TYPE_CHECKING:
    from cexnet.simulator.faults.outbound import Tampering
    from cexnet.simulator.personas.base import Session
    from cexnet.simulator.server import Simulator

HIGH_WATER_BYTES = 1 << 20  # unsent bytes at which a client counts as slow
MAX_BACKLOG_BYTES = 16 << 20  # unsent bytes at which it is closed with 1008
CONTROL = "control"  # the kind of what is no data: answers, pings, pongs
_TEXT = 0x81
_BINARY = 0x82
_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)


def make_frame(payload: bytes, opcode: int) -> bytes:
    """An unmasked, final frame (RFC 6455 section 5.2), as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((opcode, size)) + payload
    if size < 65_536:
        return bytes((opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((opcode, 127)) + size.to_bytes(8, "big") + payload


def text_frame(text: str) -> bytes:
    """A text frame."""
    return make_frame(text.encode(), _TEXT)


def binary_frame(payload: bytes) -> bytes:
    """A binary frame."""
    return make_frame(payload, _BINARY)


class Connection(WSListener):
    """A client's connection. Everything sent to it goes through :meth:`send`.

    Frames are gathered and written once per turn of the event loop, so that a burst
    costs one system call. Loop rule: used on the simulator's loop only.
    """

    def __init__(self, simulator: Simulator, session: Session) -> None:
        self._simulator = simulator
        self._session = session
        self._out = bytearray()
        self._flush_due = False
        self._fragments = bytearray()
        self._window_s = 0
        self._window_messages = 0
        self._transport: WSTransport | None = None
        self._session_open = self._closing = False
        self._calm = asyncio.Event()
        self._calm.set()
        self._room = asyncio.Event()
        self._room.set()
        self.ended = asyncio.Event()
        self.last_heard_s = self.last_pong_s = self.last_traffic_s = time.monotonic()
        self.opened_s = self.last_heard_s
        self.playback: asyncio.Task[None] | None = None
        self.number = 0  # which upgrade request this was, from 1
        self.tampering: Tampering | None = None  # set once there are faults
        session.connection = self

    @property
    def session(self) -> Session:
        """The exchange's side of the conversation."""
        return self._session

    @property
    def peer(self) -> str:
        """The client's address, for limits per address; "" when it is not connected."""
        if self._transport is None:
            return ""
        return str(self._transport.underlying_transport.get_extra_info("peername")[0])

    @property
    def has_room(self) -> bool:
        """False while the client reads too slowly, or a fault sends slowly."""
        return self._room.is_set() and self._calm.is_set()

    @property
    def has_gathered(self) -> bool:
        """Whether frames wait for the next flush."""
        return bool(self._out)

    @property
    def is_half_open(self) -> bool:
        """Whether a fault made this end neither read nor write."""
        return self.tampering is not None and self.tampering.is_deaf

    def send(self, frame: bytes, kind: str = CONTROL, topic: str = "") -> None:
        """Queue one whole frame. The single outbound path: faults take hold here."""
        if self._closing or self.ended.is_set():
            return
        if self._simulator.witness is not None and kind != CONTROL:
            self._simulator.witness.sent(self, frame, kind)
        if self.tampering is not None:
            self.tampering.on_frame(frame, kind, topic)
        else:
            self.write(frame)

    def write(self, data: bytes) -> None:
        """Queue bytes as they are, for :meth:`send` and the faults."""
        if self._closing or self.ended.is_set():
            return
        self._out += data
        if not self._flush_due and self._transport is not None:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def take_gathered(self) -> bytes:
        """The frames that wait; whoever takes them sends them."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def send_text(self, text: str) -> None:
        """Queue a control message (ack, pong, error), counted as ``control``."""
        self._simulator.stats.messages["control"] += 1
        self.send(text_frame(text))

    def ping(self) -> None:
        """Send a protocol ping that carries the time in milliseconds, as Binance does."""
        payload = str(time.time_ns() // 1_000_000).encode()
        self.send(make_frame(payload, 0x89))

    def flush(self) -> None:
        """Hand what is gathered to the socket; close the client if it lags too far behind."""
        self._flush_due = False
        if self._transport is None or self.ended.is_set() or not self._out:
            return
        raw = self._transport.underlying_transport
        raw.write(bytes(self._out))
        self._out.clear()
        self.last_traffic_s = time.monotonic()
        if raw.get_write_buffer_size() > MAX_BACKLOG_BYTES:
            self.close_slow()

    async def room(self) -> None:
        """Wait until the client has read enough (or is gone)."""
        while not self.has_room:
            await self._calm.wait()
            await self._room.wait()

    async def drained(self) -> None:
        """Wait until every byte has left for the kernel (or the client is gone)."""
        await self._calm.wait()
        await self.written()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let whoever can wait wait, as if the client read slowly."""
        self._calm.clear()
        try:
            yield
        finally:
            self._calm.set()

    async def written(self) -> None:
        """Wait until what was queued so far has left for the kernel (or the client is gone)."""
        self.flush()
        if self._transport is not None and not self.ended.is_set():
            self._transport.underlying_transport.set_write_buffer_limits(high=0)
            await self._room.wait()
            self._transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def close_slow(self) -> None:
        """Close a client that does not keep up, counted in ``stats.slow_closed``."""
        self._simulator.stats.slow_closed += 1
        self.close(WSCloseCode.POLICY_VIOLATION, "slow consumer", abort=True)

    def close(self, code: WSCloseCode, reason: str, *, abort: bool = False) -> None:
        """Send a close frame and disconnect; with ``abort`` unsent bytes are thrown away."""
        if self._transport is None or self.ended.is_set():
            return
        if not abort:
            self.flush()
        self._closing = True
        self._transport.send_close(code, reason.encode())
        self._transport.disconnect(graceful=not abort)

    def end_with(self, last: bytes) -> None:
        """Send ``last`` as it is and close TCP."""
        if self._transport is None or self.ended.is_set():
            return
        self.write(last)
        self.flush()
        self._closing = True
        self._transport.underlying_transport.close()

    def reset_after(self, last: bytes) -> None:
        """Send ``last`` as it is and reset TCP."""
        if self._transport is None or self.ended.is_set():
            return
        self.write(last)
        self.flush()
        self._closing = True
        raw = self._transport.underlying_transport
        no_linger = struct.pack("ii", 1, 0)
        raw.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        raw.abort()

    def stop_listening(self) -> None:
        """Read nothing any more; TCP stays open."""
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def listen_again(self) -> None:
        """Undo :meth:`stop_listening`."""
        if self._transport is not None and not self.ended.is_set():
            self.last_heard_s = self.last_pong_s = self.last_traffic_s = time.monotonic()
            self._transport.underlying_transport.resume_reading()

    def forget_if_gone(self) -> None:
        """Drop a client that hung up while nothing is read from it."""
        if self._transport is None or self.ended.is_set():
            return
        raw = self._transport.underlying_transport
        poller = select.poll()
        poller.register(raw.get_extra_info("socket").fileno(), _HUNG_UP)
        if poller.poll(0):
            raw.abort()

    def open_session(self) -> None:
        """Start what the URL asks for; again is no change."""
        if not self._session_open:
            self._session_open = True
            self._session.on_open()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Register with the simulator; subscriptions named in the URL start now."""
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._simulator.connected(self)
        self.open_session()
        if self.tampering is not None:
            self.tampering.opened()
        self.flush()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer control frames, hand messages to the session."""
        if self.is_half_open:
            return
        self.last_heard_s = self.last_traffic_s = time.monotonic()
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            code = frame.get_close_code()
            transport.send_close(code if code.value else WSCloseCode.OK, b"")
            transport.disconnect()
            return
        if self._too_many():
            self.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
        elif kind == WSMsgType.PING:
            self.send(make_frame(frame.get_payload_as_bytes(), 0x8A))
        elif kind == WSMsgType.PONG:
            self.last_pong_s = self.last_heard_s
        else:
            self._fragments += frame.get_payload_as_memoryview()
            if frame.fin:
                payload = bytes(self._fragments)
                self._fragments.clear()
                if self.tampering is not None:
                    self.tampering.desk.on_request(payload)
                else:
                    self._session.on_message(payload)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the client's subscriptions and wake whoever waits for it."""
        self.ended.set()
        self._room.set()
        self._calm.set()
        if self.tampering is not None:
            self.tampering.closed()
        self._simulator.disconnected(self)

    def pause_writing(self) -> None:
        """The client reads too slowly: whoever can wait, waits."""
        self._simulator.stats.pauses += 1
        self._room.clear()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._room.set()

    def _too_many(self) -> bool:
        limit = self._session.client_messages_per_s
        now_s = int(self.last_heard_s)
        if now_s != self._window_s:
            self._window_s, self._window_messages = now_s, 0
        self._window_messages += 1
        return self._window_messages > limit
