# Fragments of one message, joined. Plain C memory, grown by doubling, padded when whole.
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from cexnet_core.utf8 cimport Utf8State, utf8_feed, utf8_start


cdef enum:
    PADDING = 64                # readable bytes that a sink may count on after a message
    KEPT_CAPACITY = 65536       # bytes; a larger buffer is freed after its message


cdef struct Assembly:
    char* data
    Py_ssize_t size
    Py_ssize_t capacity
    bint is_open                # between the first fragment and the last
    bint is_text
    Utf8State utf8


cdef inline void assembly_open(Assembly* self, bint is_text) noexcept nogil:
    self.size = 0
    self.is_open = True
    self.is_text = is_text
    utf8_start(&self.utf8)


cdef inline bint assembly_text_valid(
        Assembly* self, const char* data, Py_ssize_t size, bint last) noexcept nogil:
    return utf8_feed(&self.utf8, data, size) and not (last and self.utf8.missing)


cdef inline bint assembly_append(
        Assembly* self, const char* data, Py_ssize_t size) noexcept nogil:
    # False: out of memory.
    cdef Py_ssize_t needed = self.size + size + PADDING
    cdef Py_ssize_t capacity = self.capacity if self.capacity else 4096
    cdef char* grown
    if needed > self.capacity:
        while capacity < needed:
            capacity *= 2
        grown = <char*>realloc(self.data, capacity)
        if grown == NULL:
            return False
        self.data = grown
        self.capacity = capacity
    memcpy(self.data + self.size, data, size)
    self.size += size
    memset(self.data + self.size, 0, PADDING)
    return True


cdef inline void assembly_drop(Assembly* self) noexcept nogil:
    free(self.data)
    self.data = NULL
    self.size = self.capacity = 0
    self.is_open = False
