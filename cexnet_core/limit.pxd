from libc.stdint cimport int64_t

cdef int64_t NEVER              # the answer to a weight below 0 or above the limit
cdef int64_t UNSETTLED          # a wait that ends when a request under way is settled
cdef int64_t MAX_NS
cdef int64_t MAX_LIMIT


# The C entries take the time from the caller, on the limiter's own clock, and belong to one
# thread at a time.
cdef class Limit:
    cdef readonly int64_t limit
    cdef readonly int64_t last_grant_ns
    cdef readonly object clock
    cdef int64_t _now_ns            # newest time seen: the past is never entered again
    cdef int64_t _blocked_until_ns
    cdef readonly int64_t held      # weight of requests under way: neither free nor yet counted
    cdef readonly int64_t reserved  # weight that is left to others
    cdef int64_t _settled_ns        # grants up to here are in a number the exchange told us

    cdef int64_t try_acquire_c(self, int64_t weight, int64_t now_ns) noexcept nogil
    cdef void give_back_c(self, int64_t weight, int64_t granted_ns, int64_t now_ns) noexcept nogil

    cdef int64_t _clock_ns(self) except? -1
    cdef int _start(self, long long limit, object clock) except -1
    cdef int64_t _wait_c(self, int64_t weight, int64_t now_ns) noexcept nogil
    cdef int64_t _hold_wait_c(self, int64_t weight, int64_t now_ns) noexcept nogil
    cdef void _hold_c(self, int64_t weight) noexcept nogil
    cdef void _settle_c(self, int64_t weight, int64_t now_ns) noexcept nogil
    cdef void _grant_c(self, int64_t weight) noexcept nogil
    # What a shape defines; `_now_ns` is already the present in all but the first.
    cdef void _reserve(self, int64_t weight) noexcept nogil
    cdef void _advance(self, int64_t now_ns) noexcept nogil
    cdef int64_t _room_in_ns(self, int64_t weight) noexcept nogil
    cdef void _take(self, int64_t weight) noexcept nogil
    cdef void _put_back(self, int64_t weight, int64_t granted_ns) noexcept nogil
    cdef void _correct(self, int64_t used, int64_t sent_ns) noexcept nogil
    cdef int64_t _left(self) noexcept nogil
