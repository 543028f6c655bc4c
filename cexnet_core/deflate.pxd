cdef class Inflater:
    cdef readonly int window_bits
    cdef readonly bint keep_context
    cdef readonly Py_ssize_t max_ratio
    cdef object _stream             # zlib.decompressobj, None between messages without context
    cdef Py_ssize_t _taken          # compressed bytes of the current message
    cdef Py_ssize_t _given          # inflated bytes of the current message
    cdef int _restarts

    cdef bytes inflate(self, const char* data, Py_ssize_t size, bint last, Py_ssize_t room)
    cdef bytes _inflate(self, bytes data, Py_ssize_t room)


cdef class Deflater:
    cdef readonly int window_bits
    cdef readonly bint keep_context
    cdef readonly Py_ssize_t from_bytes
    cdef object _stream             # zlib.compressobj, None between messages without context

    cdef bytes deflate(self, object payload)


cdef Py_ssize_t inflate_allowance(Py_ssize_t taken, Py_ssize_t max_ratio) noexcept
cdef bytes bounded_inflate(object stream, bytes data, Py_ssize_t room)
