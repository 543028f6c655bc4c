"""Whose memory may be used again or read past: an event nobody holds, bytes after a message."""

from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject* object) nogil

cdef extern from *:
    """
    #if defined(__SANITIZE_ADDRESS__)
    #define CHECKS_READS 1
    #else
    #define CHECKS_READS 0
    #endif
    #if defined(Py_GIL_DISABLED)
    #define FREE_THREADED 1
    #else
    #define FREE_THREADED 0
    #endif
    """
    const bint FREE_THREADED
    const bint CHECKS_READS         # sanitizers refuse reads past the end

cdef enum:
    PADDING = 64                    # bytes that SIMD loads may read after a message
    PAGE = 4096                     # no platform has smaller pages


# Whether nobody but the decoder holds an event, so that it may be filled again. None counts
# as held. Free-threaded Python shares references in ways that one count does not show.
cdef inline bint is_free(PyObject* event) noexcept nogil:  # hot
    return not FREE_THREADED and Py_REFCNT(event) == 1


# Whether the bytes after the data may be read: they may as long as they lie on the page of
# its last byte, whatever they are.
cdef inline bint may_read_on(const char* data, Py_ssize_t size) noexcept nogil:  # hot
    return ((<size_t>data + <size_t>size - 1) & (PAGE - 1)) < PAGE - PADDING


cdef struct Scratch:
    char* bytes
    Py_ssize_t size


cdef inline void release(Scratch* scratch) noexcept nogil:
    free(scratch.bytes)
    scratch.bytes = NULL
    scratch.size = 0


# A copy of the data with padding behind it. Under the sanitizers it is never longer than
# needed, so that each read past it shows.
cdef inline const char* padded_copy(Scratch* scratch, const char* data, Py_ssize_t size) except NULL:
    cdef Py_ssize_t room = size + PADDING
    if scratch.size < room or CHECKS_READS:
        release(scratch)
        scratch.bytes = <char*>malloc(<size_t>room)
        if scratch.bytes == NULL:
            raise MemoryError()
        scratch.size = room
    memcpy(scratch.bytes, data, <size_t>size)
    memset(scratch.bytes + size, 0, PADDING)
    return scratch.bytes
