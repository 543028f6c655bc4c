from libc.stdint cimport uint32_t
from picows.picows cimport WSMsgType, WSTransport

from cexnet_core.deflate cimport Deflater


cdef class FrameWriter:
    cdef WSTransport _transport
    cdef Deflater _deflater         # None: nothing is compressed
    cdef bytes _randomness
    cdef Py_ssize_t _used           # bytes of it
    cdef char* _buffer
    cdef Py_ssize_t _capacity

    cdef int write(self, WSMsgType kind, object payload) except -1
    cdef int _write_bytes(self, int first_byte, object payload) except -1
    cdef int _put(self, int first_byte, const char* data, Py_ssize_t size) except -1
    cdef uint32_t _next_mask(self) except? 0
    cdef int _reserve(self, Py_ssize_t size) except -1
