"""Header fields of a response, found once and read when asked for."""

cdef struct Field:
    int name
    int name_size
    int value
    int value_size


cdef class ResponseHeaders:
    cdef bytes _lines
    cdef Field* _fields
    cdef int _count
    cdef Field* find(self, const char* name, Py_ssize_t size, int first) noexcept
    cdef bint has_token(self, bytes name, bytes token) except -1
    cdef int after(self, const Field* field) noexcept
    cdef Field* _named(self, object name) except? NULL
    cdef str _name(self, const Field* field)
    cdef str _value(self, const Field* field)
    cdef const char* text(self) noexcept


cdef ResponseHeaders read_headers(const char* lines, Py_ssize_t size)
cdef bint same_letters(const char* one, const char* other, Py_ssize_t size) noexcept nogil  # hot
