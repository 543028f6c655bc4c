"""permessage-deflate (RFC 7692): inflating what comes, deflating what goes.

On Python's own zlib, on purpose. Linking libz needs its headers where cexnet is built, which
a machine with Python on it need not have; and inflating itself (0.3 us for a book ticker,
2.7 us for 20 + 20 levels) is most of the cost, the call into the module hardly 0.1 us of it.
Desks that count microseconds do not ask for compression.
"""

import zlib

from cexnet_core.errors import ConfigurationError, ProtocolError

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy


cdef enum:
    TAIL_BYTES = 4
    # Below it no ratio is too high: a run of blanks inflates a thousandfold in all honesty.
    RATIO_FREE_BYTES = 1 << 20
    # A final block in mid-stream (RFC 7692 section 7.2.3.4) costs us a new stream.
    MAX_RESTARTS = 8

# What the sender cut off the end of each message (RFC 7692 section 7.2.1).
cdef bytes TAIL = b"\x00\x00\xff\xff"


cdef Py_ssize_t inflate_allowance(Py_ssize_t taken, Py_ssize_t max_ratio) noexcept:
    """To how many bytes ``taken`` compressed ones may inflate."""
    return max(<Py_ssize_t>RATIO_FREE_BYTES, taken * max_ratio)


cdef bytes bounded_inflate(object stream, bytes data, Py_ssize_t room):
    """Inflate at most ``room`` bytes; raises ProtocolError 1009 for more, 1007 for nonsense."""
    cdef bytes plain
    try:
        plain = stream.decompress(data, room + 1)
    except zlib.error as error:
        raise ProtocolError(f"compressed data is corrupt ({error})", code=1007) from None
    if PyBytes_GET_SIZE(plain) > room:
        raise ProtocolError("compressed data inflates beyond the limit", code=1009)
    return plain


@cython.final
cdef class Inflater:
    """The receiving half of permessage-deflate, for the messages of one connection in order.

    ``window_bits`` (8 to 15) and ``keep_context`` are what was agreed for the sender. A
    message larger than 1 MiB may not exceed ``max_ratio`` times its compressed size.
    """

    def __init__(self, int window_bits=15, *, bint keep_context=True, Py_ssize_t max_ratio=200):
        if not 8 <= window_bits <= 15:
            raise ConfigurationError(f"window_bits={window_bits}: must be 8 to 15")
        if max_ratio < 1:
            raise ConfigurationError(f"max_ratio={max_ratio}: must be at least 1")
        self.window_bits = window_bits
        self.keep_context = keep_context
        self.max_ratio = max_ratio

    cdef bytes inflate(self, const char* data, Py_ssize_t size, bint last, Py_ssize_t room):
        """Inflate one fragment to at most ``room`` bytes.

        Raises ProtocolError, with the close code 1007 (corrupt) or 1009 (too large); after
        that the stream is of no use any more.
        """
        self._taken += size
        # The sender's zlib gives nothing for an empty message behind a flush: some peers send
        # that nothing. There is no data then that a cut-off tail could belong to.
        cdef bint has_tail = last and self._taken > 0
        cdef bytes whole = PyBytes_FromStringAndSize(NULL, size + has_tail * TAIL_BYTES)
        memcpy(PyBytes_AS_STRING(whole), data, size)
        if has_tail:
            memcpy(PyBytes_AS_STRING(whole) + size, PyBytes_AS_STRING(TAIL), TAIL_BYTES)
        cdef bytes plain = self._inflate(whole, min(
            room, inflate_allowance(self._taken, self.max_ratio) - self._given))
        self._given += PyBytes_GET_SIZE(plain)
        if last:
            self._taken = self._given = self._restarts = 0
            if not self.keep_context:
                self._stream = None
        return plain

    cdef bytes _inflate(self, bytes data, Py_ssize_t room):
        if self._stream is None:
            self._stream = zlib.decompressobj(-self.window_bits)
        cdef bytes plain = bounded_inflate(self._stream, data, room)
        while self._stream.eof:
            if self._restarts == MAX_RESTARTS:
                raise ProtocolError("compressed message has too many final blocks", code=1009)
            self._restarts += 1
            data = self._stream.unused_data
            # zlib's window ends with the stream; the sender's may go on.
            self._stream = zlib.decompressobj(-self.window_bits, zdict=plain[-(1 << 15):])
            plain += bounded_inflate(self._stream, data, room - PyBytes_GET_SIZE(plain))
        return plain


@cython.final
cdef class Deflater:
    """The sending half: compresses messages of ``from_bytes`` and more, leaves smaller ones.

    ``window_bits`` is 9 to 15: zlib cannot write a raw stream with a window of 8 bits.
    """

    def __init__(self, Py_ssize_t from_bytes, *, int window_bits=15, bint keep_context=True):
        if not 9 <= window_bits <= 15:
            raise ConfigurationError(f"window_bits={window_bits}: must be 9 to 15")
        if from_bytes < 0:
            raise ConfigurationError(f"from_bytes={from_bytes}: must not be negative")
        self.window_bits = window_bits
        self.keep_context = keep_context
        self.from_bytes = from_bytes

    cdef bytes deflate(self, object payload):
        if self._stream is None:
            self._stream = zlib.compressobj(wbits=-self.window_bits)
        cdef bytes packed = self._stream.compress(payload) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        if not self.keep_context:
            self._stream = None
        # A flush behind a flush gives nothing at all: section 7.2.3.6 wants an empty block.
        return packed[:-TAIL_BYTES] or b"\x00"
