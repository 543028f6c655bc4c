from libc.stdint cimport uint64_t


cdef class HmacSigner:
    cdef readonly str algorithm
    cdef readonly int digest_size       # bytes that digest_into writes: 32, 48 or 64
    cdef const void* _hash              # libcrypto's functions; NULL: the objects below are live
    cdef uint64_t _inner[8]             # midstate after key XOR ipad
    cdef uint64_t _outer[8]             # midstate after key XOR opad
    cdef object _inner_object
    cdef object _outer_object

    # Writes digest_size bytes to `out`. Any thread, with or without the GIL (the hashlib
    # fallback takes it); one signer may serve many threads at once.
    cdef int digest_into(
        self, const unsigned char* data, Py_ssize_t size, unsigned char* out
    ) except -1 nogil

    cdef void _sign(
        self, const unsigned char* data, Py_ssize_t size, unsigned char* out
    ) noexcept nogil
    cdef int _sign_with_hashlib(
        self, const unsigned char* data, Py_ssize_t size, unsigned char* out
    ) except -1
    cdef int _sign_object(self, object payload, unsigned char* out) except -1
    cdef int _set_key(self, const unsigned char* key, Py_ssize_t size) except -1
    cdef object _absorb(self, unsigned char* block, int width, int mask, uint64_t* words)
