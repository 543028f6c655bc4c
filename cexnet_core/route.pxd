cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint64_t

from cexnet_core.decode cimport Decoder
from cexnet_core.events cimport Event, SymbolTable
from cexnet_core.messages cimport MessageSink
from cexnet_core.stream cimport Stream, StreamSink
from cexnet_core.timing cimport LineTimer


@cython.final
cdef class Router(StreamSink):
    cdef readonly SymbolTable symbols
    cdef readonly LineTimer timer
    cdef readonly dict unrouted             # (kind name, symbol) -> events nobody asked for
    cdef readonly uint64_t unrouted_overflow
    cdef public object on_gap
    cdef public object on_restart
    cdef public object on_error
    cdef public int64_t patience_ns
    cdef dict _streams                      # (kind, symbol) -> Stream, owns what _table borrows
    cdef list _kind_streams                 # kind -> Stream of the events without a symbol
    cdef PyObject** _table                  # kind * _width + symbol_id -> Stream, borrowed
    cdef int32_t _width
    cdef inline Stream _find(self, Event event)
    cdef Stream _find_cold(self, Event event)
    cdef int _grow(self, int32_t width) except -1
    cdef int _dispatch(self, Stream stream, Event event) except -1
    cdef int _call_sink(self, Stream stream, Event event) except -1
    cdef int _handler_failed(self, Stream stream, Event event) except -1
    cdef int _report(self, object callback, Stream stream, tuple arguments) except -1
    cdef bint _restart_depth(self, Event event) except -1
    cdef bint _admit(self, Stream stream, Event event) except -1


@cython.final
cdef class Receiver(MessageSink):
    cdef readonly Decoder decoder
    cdef readonly Router router
    cdef readonly int32_t connection_id
    cdef readonly uint64_t messages
    cdef readonly int64_t last_receive_ts_ns
    cdef inline void _begin(self, int64_t receive_ts_ns) noexcept
