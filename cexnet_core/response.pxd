"""One HTTP/1.1 response at a time, read out of a buffer of its own."""

from cexnet_core.headers cimport ResponseHeaders


cdef class ResponseParser:
    cdef readonly int status
    cdef readonly ResponseHeaders headers
    cdef readonly bytes body
    cdef readonly bint keep_alive
    cdef readonly bint spoke_unasked
    cdef readonly Py_ssize_t max_body_bytes
    cdef readonly Py_ssize_t max_head_bytes
    cdef bytearray _buffer
    cdef object _view
    cdef Py_ssize_t _room       # bytes of the buffer
    cdef Py_ssize_t _filled     # of which so many are received
    cdef Py_ssize_t _taken      # of which so many are understood
    cdef Py_ssize_t _head       # where the head begins, or the trailers
    cdef Py_ssize_t _body       # where the body begins
    cdef Py_ssize_t _body_end   # and how far it has come, chunks joined
    cdef Py_ssize_t _missing    # of the body or chunk
    cdef int _state
    cdef bint _head_only

    cdef char* _text(self) noexcept
    cdef int _forget(self) except -1
    cdef object _room_for(self, Py_ssize_t wanted)
    cdef int _take_buffer(self, bytearray buffer) except -1
    cdef int _read_head(self) except -1
    cdef int _end_head(self, Py_ssize_t blank) except -1
    cdef int _read_status(self, const char* line, Py_ssize_t size) except -1
    cdef int _choose_framing(self, int minor) except -1
    cdef int _read_content_length(self, const char* text, Py_ssize_t size, bint again) except -1
    cdef int _check_size(self, Py_ssize_t size) except -1
    cdef int _read_length(self) except -1
    cdef int _read_chunks(self) except -1
    cdef int _read_chunk_size(self, const char* line, Py_ssize_t size) except -1
    cdef int _read_trailers(self) except -1
    cdef int _finish(self) except -1
