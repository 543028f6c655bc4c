cimport cython
from libc.stdint cimport int32_t

from cexnet_core.hotdrain cimport Drain, Label
# Re-exported: all that a C caller of ``Template.append`` needs.
from cexnet_core.hotring cimport Argument, Ring, hot_bytes, hot_float, hot_int, hot_text


cdef class HotLog(Drain):
    cdef dict _known                        # the templates, by what they were made of


@cython.final
cdef class Template(Label):
    cdef HotLog _log
    cdef int32_t _id
    cdef Ring* _ring

    # Append a record of at most 8 arguments, from any thread, with or without the GIL. False:
    # it was not taken (below the log's level, over the bound, or no room: then it is counted).
    cdef bint append(self, const Argument* arguments, int count) noexcept nogil
    cdef void _begin(self) noexcept with gil
    cdef void _end(self) noexcept with gil
