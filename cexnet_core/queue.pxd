cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint64_t

from cexnet_core.events cimport Event, EventSink
from cexnet_core.latency cimport LatencyRecorder


cdef struct Ticker:
    int64_t slot            # 1 + slot of the one that waits; 0: none does
    int64_t conflated       # how many were replaced


@cython.final
cdef class EventQueue(EventSink):
    cdef readonly int64_t capacity
    cdef readonly str policy
    cdef readonly uint64_t received
    cdef readonly uint64_t taken
    cdef readonly uint64_t dropped
    cdef readonly uint64_t conflated
    cdef readonly bint is_full              # between on_full and on_room
    cdef readonly LatencyRecorder waited    # put -> taken, ns
    cdef public object on_full
    cdef public object on_room
    cdef public object on_gap
    cdef int _policy
    cdef PyObject** _events                 # ring, owned references
    cdef int64_t* _put_ns
    cdef int64_t _slots                     # places in the ring, at least _bound
    cdef int64_t _bound                     # capacity and, for pause, the reserve
    cdef int64_t _reserve
    cdef int64_t _head                      # slot of the oldest
    cdef int64_t _size
    cdef dict _drops                        # (kind name, symbol) -> dropped events
    cdef Ticker* _tickers                   # by symbol_id
    cdef list _names                        # by symbol_id, of symbols that had a ticker
    cdef int32_t _symbols
    cdef object _waker
    cdef int _append(self, Event event, int64_t now_ns) except -1
    cdef bint _replace(self, Event event, int64_t now_ns) except -1
    cdef int _know(self, int32_t symbol_id) except -1
    cdef Event _remove_oldest(self)
    cdef int _count_drop(self, Event event) except -1
    cdef int _notify(self, object callback, object argument=*) except -1
    cdef int _make_room(self) except -1
    cdef int _lay_out(self, int64_t capacity, str policy) except -1
    cdef int _know_waiting(self) except -1
    cdef int _conflate_waiting(self) except -1
