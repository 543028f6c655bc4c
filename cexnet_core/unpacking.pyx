"""Payloads that an exchange compressed by itself: each binary message one gzip member.

HTX sends its market data so. This is not permessage-deflate: each message stands alone.
"""

import zlib

from cexnet_core.errors import ConfigurationError, ProtocolError

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t

from cexnet_core.assembly cimport KEPT_CAPACITY, assembly_append, assembly_drop, assembly_open
from cexnet_core.deflate cimport bounded_inflate, inflate_allowance
from cexnet_core.messages cimport MessageSink
from cexnet_core.utf8 cimport utf8_valid

# What zlib calls windowBits selects the wrapping as well (zlib.h, inflateInit2).
cdef dict WINDOW_BITS = {"gzip": 16 + 15, "zlib": 15, "deflate": -15}


@cython.final
cdef class InflatingSink(MessageSink):
    """Unpacks each binary message and hands it to ``sink`` as text; text goes on untouched.

    ``packing`` is ``"gzip"`` (RFC 1952), ``"zlib"`` (RFC 1950) or ``"deflate"`` (RFC 1951,
    raw). A message may inflate to ``max_bytes``, and beyond 1 MiB to no more than
    ``max_ratio`` times its size. One that does not, or is corrupt, incomplete or (unless
    ``validate_utf8=False``) no UTF-8, raises ProtocolError, with which a ``FrameReader``
    fails the connection: a feed with a hole in it is not to be trusted.
    """

    def __init__(self, MessageSink sink not None, *, str packing="gzip",
                 Py_ssize_t max_bytes=8 * 2**20, Py_ssize_t max_ratio=200,
                 bint validate_utf8=True):
        if packing not in WINDOW_BITS:
            raise ConfigurationError(f"packing={packing!r}: must be one of {', '.join(WINDOW_BITS)}")
        if max_bytes < 1 or max_ratio < 1:
            raise ConfigurationError(
                f"max_bytes={max_bytes}, max_ratio={max_ratio}: both must be at least 1")
        self.sink = sink
        self.max_bytes = max_bytes
        self.max_ratio = max_ratio
        self._window_bits = WINDOW_BITS[packing]
        self._validate_utf8 = validate_utf8

    def __dealloc__(self):
        assembly_drop(&self._text)

    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1:
        if is_text:
            return self.sink.on_message(data, size, True, receive_ts_ns)
        cdef bytes plain = self._unpack(PyBytes_FromStringAndSize(data, size))
        # The sink below may read 64 bytes beyond the end, which ``bytes`` does not have.
        assembly_open(&self._text, True)
        if not assembly_append(&self._text, PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain)):
            raise MemoryError
        self.unpacked += 1
        try:
            return self.sink.on_message(self._text.data, self._text.size, True, receive_ts_ns)
        finally:
            if self._text.capacity > KEPT_CAPACITY:
                assembly_drop(&self._text)

    cdef bytes _unpack(self, bytes packed):
        stream = zlib.decompressobj(self._window_bits)
        cdef bytes plain = bounded_inflate(stream, packed, min(
            self.max_bytes, inflate_allowance(PyBytes_GET_SIZE(packed), self.max_ratio)))
        if not stream.eof or stream.unused_data:
            raise ProtocolError("compressed data is incomplete or followed by more", code=1007)
        if self._validate_utf8 and not utf8_valid(PyBytes_AS_STRING(plain), PyBytes_GET_SIZE(plain)):
            raise ProtocolError("compressed text is not valid UTF-8", code=1007)
        return plain
