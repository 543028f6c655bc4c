cimport cython
from libc.stdint cimport int32_t, int64_t, uint64_t

from cexnet_core.messages cimport MessageSink


@cython.final
cdef class FrameTap:
    cdef readonly int64_t capacity_bytes
    cdef readonly int64_t waiting_bytes
    cdef readonly uint64_t received
    cdef readonly uint64_t dropped
    cdef list _frames
    cdef uint64_t _dropped_before           # since the newest frame that was kept
    cdef int put(self, const char* data, Py_ssize_t size, bint is_text, int64_t receive_ts_ns,
                 int32_t connection_id) except -1


@cython.final
cdef class TappedSink(MessageSink):
    cdef FrameTap _tap
    cdef MessageSink _sink
    cdef int32_t _connection_id
