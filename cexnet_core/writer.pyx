"""Messages out: our own framing and masking on top of picows' socket write.

RFC 6455 section 5.3 wants each mask from a strong source of entropy. picows takes it from
libc's ``rand()``, which nobody seeds: every process sends the same masks, with the top bit
never set. Seeding ``rand()`` would change a state that belongs to the whole process and leave
it predictable; a frame header is twenty lines, and masks from the system cost 5 ns each when
fetched by the hundred.
"""

import os

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from picows.picows cimport WSMsgType, WSTransport

from cexnet_core.deflate cimport Deflater


cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef enum:
    FIN = 0x80
    RSV1 = 0x40                 # "compressed" (RFC 7692 section 6)
    MASKED = 0x80
    MAX_HEADER = 14             # bytes: 2, a length of 8, a mask of 4
    FETCHED_RANDOMNESS = 1024   # bytes, for 256 frames
    KEPT_CAPACITY = 65536       # bytes; a larger buffer is freed after its frame


cdef inline void mask_into(char* target, const char* data, Py_ssize_t size,
                           uint32_t mask) noexcept nogil:  # hot
    cdef uint64_t wide = <uint64_t>mask << 32 | mask
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    while at + 8 <= size:
        memcpy(&word, data + at, 8)
        word ^= wide
        memcpy(target + at, &word, 8)
        at += 8
    while at < size:
        target[at] = data[at] ^ (<char*>&mask)[at & 3]
        at += 1


cdef inline Py_ssize_t put_header(uint8_t* target, int first_byte, Py_ssize_t size,
                                  uint32_t mask) noexcept nogil:  # hot
    # RFC 6455 section 5.2. Returns the size of the header.
    cdef Py_ssize_t length_bytes = 0 if size < 126 else 2 if size < 65536 else 8
    cdef Py_ssize_t at
    target[0] = <uint8_t>first_byte
    target[1] = MASKED | <uint8_t>(size if size < 126 else 126 if size < 65536 else 127)
    for at in range(length_bytes):
        target[2 + at] = <uint8_t>(size >> 8 * (length_bytes - 1 - at) & 0xFF)
    memcpy(target + 2 + length_bytes, &mask, 4)
    return 6 + length_bytes


@cython.final
cdef class FrameWriter:
    """The sending half of one connection, after picows gave us its transport.

    Whether the connection is open is for the caller to know. A payload is ``str`` or a
    bytes-like object and is copied: it may be changed as soon as the call returns.
    """

    def __cinit__(self, WSTransport transport not None, Deflater deflater):
        self._transport = transport
        self._deflater = deflater
        self._used = FETCHED_RANDOMNESS

    def __dealloc__(self):
        free(self._buffer)

    cdef int write(self, WSMsgType kind, object payload) except -1:
        cdef Py_ssize_t size
        cdef const char* text
        self._transport._check_thread("send")
        cdef Deflater deflater = self._deflater
        if deflater is not None and (kind == WSMsgType.TEXT or kind == WSMsgType.BINARY):
            payload = payload.encode() if isinstance(payload, str) else memoryview(payload).cast("B")
            if len(payload) >= deflater.from_bytes:
                return self._write_bytes(FIN | RSV1 | <int>kind, deflater.deflate(payload))
        if isinstance(payload, str):
            text = PyUnicode_AsUTF8AndSize(payload, &size)
            return self._put(FIN | <int>kind, text, size)
        return self._write_bytes(FIN | <int>kind, payload)

    cdef int _write_bytes(self, int first_byte, object payload) except -1:
        cdef Py_buffer view
        PyObject_GetBuffer(payload, &view, PyBUF_SIMPLE)
        try:
            return self._put(first_byte, <const char*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef int _put(self, int first_byte, const char* data, Py_ssize_t size) except -1:
        cdef uint32_t mask = self._next_mask()
        self._reserve(MAX_HEADER + size)
        cdef Py_ssize_t header = put_header(<uint8_t*>self._buffer, first_byte, size, mask)
        mask_into(self._buffer + header, data, size, mask)
        # It copies what the socket does not take at once.
        self._transport._fast_write(self._buffer, header + size)
        if self._capacity > KEPT_CAPACITY:
            free(self._buffer)
            self._buffer = NULL
            self._capacity = 0
        return 0

    cdef uint32_t _next_mask(self) except? 0:
        cdef uint32_t mask
        if self._used == FETCHED_RANDOMNESS:
            self._randomness = os.urandom(FETCHED_RANDOMNESS)
            self._used = 0
        memcpy(&mask, PyBytes_AS_STRING(self._randomness) + self._used, 4)
        self._used += 4
        return mask

    cdef int _reserve(self, Py_ssize_t size) except -1:
        if size <= self._capacity:
            return 0
        free(self._buffer)
        self._capacity = max(size, 1024)
        self._buffer = <char*>malloc(self._capacity)
        if self._buffer == NULL:
            self._capacity = 0
            raise MemoryError
        return 0
