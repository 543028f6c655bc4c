cimport cython
from libc.stdint cimport int32_t, int64_t

from cexnet_core.events cimport BOOK_TICKER, CANDLE, Event, is_account
from cexnet_core.stream cimport Stream, StreamSink

cdef enum:
    MEMBERS = 16            # connections that may carry one stream at once
    RECENT = 1024           # newest identities kept where ids have no order
    HELD = 1024             # events of a stream that may wait for another connection


@cython.final
cdef class Merge:
    cdef StreamSink sink
    cdef Stream stream
    cdef int32_t members[MEMBERS]
    cdef int count
    cdef int32_t newest         # connection that brought the newest event
    cdef bint is_unordered      # ids of this stream turned out not to grow
    cdef bint has_foreign       # another connection brings events that nothing tells apart
    cdef dict held              # connection -> its events that wait, oldest first
    cdef int held_count
    cdef int64_t held_since_ns
    cdef int64_t stale_since_ns  # since when the only member brings old events; -1: it does not
    cdef dict recent            # newest identities -> connection that brought each first
    cdef int64_t ring[RECENT]
    cdef int next_slot
    cdef bint has(self, int32_t connection) noexcept nogil
    cdef bint has_others(self, int32_t connection) noexcept nogil
    cdef bint join(self, int32_t connection) noexcept nogil
    cdef void part(self, int32_t connection) noexcept nogil
    cdef int hold(self, Event event) except -1
    cdef list take(self, int32_t connection)
    cdef int remember(self, int64_t identity) except -1
    cdef bint is_settled(self) noexcept nogil
    cdef int leave(self, int32_t connection) except -1
    cdef int release_overdue(self, int64_t now_ns, int64_t patience_ns) except -1
    cdef int arbitrate(self, Event event, int64_t patience_ns) except -1
    cdef int _watch_restart(self, Event event) except -1
    cdef int _place(self, Event event) except -1
    cdef int _pass(self, Event event) except -1
    cdef int _settle(self) except -1
    cdef int32_t _earliest(self) except? -1
    cdef Py_ssize_t _reached(self, list events) except -2
    cdef int _pass_held(self, int32_t connection, Py_ssize_t start, bint is_forced) except -1


cdef Merge new_merge(StreamSink sink, Stream stream)
cdef int64_t identity_of_content(Event event) except? -1


cdef inline bint has_content_only(Event event) noexcept:
    """Whether nothing but its content tells the event from others of its stream."""
    return (
        event.kind == CANDLE or is_account(event.kind)
        or event.kind == BOOK_TICKER and event.sequence < 0 <= event.exchange_ts_ns
    )
