"""Copies of raw messages on their way to the decoder, for whoever records them.

A ``FrameTap`` stands in front of a connection's sink (``through``). It copies each message,
up to ``capacity_bytes`` that nobody has taken yet, and hands it on as it came. Without a tap
nothing stands there, so it costs nothing when it is off.

Filled on the event loop's thread, emptied from any one thread: the GIL keeps them apart.
"""

cimport cython
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t

from cexnet_core.messages cimport MessageSink

from cexnet_core.errors import ConfigurationError

# What a kept frame takes beside its payload: a bytes object, a tuple and its numbers.
cdef int64_t OVERHEAD_BYTES = 200


@cython.final
cdef class FrameTap:
    """Keeps copies of messages until ``take()``; those beyond ``capacity_bytes`` are counted.

    Raises ConfigurationError when ``capacity_bytes`` is below 1.
    """

    def __init__(self, int64_t capacity_bytes=64 * 2**20):
        if capacity_bytes < 1:
            raise ConfigurationError(f"FrameTap: capacity_bytes is {capacity_bytes}; at least 1 is needed")
        self.capacity_bytes = capacity_bytes
        self._frames = []

    def through(self, MessageSink sink not None, int32_t connection_id) -> MessageSink:
        """A sink that hands everything to ``sink`` after the tap has had its copy."""
        cdef TappedSink tapped = TappedSink.__new__(TappedSink)
        tapped._tap = self
        tapped._sink = sink
        tapped._connection_id = connection_id
        return tapped

    cdef int put(self, const char* data, Py_ssize_t size, bint is_text, int64_t receive_ts_ns,
                 int32_t connection_id) except -1:
        self.received += 1
        if self.waiting_bytes + size + OVERHEAD_BYTES > self.capacity_bytes:
            self.dropped += 1
            self._dropped_before += 1
            return 0
        self._frames.append((connection_id, receive_ts_ns, is_text, self._dropped_before,
                             PyBytes_FromStringAndSize(data, size)))
        self.waiting_bytes += size + OVERHEAD_BYTES
        self._dropped_before = 0
        return 0

    def take(self) -> list:
        """The frames kept so far, oldest first; the tap is empty afterwards.

        Each is (connection id, receive time in Unix ns, is text, how many were dropped
        between the frame before it and this one, payload).
        """
        cdef list frames = self._frames
        self._frames = []
        self.waiting_bytes = 0
        return frames

    def __repr__(self):
        return (f"<FrameTap {self.waiting_bytes}/{self.capacity_bytes} bytes, "
                f"received={self.received} dropped={self.dropped}>")


@cython.final
cdef class TappedSink(MessageSink):
    """A sink with a tap in front of it; made by ``FrameTap.through``."""

    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1:
        self._tap.put(data, size, is_text, receive_ts_ns, self._connection_id)
        return self._sink.on_message(data, size, is_text, receive_ts_ns)
