"""From frames to messages: the message layer of RFC 6455 on top of picows.

picows cuts the byte stream into frames and masks what we send. ``FrameReader`` does the
rest: it assembles fragments, validates, answers pings and close frames, and hands each
whole message to a ``MessageSink``. Everything here belongs to the event loop's thread.

The seams for compression: reserved bits are judged in ``_on_other`` alone and every message
leaves through ``_deliver``, so permessage-deflate sits between the two; a payload that the
application compressed (gzip) is unpacked by a ``MessageSink`` that wraps another one.
"""

import asyncio
import logging
import os
import time

from cexnet_core.errors import ConfigurationError, ConnectionClosed, ProtocolError

cimport cython
from libc.stdint cimport int64_t
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from cexnet_core.assembly cimport (
    KEPT_CAPACITY,
    assembly_append,
    assembly_drop,
    assembly_open,
    assembly_text_valid,
)
from cexnet_core.clock cimport now_ns
from cexnet_core.close_codes cimport ABNORMAL, MAX_CONTROL_PAYLOAD, NO_CODE, may_be_on_the_wire
from cexnet_core.messages cimport CloseInfo, MessageSink
from cexnet_core.utf8 cimport utf8_valid


cdef extern from *:
    """
    #define cexnet_pending_error() (-1)
    """
    # Lets Python's pending exception be caught by an ordinary ``except``.
    int cexnet_pending_error() except -1


# The sink is called as one that cannot raise, and its result looked at by hand: a ``try``
# around the call would save and restore the exception state for every message.
ctypedef int (*SinkCall)(MessageSink, const char*, Py_ssize_t, bint, int64_t) noexcept

cdef object _logger = logging.getLogger("cexnet.frames")

# How long a peer that broke the protocol may take to read our close frame before TCP ends.
cdef double FAIL_LINGER_S = 0.1


