from libc.stdint cimport int64_t

from cexnet_core.limit cimport Limit


cdef class LimitGroup:
    cdef readonly tuple limits
    cdef readonly int64_t last_grant_ns
    cdef Limit _first
    cdef void** _members            # borrowed from `limits`
    cdef int64_t* _weights          # of the call in progress
    cdef int _count
    cdef int64_t _now_ns
    cdef int64_t _blocked_until_ns

    cdef int64_t try_acquire_c(self, const int64_t* weights, int64_t now_ns) noexcept nogil
    cdef int64_t try_hold_c(self, const int64_t* weights, int64_t now_ns) noexcept nogil

    cdef int64_t _clock_ns(self) except? -1
    cdef int _read_weights(self, object weight) except -1
