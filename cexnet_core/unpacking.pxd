from libc.stdint cimport int64_t

from cexnet_core.assembly cimport Assembly
from cexnet_core.messages cimport MessageSink


cdef class InflatingSink(MessageSink):
    cdef readonly MessageSink sink
    cdef readonly Py_ssize_t max_bytes
    cdef readonly Py_ssize_t max_ratio
    cdef readonly int64_t unpacked      # messages
    cdef int _window_bits
    cdef bint _validate_utf8
    cdef Assembly _text

    cdef bytes _unpack(self, bytes packed)
