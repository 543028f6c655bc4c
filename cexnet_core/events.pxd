from libc.stdint cimport int8_t, int32_t, int64_t


cpdef enum EventKind:
    BOOK_TICKER = 0
    TRADE = 1
    DEPTH_UPDATE = 2
    DEPTH_SNAPSHOT = 3
    CANDLE = 4
    ORDER_UPDATE = 5
    FILL = 6
    BALANCE_UPDATE = 7
    SUBSCRIPTION_ACK = 8
    PONG = 9
    RAW_MESSAGE = 10
    DECODE_ERROR = 11
    KIND_COUNT = 12


cdef struct Levels:
    double* values          # price, size, price, size, ...
    int64_t* mantissas      # same order; NULL unless the decoder is exact
    int8_t* scales          # value == mantissa * 10**-scale; -1: does not fit int64
    int32_t count           # levels, not numbers
    int32_t capacity        # levels


cdef struct Exact:          # exact twin of a decimal field; scale -1: not kept
    int64_t mantissa
    int8_t scale


cdef class Event:
    cdef readonly EventKind kind
    cdef readonly int32_t symbol_id         # index into the decoder's SymbolTable, -1 without symbol
    cdef readonly int32_t connection_id
    cdef readonly int32_t message_id        # index of the schema Message that matched, -1 if none
    cdef readonly str symbol
    cdef readonly int64_t exchange_ts_ns    # -1: not given
    cdef readonly int64_t receive_ts_ns
    cdef readonly int64_t sequence          # -1: not given


cdef class EventSink:
    cdef int on_event(self, Event event) except -1


cdef class SymbolTable:
    cdef readonly list names                # symbol_id -> str
    cdef int32_t intern(self, str name) except -1