@cython.final
cdef class FrameReader(WSListener):
    """One connection's message layer. Make it on the loop's thread, before connecting.

    ``closed`` is a future of ``CloseInfo``, done when TCP has ended. An exception out of the
    sink never ends the connection: it is counted in ``sink_errors`` and given to
    ``on_sink_error(exception)``, or logged when there is none. ``receive_ts_ns`` is the wall
    clock when the socket read that completed the message was handed to us, so that messages
    behind a slow one show their wait. ``validate_utf8=False`` leaves text to a sink that
    validates it itself. ``peer`` names the other side in errors.
    """

    def __init__(self, MessageSink sink not None, *, Py_ssize_t max_message_bytes=8 * 2**20,
                 bint validate_utf8=True, double close_timeout_s=2.0, on_sink_error=None,
                 str peer="the peer"):
        if max_message_bytes < 1:
            raise ConfigurationError(f"max_message_bytes={max_message_bytes}: must be at least 1")
        if not close_timeout_s > 0:
            raise ConfigurationError(f"close_timeout_s={close_timeout_s}: must be above 0")
        self._sink = sink
        self.max_message_bytes = max_message_bytes
        self.close_timeout_s = close_timeout_s
        self._validate_utf8 = validate_utf8
        self._on_sink_error = on_sink_error
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self.closed = self._loop.create_future()
        self._at_read_start = True
        self._peer_reason = ""
        self._waiting_pings = []
        self._lookahead_room = -1

    def __dealloc__(self):
        assembly_drop(&self._message)

    # ``sink`` may be replaced at any time, by itself too; the next message goes to the new one.
    @property
    def sink(self):
        return self._sink

    @sink.setter
    def sink(self, MessageSink sink not None):
        self._sink = sink

    # Receiving

    cpdef on_ws_connected(self, WSTransport transport):
        self._transport = transport

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if cython.unlikely(self._ended):
            self._on_frame_after_end(frame)
        else:
            self._on_data(frame)

    cdef int _on_data(self, WSFrame frame) except -1:  # hot
        self.frames += 1
        if self._at_read_start:
            self._read_ts_ns = now_ns()
        self._at_read_start = frame.last_in_buffer
        if cython.unlikely(
                not frame.fin or self._message.is_open or frame.rsv1 | frame.rsv2 | frame.rsv3
                or (frame.msg_type != WSMsgType.TEXT and frame.msg_type != WSMsgType.BINARY)):
            return self._on_other(frame)
        cdef bint is_text = frame.msg_type == WSMsgType.TEXT
        if is_text and self._validate_utf8:
            if cython.unlikely(not utf8_valid(frame.payload_ptr, frame.payload_size)):
                return self._fail(1007, "text message is not valid UTF-8")
        # picows keeps 256 bytes of slack behind what it reads into: that is our padding.
        return self._deliver(frame.payload_ptr, frame.payload_size, is_text)

    cdef int _deliver(self, const char* data, Py_ssize_t size, bint is_text) except -1:  # hot
        cdef MessageSink sink = self._sink  # held for the call, in which it may be replaced
        self.messages += 1
        self.bytes_received += size
        if cython.unlikely((<SinkCall>sink.on_message)(
                sink, data, size, is_text, self._read_ts_ns) == -1):
            return self._sink_failed()
        return 0

    cdef int _sink_failed(self) except -1:
        try:
            cexnet_pending_error()
        except Exception as error:
            self.sink_errors += 1
            if self._on_sink_error is None:
                _logger.exception("the sink of %s raised; the message is lost", self._peer)
                return 0
            try:
                self._on_sink_error(error)
            except Exception:
                _logger.exception("on_sink_error of %s raised", self._peer)
        return 0

    cdef int _on_frame_after_end(self, WSFrame frame) except -1:
        if frame.msg_type == WSMsgType.CLOSE:
            return 0 if self._peer_code else self._on_close(frame)
        # picows parses one frame ahead. When that one is broken, the frame before it, good
        # and older, reaches us after the failure: nothing was read from the socket since.
        if self._lookahead_room >= 0 and self._lookahead_room == self._room():
            self._lookahead_room = -1
            self._ended = False
            try:
                return self._on_data(frame)
            finally:
                self._ended = True
        if frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY:
            self.discarded += 1
        return 0

    cdef int _on_other(self, WSFrame frame) except -1:
        if frame.rsv1 | frame.rsv2 | frame.rsv3:
            return self._fail(1002, "reserved bit set without an extension")
        if frame.msg_type == WSMsgType.PING:
            return self._on_ping(frame.get_payload_as_bytes())
        if frame.msg_type == WSMsgType.PONG:
            return self._on_pong(frame.get_payload_as_bytes())
        if frame.msg_type == WSMsgType.CLOSE:
            return self._on_close(frame)
        return self._on_fragment(frame)

    cdef int _on_fragment(self, WSFrame frame) except -1:
        if frame.msg_type == WSMsgType.CONTINUATION:
            if not self._message.is_open:
                return self._fail(1002, "continuation frame without a message to continue")
        elif self._message.is_open:
            return self._fail(1002, "new message inside a fragmented one")
        else:
            assembly_open(&self._message, frame.msg_type == WSMsgType.TEXT)
        if frame.payload_size > self.max_message_bytes - self._message.size:
            return self._fail(1009, f"message is larger than {self.max_message_bytes} bytes")
        if self._message.is_text and self._validate_utf8 and not assembly_text_valid(
                &self._message, frame.payload_ptr, frame.payload_size, frame.fin):
            return self._fail(1007, "text message is not valid UTF-8")
        if not assembly_append(&self._message, frame.payload_ptr, frame.payload_size):
            return self._fail(1011, "we are out of memory for its message")
        if frame.fin:
            self._message.is_open = False
            self._deliver(self._message.data, self._message.size, self._message.is_text)
            if self._message.capacity > KEPT_CAPACITY:
                assembly_drop(&self._message)
        return 0

    # Control frames

    cdef int _on_ping(self, bytes payload) except -1:
        self.pings += 1
        # A peer that pings but does not read would fill our write buffer; RFC 6455 section
        # 5.5.3 lets us answer only its latest ping once it reads again.
        if self.write_paused:
            self._owed_pong = payload
            return 0
        return self._answer_ping(payload)

    cdef int _answer_ping(self, bytes payload) except -1:
        if self._transport is not None and not self._transport.is_close_frame_sent:
            self._transport.send_pong(payload)
        return 0

    cdef int _on_pong(self, bytes payload) except -1:
        self.pongs += 1
        cdef double now_s = time.monotonic()
        cdef Py_ssize_t last = -1
        for index, (sent, _, _) in enumerate(self._waiting_pings):
            if sent == payload:
                last = index
        # A pong answers its ping and all earlier ones (RFC 6455 section 5.5.3).
        for _, future, sent_s in self._waiting_pings[:last + 1]:
            if not future.done():
                future.set_result(now_s - sent_s)
        del self._waiting_pings[:last + 1]
        return 0

    cdef int _on_close(self, WSFrame frame) except -1:
        # picows has refused a payload of one byte and a reason that is not UTF-8.
        cdef bytes payload = frame.get_payload_as_bytes()
        cdef int code = NO_CODE
        if frame.rsv1 | frame.rsv2 | frame.rsv3:
            return self._fail(1002, "reserved bit set without an extension")
        if payload:
            code = int.from_bytes(payload[:2], "big")
            if not may_be_on_the_wire(code):
                return self._fail(1002, f"close frame with the illegal code {code}")
        self._peer_code = code
        self._peer_reason = payload[2:].decode()
        self._ended = True
        self._send_close(payload[:2])
        # RFC 6455 section 7.1.1 lets the client close TCP first; waiting for a server that
        # may never do it would only delay the reconnection.
        self._transport.disconnect(True)
        return self._arm(self.close_timeout_s, "did not take our close frame in time")

    cpdef pause_writing(self):
        self.write_paused = True

    cpdef resume_writing(self):
        self.write_paused = False
        if self._owed_pong is not None:
            self._answer_ping(self._owed_pong)
            self._owed_pong = None

    # Ending

    cdef int _fail(self, int code, str text) except -1:
        self._ended = True
        if self._error is None:
            self._error = ProtocolError(
                f"{self._peer} broke the WebSocket protocol: {text}; "
                f"we failed the connection with code {code}", code=code)
        self._send_close(code.to_bytes(2, "big") + text.encode()[:MAX_CONTROL_PAYLOAD - 2])
        return self._arm(FAIL_LINGER_S, "")

    cdef int _send_close(self, bytes payload) except -1:
        # Not through picows' send_close(), which puts an illegal code 0 where there is none.
        if not self._transport.is_close_frame_sent:
            self._transport.send(WSMsgType.CLOSE, payload)
            self._transport.is_close_frame_sent = True
        return 0

    cdef int _arm(self, double delay_s, str text) except -1:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._expire, text)
        return 0

    def _expire(self, str text):
        if self._transport is None:
            return
        if self._error is None:
            self._error = self._closed_error(f"{self._peer} {text}; TCP was aborted")
        self._transport.disconnect(False)

    def _closed_error(self, str text):
        return ConnectionClosed(text, code=self._peer_code or ABNORMAL, reason=self._peer_reason)

    def parser_failed(self, int code, str text):
        """picows could not parse the stream: fail the connection with ``code``.

        For the code that connects only: picows tells nobody but its logger.
        """
        if not self._ended:
            self._lookahead_room = self._room()
            self._fail(code, text)

    def connection_dropped(self, error, bint inside_frame):
        """TCP is about to end, with ``error`` or None. For the code that connects only."""
        self._unfinished = inside_frame or self._message.is_open
        if self._error is None and not self._peer_code:
            how = f"was lost ({error})" if error is not None else "ended without a close frame"
            where = " in the middle of a message" if self._unfinished else ""
            self._error = self._closed_error(f"the connection to {self._peer} {how}{where}")
            self._error.__cause__ = error

    cpdef on_ws_disconnected(self, WSTransport transport):
        self._ended = True
        self._transport = None
        assembly_drop(&self._message)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _, future, _ in self._waiting_pings:
            if not future.done():
                future.set_exception(self._closed_error(
                    f"the connection to {self._peer} ended before its pong"))
        self._waiting_pings.clear()
        if not self.closed.done():
            self.closed.set_result(CloseInfo(
                self._peer_code or ABNORMAL, self._peer_reason, self._error is None,
                self._unfinished, self._error))

    # Sending

    cdef int _check_open(self) except -1:
        if self._ended:
            raise self._closed_error(f"cannot send: the connection to {self._peer} has ended")
        if self._transport is None:
            raise ConnectionClosed(f"cannot send: not connected to {self._peer} yet")
        return 0

    cdef int send(self, bint is_text, object payload) except -1:
        self._check_open()
        self._transport.send(WSMsgType.TEXT if is_text else WSMsgType.BINARY, payload)
        return 0

    def send_text(self, payload not None):
        """Send ``payload`` (``str``, or UTF-8 in a bytes-like object) as one text message.

        Never blocks: what the socket does not take is buffered (``write_paused`` says when
        that is much). Raises ConnectionClosed after the end.
        """
        self.send(True, payload)

    def send_binary(self, payload not None):
        """Send a bytes-like object as one binary message. Otherwise as ``send_text``."""
        self.send(False, payload)

    def ping(self, bytes payload=None):
        """Send a ping; the future gives the round trip in seconds when its pong arrives.

        ``payload`` (up to 125 bytes) is random when not given. Raises ConnectionClosed, at
        once or from the future, and ConfigurationError for a payload that is too long.
        """
        if payload is None:
            payload = os.urandom(8)
        if len(payload) > MAX_CONTROL_PAYLOAD:
            raise ConfigurationError(
                f"ping payload of {len(payload)} bytes: at most {MAX_CONTROL_PAYLOAD}")
        self._check_open()
        future = self._loop.create_future()
        self._waiting_pings = [ping for ping in self._waiting_pings if not ping[1].done()]
        self._waiting_pings.append((payload, future, time.monotonic()))
        self._transport.send_ping(payload)
        return future

    def close(self, int code=1000, str reason=""):
        """Start the close handshake; ``closed`` is done within ``close_timeout_s``.

        Messages still on their way to us are discarded and counted. Idempotent. Raises
        ConfigurationError for a code that RFC 6455 section 7.4 does not allow on the wire
        and for a reason of more than 123 UTF-8 bytes.
        """
        cdef bytes words = reason.encode()
        if not may_be_on_the_wire(code):
            raise ConfigurationError(
                f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
        if len(words) > MAX_CONTROL_PAYLOAD - 2:
            raise ConfigurationError(
                f"close reason of {len(words)} bytes: at most {MAX_CONTROL_PAYLOAD - 2}")
        if self._ended or self._transport is None:
            return
        self._ended = True
        self._send_close(code.to_bytes(2, "big") + words)
        self._arm(self.close_timeout_s,
                  f"did not answer our close frame within {self.close_timeout_s:g} s")

    def abort(self):
        """End TCP now, without a close handshake; unsent data is lost. Idempotent."""
        if self._transport is None:
            return
        self._ended = True
        if self._error is None and not self._peer_code:
            self._error = self._closed_error(f"we aborted the connection to {self._peer}")
        self._transport.disconnect(False)

    cdef Py_ssize_t _room(self) except -1:
        # Free bytes in picows' read buffer: they change with every read from the socket.
        return len(self._transport.underlying_transport.get_protocol().get_buffer(-1))
