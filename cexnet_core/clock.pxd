from libc.stdint cimport int64_t

# cpdef at module level dispatches nothing: from C it is one call through a pointer.
cpdef int64_t now_ns() noexcept nogil
cpdef int64_t monotonic_ns() noexcept nogil
cpdef int64_t ticks_ns() noexcept nogil
