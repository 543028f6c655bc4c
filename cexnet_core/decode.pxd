cimport cython
from libc.stdint cimport int32_t, int64_t

from cexnet_core._reuse cimport Scratch
from cexnet_core.events cimport (
    KIND_COUNT,
    BookTicker,
    Candle,
    DepthSnapshot,
    DepthUpdate,
    Event,
    EventKind,
    EventSink,
    SymbolTable,
    Trade,
)


@cython.final
cdef class Decoder:
    cdef readonly object schema
    cdef readonly SymbolTable symbols
    cdef readonly bint exact
    cdef readonly dict unknown_channels     # channel text -> messages that fit no schema Message
    cdef void* kernel                       # opaque, so that cimporting needs no C++
    cdef bint has_protobuf
    cdef Decoder also                       # reads the same messages a second time, or None
    cdef EventKind* kinds                   # by message id
    cdef list fields                        # by message id: event name, targets and levels
    cdef dict tables                        # interned texts by (type, normalize)
    cdef list texts                         # interned texts other than symbols
    cdef dict text_ids
    cdef list passing                       # texts of this message that the tables have no room for
    cdef const char* data                   # the message being decoded
    cdef Py_ssize_t size
    cdef int outcome                        # the kernel's, when no event could be made
    cdef str trouble                        # why, when the kernel cannot know
    cdef Scratch scratch                    # padded copy of a payload that has no padding
    cdef BookTicker ticker                  # last events, used again when nobody holds them
    cdef Trade trade
    cdef DepthUpdate update
    cdef DepthSnapshot snapshot
    cdef Candle candle
    cdef int64_t shape_count, ondemand_count, protobuf_count, error_count, unknown_count, overflow_count
    cdef int64_t kind_counts[KIND_COUNT]

    # Decodes one message and gives each of its events to `sink`, in order. Never raises
    # for bad input: that becomes a DecodeError event. An exception from the sink propagates.
    # `padded` promises 64 readable bytes after the data.
    cdef int feed(
        self,
        const char* data,
        Py_ssize_t size,
        bint is_text,
        bint padded,
        int64_t receive_ts_ns,
        int32_t connection_id,
        EventSink sink,
    ) except -1

    cdef int load(self, void* into, object plan) except -1
    cdef int load_field(self, void* message, int number, object item) except -1
    cdef int64_t value_of(self, str type_, object value) except? -2
    cdef int64_t text_id(self, str text) except -2
    cdef int trim(self) except -1
    cdef int resolve(self, const char* data, Py_ssize_t size, bint is_text) except -2
    cdef int resolve_slowly(self, const char* data, Py_ssize_t size, bint is_protobuf) except -2
    cdef int intern(self, const void* what, bint may_pass) except -1
    cdef list batch(self, int count, const char* data, Py_ssize_t size)
    cdef Event event(self, int index)
    cdef Event rare_event(self, EventKind kind, const void* record_slots)
    cdef Event odd(self)
    cdef str count_channel(self)
    cdef str reason(self)
