"""From frames to messages: the message layer of RFC 6455 on top of picows.

picows cuts the byte stream into frames. ``FrameReader`` does the rest: it assembles
fragments, inflates them where compression was agreed, validates, answers pings and close
frames, and hands each whole message to a ``MessageSink``. ``FrameWriter`` frames and masks
what goes out. Everything here belongs to the event loop's thread.

A message in one uncompressed frame, which is nearly every one, goes straight from
``_on_data`` to ``_deliver``; all else turns off at ``_on_other``.
"""

import asyncio
import logging
import os

from cexnet_core.ending import Ending
from cexnet_core.errors import ConfigurationError, ConnectionClosed, ProtocolError
from cexnet_core.hotlog import process_log as _process_log
from cexnet_core.pings import WaitingPings

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
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
from cexnet_core.close_codes cimport (
    MAX_CONTROL_PAYLOAD,
    NO_CODE,
    close_payload,
    may_be_on_the_wire,
)
from cexnet_core.deflate cimport Deflater, Inflater
from cexnet_core.messages cimport MessageSink
from cexnet_core.utf8 cimport utf8_valid
from cexnet_core.writer cimport FrameWriter


cdef extern from *:
    """
    #define cexnet_pending_error() (-1)
    """
    # Lets Python's pending exception be caught by an ordinary ``except``.
    int cexnet_pending_error() except -1


# The sink is called as one that cannot raise, and its result looked at by hand: a ``try``
# around the call would save and restore the exception state for every message.
ctypedef int (*SinkCall)(MessageSink, const char*, Py_ssize_t, bint, int64_t) noexcept

cdef object SINK_RAISED = _process_log.template(
    "cexnet.frames", logging.ERROR, "the sink of %s raised; the message is lost", per_second=10)
cdef object CALLBACK_RAISED = _process_log.template(
    "cexnet.frames", logging.ERROR, "on_sink_error of %s raised", per_second=10)

# How long a peer that broke the protocol may take to read our close frame before TCP ends.
cdef double FAIL_LINGER_S = 0.1


def _raise(error):
    raise error


