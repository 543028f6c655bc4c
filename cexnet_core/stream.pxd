cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from cexnet_core._sequence cimport (
    RULE_PREVIOUS, RULE_RANGE, Progress, Verdict, judge_increasing, judge_previous, judge_range,
)
from cexnet_core.events cimport INLINE_ID, DepthUpdate, Event, EventKind, EventSink

# Owners of a stream that are no connection: ids of connections have 32 bits.
cdef extern from *:
    const int64_t NOBODY "(-(1LL << 40))"
    const int64_t MANY "(-(1LL << 41))"


@cython.final
cdef class Stream:
    cdef readonly EventKind kind
    cdef readonly str symbol
    cdef object own                         # what Router.add() was given
    cdef object handler                     # where events go now: own, unless diverted
    cdef EventSink sink
    cdef uint64_t counting                  # 1; 0 while diverted
    cdef uint8_t rule_mask                  # 0: events of many symbols, no sequence
    cdef Progress seen
    cdef readonly bint is_gapped
    cdef int64_t owner                      # the one connection that brings it; NOBODY, MANY
    cdef object merge                       # a Merge, or None: it comes on one connection
    cdef uint8_t last_id_length             # of the newest trade
    cdef char last_id[INLINE_ID]
    cdef int64_t last_content               # identity of the newest event told by its content
    cdef readonly uint64_t delivered
    cdef readonly uint64_t gaps
    cdef readonly uint64_t duplicates
    cdef readonly uint64_t redundant
    cdef readonly uint64_t reorders
    cdef readonly uint64_t handler_errors
    cdef bint has_begun(self) noexcept nogil
    cdef void go_on_after(self, int64_t sequence) noexcept


cdef class StreamSink(EventSink):
    cdef uint8_t rules[256]                 # message_id -> rule
    cdef int accept(self, Stream stream, Event event) except -1

    cdef inline uint8_t rule_of(self, Stream stream, Event event) noexcept nogil:  # hot
        if event.message_id < 0:
            return 0
        return self.rules[<uint8_t>event.message_id] & stream.rule_mask


cdef inline Verdict judge_depth(  # hot
    Stream stream, DepthUpdate event, uint8_t rule
) noexcept nogil:
    if rule == RULE_RANGE:
        return judge_range(&stream.seen, event.first_sequence, event.sequence)
    if rule == RULE_PREVIOUS:
        return judge_previous(&stream.seen, event.prev_sequence, event.sequence)
    return judge_increasing(&stream.seen, event.sequence)


cdef Stream new_stream(EventKind kind, str symbol, object handler)
cdef int replace_handler(Stream stream, object handler) except -1
