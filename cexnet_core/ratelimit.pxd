from libc.stdint cimport int64_t

from cexnet_core.limit cimport Limit

cdef enum:
    MAX_ENTRIES = 4096          # of a RollingWindow; above, grants are coalesced


cdef class TokenBucket(Limit):
    cdef readonly double refill_per_s
    cdef double _level
    cdef double _per_ns
    cdef double _slack              # tokens: what rounding may eat; a debt, it never adds up


cdef class FixedWindow(Limit):
    cdef int64_t _window_ns
    cdef int64_t _guard_ns
    cdef int64_t _offset_ns         # epoch time minus our clock
    cdef bint _aligned
    cdef bint _open
    cdef int64_t _start_ns          # the exchange's boundaries, as we believe
    cdef int64_t _end_ns
    cdef int64_t _used
    cdef int64_t _carry             # the part of _used that may fall in the next window
    cdef int64_t _previous          # _used of the window before

    cdef int64_t _boundary(self, int64_t now_ns) noexcept nogil
    cdef void _open_at(self, int64_t start_ns) noexcept nogil


cdef class RollingWindow(Limit):
    cdef int64_t _window_ns
    cdef int64_t _resolution_ns
    cdef int64_t _slot_ns           # when the newest entry was begun
    cdef int64_t _used
    cdef int64_t* _times            # ring of grants, oldest first; the time is the latest of an entry
    cdef int64_t* _weights
    cdef int _capacity
    cdef int _head
    cdef int _size

    cdef int _at(self, int position) noexcept nogil