@cython.final
cdef class FrameReader(WSListener):
    """One connection's message layer. Make it on the loop's thread, before connecting.

    ``closed`` is a future of ``CloseInfo``, done when TCP has ended. An exception out of the
    sink is counted in ``sink_errors`` and given to ``on_sink_error(exception)``, or logged
    when there is none. It does not end the connection, unless it is a ``ProtocolError``: with
    that a sink refuses what the peer sent. ``receive_ts_ns`` is the wall
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
        self._ending = Ending(peer)
        self._pings = WaitingPings(self._loop)
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
        if transport is None:
            raise TypeError("on_ws_connected is picows' to call, with a transport")
        self._transport = transport
        self._writer = FrameWriter(transport, self._deflater)
        # picows then sends nothing of its own accord: what ends a connection is said here.
        transport.is_close_frame_sent = True

    def use_deflate(self, Inflater inflater not None, Deflater deflater=None):
        """permessage-deflate was agreed. For the code that connects, before picows does.

        Without a ``deflater`` we send nothing compressed, which RFC 7692 allows.
        """
        self._inflater = inflater
        self._deflater = deflater

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if cython.unlikely(frame is None):
            raise TypeError("on_ws_frame is picows' to call, with a frame")
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
        except BaseException as error:
            self.sink_errors += 1
            if not isinstance(error, (Exception, asyncio.CancelledError)):
                # Ctrl-C or an exit: the loop raises it, when this read has been dealt with.
                self._loop.call_soon(_raise, error)
                return 0
            if self._on_sink_error is None:
                SINK_RAISED.log(self._peer, exception=error)
            else:
                try:
                    self._on_sink_error(error)
                except Exception as second:
                    CALLBACK_RAISED.log(self._peer, exception=second)
            if isinstance(error, ProtocolError) and not self._ended:
                return self._fail(error.code, str(error))
        return 0

    cdef int _on_frame_after_end(self, WSFrame frame) except -1:
        # picows parses one frame ahead. When that one is broken, the frame before it, good
        # and older, reaches us after the failure: nothing was read from the socket since.
        if self._breach_code and self._lookahead_room == self._room():
            self._lookahead_room = -1
            self._ended = False
            try:
                return self._on_data(frame)
            finally:
                self._ended = True
        if frame.msg_type == WSMsgType.CLOSE:
            return 0 if self._ending.peer_code else self._on_close(frame)
        if frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY:
            self.discarded += 1
        return 0

    cdef int _on_other(self, WSFrame frame) except -1:
        cdef bint is_data = (
            frame.msg_type == WSMsgType.TEXT or frame.msg_type == WSMsgType.BINARY)
        if frame.rsv1 and (self._inflater is None or not is_data):
            return self._fail(1002, "frame marked as compressed where it may not be")
        if frame.rsv2 | frame.rsv3:
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
            self._is_compressed = frame.rsv1
        if self._is_compressed:
            return self._add_inflated(frame)
        return self._add(frame.payload_ptr, frame.payload_size, frame.fin)

    cdef int _add_inflated(self, WSFrame frame) except -1:
        cdef bytes plain
        try:
            plain = self._inflater.inflate(
                frame.payload_ptr, frame.payload_size, frame.fin,
                self.max_message_bytes - self._message.size)
        except ProtocolError as error:
            return self._fail(error.code, str(error))
        return self._add(PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain), frame.fin)

    cdef int _add(self, const char* data, Py_ssize_t size, bint last) except -1:
        if size > self.max_message_bytes - self._message.size:
            return self._fail(1009, f"message is larger than {self.max_message_bytes} bytes")
        if self._message.is_text and self._validate_utf8 and not assembly_text_valid(
                &self._message, data, size, last):
            return self._fail(1007, "text message is not valid UTF-8")
        if not assembly_append(&self._message, data, size):
            return self._fail(1011, "we are out of memory for its message")
        if last:
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
        if self._transport is not None and not self._close_sent:
            self._writer.write(WSMsgType.PONG, payload)
        return 0

    cdef int _on_pong(self, bytes payload) except -1:
        self.pongs += 1
        self._pings.answered(payload)
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
        self._ending.peer_code = code
        self._ending.peer_reason = payload[2:].decode()
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
        self._ending.breached(code, text)
        self._send_close(code.to_bytes(2, "big") + text.encode()[:MAX_CONTROL_PAYLOAD - 2])
        return self._arm(FAIL_LINGER_S, "")

    cdef int _send_close(self, bytes payload) except -1:
        if not self._close_sent:
            self._close_sent = True
            self._writer.write(WSMsgType.CLOSE, payload)
        return 0

    cdef int _arm(self, double delay_s, str text) except -1:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, self._expire, text)
        return 0

    def _expire(self, str text):
        if self._transport is None:
            return
        self._ending.timed_out(text)
        self._transport.disconnect(False)

    def parser_failed(self, int code, str text):
        """picows could not parse the stream: fail the connection with ``code``.

        For the code that connects only: picows tells nobody but its logger.
        """
        if not self._ended:
            self._ended = True
            self._breach_code = code
            self._breach_text = text
            self._lookahead_room = self._room()
            self._loop.call_soon(self._fail_after_lookahead)

    def _fail_after_lookahead(self):
        # The frame before the broken one may have been a close frame: then that ended it.
        if self._transport is not None and not self._close_sent:
            self._fail(self._breach_code, self._breach_text)

    def connection_dropped(self, error, bint inside_frame):
        """TCP is about to end, with ``error`` or None. For the code that connects only."""
        if self._breach_code and not self._close_sent:
            self._ending.breached(self._breach_code, self._breach_text)
        self._ending.dropped(error, inside_frame or self._message.is_open)

    cpdef on_ws_disconnected(self, WSTransport transport):
        if transport is None:
            raise TypeError("on_ws_disconnected is picows' to call, with a transport")
        self._ended = True
        self._transport = None
        # ``closed`` tells it all; an exception in picows' future would be found unseen.
        if not transport.disconnected_future.done():
            transport.disconnected_future.set_result(None)
        assembly_drop(&self._message)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pings.fail(self._ending, f"the connection to {self._peer} ended before its pong")
        if not self.closed.done():
            self.closed.set_result(self._ending.info())

    # Sending

    cdef int _check_open(self) except -1:
        if self._ended:
            raise self._ending.closed_error(f"cannot send: the connection to {self._peer} has ended")
        if self._transport is None:
            raise ConnectionClosed(f"cannot send: not connected to {self._peer} yet")
        return 0

    cdef int send(self, bint is_text, object payload) except -1:
        self._check_open()
        self._writer.write(WSMsgType.TEXT if is_text else WSMsgType.BINARY, payload)
        return 0

    def send_text(self, payload not None):
        """Send ``payload`` (``str``, or UTF-8 in a bytes-like object) as one text message.

        Never blocks: what the socket does not take is buffered (``write_paused``: that is
        much). Raises ConnectionClosed after the end.
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
        future = self._pings.add(payload)
        self._writer.write(WSMsgType.PING, payload)
        return future

    def close(self, int code=1000, str reason=""):
        """Start the close handshake; ``closed`` is done within ``close_timeout_s``.

        Messages still on their way to us are discarded and counted. Idempotent. Raises
        ConfigurationError for a code or a reason that may not be sent.
        """
        cdef bytes payload = close_payload(code, reason)
        if self._ended or self._transport is None:
            return
        self._ended = True
        self._send_close(payload)
        self._arm(self.close_timeout_s,
                  f"did not answer our close frame within {self.close_timeout_s:g} s")

    def abort(self):
        """End TCP now, without a close handshake; unsent data is lost. Idempotent."""
        if self._transport is None:
            return
        self._ended = True
        self._ending.aborted()
        self._transport.disconnect(False)

    cdef Py_ssize_t _room(self) except -1:
        # Free bytes in picows' read buffer: they change with every read from the socket.
        if self._transport is None:
            return -1
        return len(self._transport.underlying_transport.get_protocol().get_buffer(-1))
