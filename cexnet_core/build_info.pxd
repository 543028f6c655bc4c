cdef const char* build_mode() noexcept nogil    # "release", "debug" or "trace"
