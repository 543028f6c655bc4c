# Percent-encoding (RFC 3986) into memory of the caller's. Any thread, no GIL.


# Bytes that `escape_into` writes for `text`: at most three times `size`.
cdef Py_ssize_t escaped_size(const unsigned char* text, Py_ssize_t size) noexcept nogil

# Writes `text` with everything but the unreserved characters as %XX in upper case;
# returns the end of what was written.
cdef unsigned char* escape_into(
    const unsigned char* text, Py_ssize_t size, unsigned char* out
) noexcept nogil
