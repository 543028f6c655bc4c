from libc.stdint cimport int64_t


cdef class MessageSink:
    # ``data`` is borrowed for the call only; at least 64 bytes after it may be read.
    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1


cdef class PyMessageSink(MessageSink):
    cdef object _callback


cdef class CloseInfo:
    cdef readonly int code
    cdef readonly str reason
    cdef readonly bint was_clean
    cdef readonly bint unfinished
    cdef readonly object error      # CexnetError | None
