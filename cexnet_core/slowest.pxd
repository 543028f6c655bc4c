cimport cython
from libc.stdint cimport int32_t, int64_t

from cexnet_core.events cimport Event


cdef struct SlowRecord:
    int64_t at_ts_ns
    int64_t total_ns
    int64_t waited_ns               # -1: it was held, and no message before it in the read matters
    int64_t decoded_ns              # -1: not timed by stage, or nothing of this stage
    int64_t dispatched_ns
    int64_t handled_ns
    int64_t received_ts_ns          # from here on copied from the event by add()
    int64_t exchange_ts_ns
    int64_t sequence
    int32_t connection_id
    int32_t kind
    bint was_held


@cython.final
cdef class SlowMessages:
    cdef readonly int32_t capacity
    cdef readonly int64_t threshold_ns      # only what took longer gets in
    cdef SlowRecord* _records
    cdef list _symbols
    cdef int32_t _count
    cdef int add(self, SlowRecord* record, Event event) except -1
    cdef int32_t _fastest(self) noexcept nogil
