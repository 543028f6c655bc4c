from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t

cimport cython


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


cdef inline bint is_account(EventKind kind) noexcept nogil:
    """Whether such events tell of an account, whatever the symbol."""
    return ORDER_UPDATE <= kind <= BALANCE_UPDATE


cdef enum:
    EXACT_FIELDS = 6        # decimals of the widest event (Candle)
    INLINE_ID = 40          # bytes of a trade id kept inside the event; a UUID has 36


cdef struct Levels:
    double* values          # price, size, price, size, ...
    int64_t* mantissas      # same order; NULL unless the decoder is exact
    int8_t* scales          # value == mantissa * 10**-scale; -1: does not fit int64
    int32_t count           # levels, not numbers
    int32_t capacity        # levels


cdef struct Exact:          # exact twin of a decimal field; scale -1: not kept
    int64_t mantissa
    int8_t scale


@cython.final
cdef class ExactFields:
    cdef Exact values[EXACT_FIELDS]         # in the order of the event's decimal fields


cdef class Event:
    cdef readonly EventKind kind
    cdef readonly int32_t symbol_id         # index into the decoder's SymbolTable, -1 without symbol
    cdef readonly int32_t connection_id     # -1: not given
    cdef readonly int32_t message_id        # index in schema.json + schema.protobuf, -1 if none
    cdef readonly str symbol
    cdef readonly int64_t exchange_ts_ns    # -1: not given
    cdef readonly int64_t receive_ts_ns     # -1: not given
    cdef readonly int64_t sequence          # -1: not given
    cdef ExactFields exact_fields           # None unless the decoder is exact


@cython.final
cdef class BookTicker(Event):
    cdef readonly double bid_price, bid_size, ask_price, ask_size


@cython.final
cdef class Trade(Event):
    cdef readonly double price, size
    cdef int8_t side_sign                   # +1 buy aggressor, -1 sell, 0 unknown
    cdef uint8_t id_length                  # bytes of id_text in use
    cdef char id_text[INLINE_ID]
    cdef str long_id                        # an id longer than INLINE_ID bytes, else None


cdef class Depth(Event):
    cdef Levels bid_levels, ask_levels
    cdef readonly int64_t first_sequence, prev_sequence


@cython.final
cdef class DepthUpdate(Depth):
    pass


@cython.final
cdef class DepthSnapshot(Depth):
    pass


@cython.final
cdef class Candle(Event):
    cdef readonly double open, high, low, close, volume, quote_volume
    cdef readonly int64_t open_ts_ns, close_ts_ns
    cdef readonly str interval
    cdef readonly bint is_closed


@cython.final
cdef class OrderUpdate(Event):
    cdef readonly double price, quantity, filled_quantity, average_price
    cdef int8_t side_sign
    cdef readonly str status, order_id, client_order_id


@cython.final
cdef class Fill(Event):
    cdef readonly double price, size, fee
    cdef int8_t side_sign
    cdef readonly bint is_maker
    cdef readonly str fee_currency, trade_id, order_id, client_order_id


@cython.final
cdef class BalanceUpdate(Event):
    cdef readonly double free, locked, total
    cdef readonly str asset


@cython.final
cdef class SubscriptionAck(Event):
    cdef readonly bint ok
    cdef readonly str request_id, topic, code, message
    cdef readonly bytes payload


@cython.final
cdef class Pong(Event):
    cdef readonly bytes payload


@cython.final
cdef class RawMessage(Event):
    cdef readonly str channel
    cdef readonly bytes payload


@cython.final
cdef class DecodeError(Event):
    cdef readonly str reason
    cdef readonly bytes payload


cdef class EventSink:
    cdef int on_event(self, Event event) except -1


@cython.final
cdef class SymbolTable:
    cdef readonly list names                # symbol_id -> str
    cdef dict ids                           # str -> symbol_id
    cdef readonly int32_t capacity
    cdef int32_t intern(self, str name) except -2
