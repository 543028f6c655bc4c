cimport cython
from libc.stdint cimport int64_t, uint64_t

from cexnet_core.hotring cimport Bound, Ring


cdef class Label:
    cdef readonly str name
    cdef readonly int level
    cdef readonly str text
    cdef object _logger
    cdef Bound _bound


cdef class Drain:
    cdef object __weakref__
    cdef Ring* _ring
    cdef readonly int64_t capacity          # bytes
    cdef readonly bint is_closed
    cdef int64_t _poll_ns                   # 0: no thread of its own
    cdef list _labels                       # by id
    cdef object _writer                     # RecordWriter
    cdef object _lock                       # who drains holds it
    cdef object _thread
    cdef uint64_t _drainer                  # thread that holds the lock, 0: none

    cdef int _open(self) except -1
    cdef int _drain(self, bint polite) except -1
    cdef int _write(self, Label label, tuple arguments, object exception,
                    int64_t at_ns, uint64_t thread) except -1
    cdef int _report_lost(self, int64_t at_ns, uint64_t lost) except -1
    cdef int _report_held_back(self) except -1
