# From a record's slots to an event's fields, in the order of layout.py. Private.
from libc.stdint cimport int8_t, int64_t
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cexnet_core._kernel cimport LevelBuffer, Record, Slot
from cexnet_core.events cimport *

cdef enum:
    FIRST = 3                       # slot of an event's first own field
    KEPT_LEVELS = 1 << 14           # a larger buffer is not used again


cdef inline void swap_levels(Levels* levels, LevelBuffer* side) noexcept nogil:  # hot
    cdef Levels old = levels[0]
    levels.values = side.values
    levels.mantissas = side.mantissas
    levels.scales = side.scales
    levels.count = side.count
    levels.capacity = side.capacity
    if old.capacity > KEPT_LEVELS:
        free(old.values)
        free(old.mantissas)
        free(old.scales)
        memset(&old, 0, sizeof(old))
    side.values = old.values
    side.mantissas = old.mantissas
    side.scales = old.scales
    side.capacity = old.capacity
    side.count = 0


cdef inline void fill_ticker(BookTicker event, const Slot* slots) noexcept nogil:  # hot
    event.bid_price = slots[FIRST].number
    event.bid_size = slots[FIRST + 1].number
    event.ask_price = slots[FIRST + 2].number
    event.ask_size = slots[FIRST + 3].number


cdef inline void fill_trade(Trade event, const Slot* slots) noexcept nogil:  # hot
    event.price = slots[FIRST].number
    event.size = slots[FIRST + 1].number
    event.side_sign = <int8_t>slots[FIRST + 2].integer
    cdef int64_t length = slots[FIRST + 3].extra
    event.id_length = 0
    if 0 < length <= INLINE_ID:
        memcpy(event.id_text, slots[FIRST + 3].text, <size_t>length)
        event.id_length = <unsigned char>length


cdef inline void fill_depth(Depth event, Record* record) noexcept nogil:  # hot
    event.first_sequence = record.slots[FIRST].integer
    event.prev_sequence = record.slots[FIRST + 1].integer
    swap_levels(&event.bid_levels, &record.sides[0])
    swap_levels(&event.ask_levels, &record.sides[1])


cdef inline void fill_candle(Candle event, const Slot* slots) noexcept nogil:  # hot
    event.open = slots[FIRST].number
    event.high = slots[FIRST + 1].number
    event.low = slots[FIRST + 2].number
    event.close = slots[FIRST + 3].number
    event.volume = slots[FIRST + 4].number
    event.quote_volume = slots[FIRST + 5].number
    event.open_ts_ns = slots[FIRST + 6].integer
    event.close_ts_ns = slots[FIRST + 7].integer
    event.is_closed = slots[FIRST + 9].integer


cdef inline void fill_exact(ExactFields exact, const Slot* slots) noexcept nogil:  # hot
    # Decimals come first in every event's layout.
    cdef int i
    for i in range(EXACT_FIELDS):
        exact.values[i].mantissa = slots[FIRST + i].extra
        exact.values[i].scale = <int8_t>slots[FIRST + i].scale


cdef inline Event blank(Event event, EventKind kind):
    event.kind = kind
    event.symbol_id = event.connection_id = event.message_id = -1
    event.exchange_ts_ns = event.receive_ts_ns = event.sequence = -1
    event.symbol = ""
    return event


cdef inline str slot_text(const Slot* slot):
    return PyUnicode_DecodeUTF8(slot.text, <Py_ssize_t>slot.extra, NULL)


# Interned texts have ids from 0; -1 is none; below stand the texts of this message alone.
cdef inline str text_of(int64_t text_id, list texts, list passing):
    if text_id >= 0:
        return <str>texts[text_id]
    return <str>passing[-2 - text_id] if text_id < -1 else ""


cdef inline OrderUpdate make_order(const Slot* slots, list texts, list passing):
    cdef OrderUpdate event = blank(OrderUpdate.__new__(OrderUpdate), ORDER_UPDATE)
    event.price = slots[FIRST].number
    event.quantity = slots[FIRST + 1].number
    event.filled_quantity = slots[FIRST + 2].number
    event.average_price = slots[FIRST + 3].number
    event.side_sign = <int8_t>slots[FIRST + 4].integer
    event.status = text_of(slots[FIRST + 5].integer, texts, passing)
    if event.status == "open":
        event.status = "partially_filled" if event.filled_quantity > 0 else "new"
    event.order_id = slot_text(&slots[FIRST + 6])
    event.client_order_id = slot_text(&slots[FIRST + 7])
    return event


cdef inline Fill make_fill(const Slot* slots, list texts, list passing):
    cdef Fill event = blank(Fill.__new__(Fill), FILL)
    event.price = slots[FIRST].number
    event.size = slots[FIRST + 1].number
    event.fee = slots[FIRST + 2].number
    event.side_sign = <int8_t>slots[FIRST + 3].integer
    event.fee_currency = text_of(slots[FIRST + 4].integer, texts, passing)
    event.is_maker = slots[FIRST + 5].integer
    event.trade_id = slot_text(&slots[FIRST + 6])
    event.order_id = slot_text(&slots[FIRST + 7])
    event.client_order_id = slot_text(&slots[FIRST + 8])
    return event


cdef inline BalanceUpdate make_balance(const Slot* slots, list texts, list passing):
    cdef BalanceUpdate event = blank(BalanceUpdate.__new__(BalanceUpdate), BALANCE_UPDATE)
    event.free = slots[FIRST].number
    event.locked = slots[FIRST + 1].number
    event.total = slots[FIRST + 2].number
    event.asset = text_of(slots[FIRST + 3].integer, texts, passing)
    return event


cdef inline SubscriptionAck make_ack(const Slot* slots, bytes payload):
    cdef SubscriptionAck event = blank(SubscriptionAck.__new__(SubscriptionAck), SUBSCRIPTION_ACK)
    event.ok = slots[FIRST].integer
    event.request_id = slot_text(&slots[FIRST + 1])
    event.topic = slot_text(&slots[FIRST + 2])
    event.code = slot_text(&slots[FIRST + 3])
    event.message = slot_text(&slots[FIRST + 4])
    event.payload = payload
    return event


cdef inline Pong make_pong(bytes payload):
    cdef Pong event = blank(Pong.__new__(Pong), PONG)
    event.payload = payload
    return event


cdef inline RawMessage make_raw(str channel, bytes payload):
    cdef RawMessage event = blank(RawMessage.__new__(RawMessage), RAW_MESSAGE)
    event.channel = channel
    event.payload = payload
    return event


cdef inline DecodeError make_error(str reason, bytes payload):
    cdef DecodeError event = blank(DecodeError.__new__(DecodeError), DECODE_ERROR)
    event.reason = reason
    event.payload = payload
    return event
