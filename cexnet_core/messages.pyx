"""What the message layer hands out: messages to a sink, and how a connection ended."""

from cexnet_core.errors import ConfigurationError

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from cexnet_core.utf8 cimport Utf8State, utf8_feed, utf8_start


cdef class MessageSink:
    """Where whole messages go. Subclass it in Cython and override ``on_message``."""

    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1:
        raise NotImplementedError(f"{type(self).__name__} does not override on_message")


cdef class PyMessageSink(MessageSink):
    """Hands each message to ``callback(payload: bytes, is_text: bool, receive_ts_ns: int)``."""

    def __init__(self, callback):
        if not callable(callback):
            raise ConfigurationError(
                f"PyMessageSink needs a callable, not {type(callback).__name__}")
        self._callback = callback

    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1:
        self._callback(PyBytes_FromStringAndSize(data, size), is_text, receive_ts_ns)
        return 0


@cython.final
cdef class CloseInfo:
    """How a connection ended.

    ``code`` and ``reason`` are the peer's close frame: 1005 when it carried no code, 1006
    when none arrived. ``was_clean``: close frames went both ways and nobody broke the
    protocol; ``error`` is None exactly then. ``unfinished``: it broke off inside a message.
    """

    def __init__(self, int code, str reason, bint was_clean, bint unfinished, error):
        self.code = code
        self.reason = reason
        self.was_clean = was_clean
        self.unfinished = unfinished
        self.error = error

    def __repr__(self):
        return (f"CloseInfo(code={self.code}, reason={self.reason!r}, "
                f"was_clean={bool(self.was_clean)}, unfinished={bool(self.unfinished)}, "
                f"error={self.error!r})")


def valid_utf8(*chunks: bytes) -> bool:
    """Whether the chunks, joined, are valid UTF-8. The check that text messages go through."""
    cdef Utf8State state
    cdef bytes part
    utf8_start(&state)
    for chunk in chunks:
        part = chunk
        if not utf8_feed(&state, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part)):
            return False
    return state.missing == 0
