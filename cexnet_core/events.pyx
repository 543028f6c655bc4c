"""Typed market and account events, and the sink that receives them in C.

Events are made by a ``Decoder`` only. A decoder uses its last event of a kind
again when nobody else holds it, and makes a new one otherwise: an event that was
kept never changes.
"""

from libc.stdint cimport int8_t, int32_t, int64_t
cimport cython
from libc.stdlib cimport free
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.unicode cimport PyUnicode_DecodeUTF8

from cexnet_core.errors import ConfigurationError
from cexnet_core.layout import COMMON, EVENTS, attributes

cdef tuple SIDES = ("sell", "", "buy")
cdef double NOTHING[1]
NOTHING[0] = 0.0


cdef inline str side_text(int8_t sign):
    return <str>SIDES[sign + 1]


@cython.final
cdef class ExactFields:
    """Mantissas and scales of an event's decimal fields."""


@cython.no_gc  # holds texts and numbers only: no cycle can pass through an event
cdef class Event:
    """What every event carries: kind, symbol, connection, times and sequence.

    ``exchange_ts_ns``, ``receive_ts_ns`` and ``sequence`` are -1 and ``symbol`` is
    ``""`` when not given. Raises ``TypeError`` when constructed: only a decoder
    makes events.
    """

    def __init__(self):
        raise TypeError(f"{type(self).__name__} objects are made by a Decoder")

    def exact(self, str field):
        """``(mantissa, scale)`` of a decimal field: its value is mantissa * 10**-scale.

        The pair keeps the digits of the wire; scale -1 says that they do not fit
        64 bits or that the field was not given. Raises ``ConfigurationError`` when
        the decoder was not made with ``exact=True`` or the field is not a decimal.
        """
        decimals = [
            name for name, type_ in EVENTS.get(type(self).__name__, {}).items()
            if type_ == "decimal"
        ]
        if field not in decimals:
            raise ConfigurationError(
                f"{type(self).__name__} has no decimal field {field!r}; it has {decimals}"
            )
        if self.exact_fields is None:
            raise ConfigurationError("exact values need Decoder(..., exact=True)")
        cdef int index = decimals.index(field)
        cdef Exact* value = &self.exact_fields.values[index]
        return (value.mantissa, value.scale)

    def __repr__(self):
        names = (*COMMON, *attributes(type(self).__name__))
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self):
        raise TypeError(f"{type(self).__name__} objects cannot be pickled")


@cython.final
@cython.no_gc
cdef class BookTicker(Event):
    """Best bid and ask of one symbol. NaN: not given."""


@cython.final
@cython.no_gc
cdef class Trade(Event):
    """One trade. ``side`` is the aggressor's: "buy", "sell" or "" (not given)."""

    @property
    def side(self):
        return side_text(self.side_sign)

    @property
    def trade_id(self):
        """The exchange's id as text, "" when not given."""
        if self.long_id is not None:
            return self.long_id
        return PyUnicode_DecodeUTF8(self.id_text, self.id_length, NULL)


@cython.final
cdef class LevelsBuffer:
    """Read-only buffer over one array of a depth event, which it keeps alive."""

    cdef Event owner
    cdef void* items
    cdef Py_ssize_t item_size
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]
    cdef const char* item_format

    def __getbuffer__(self, Py_buffer* view, int flags):
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            view.obj = None
            raise BufferError("levels are read-only")
        view.buf = self.items
        view.len = self.shape[0] * 2 * self.item_size
        view.readonly = 1
        view.itemsize = self.item_size
        view.ndim = 2
        view.format = <char*>self.item_format if flags & PyBUF_FORMAT else NULL
        view.shape = self.shape if flags & PyBUF_ND else NULL
        view.strides = self.strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        view.obj = self


cdef object as_array(Event owner, void* items, int32_t count, Py_ssize_t size, const char* format):
    from numpy import asarray  # costs 100 ms: only for those who ask for arrays

    cdef LevelsBuffer buffer = LevelsBuffer.__new__(LevelsBuffer)
    buffer.owner = owner
    buffer.items = items if items != NULL else <void*>NOTHING
    buffer.item_size = size
    buffer.shape[0] = count
    buffer.shape[1] = 2
    buffer.strides[0] = 2 * size
    buffer.strides[1] = size
    buffer.item_format = format
    return asarray(buffer)


cdef tuple exact_arrays(Event owner, Levels* levels, bint is_exact):
    if not is_exact:
        raise ConfigurationError("exact values need Decoder(..., exact=True)")
    return (
        as_array(owner, levels.mantissas, levels.count, sizeof(int64_t), b"q"),
        as_array(owner, levels.scales, levels.count, sizeof(int8_t), b"b"),
    )


cdef void release(Levels* levels) noexcept:
    free(levels.values)
    free(levels.mantissas)
    free(levels.scales)


@cython.no_gc
cdef class Depth(Event):
    """What depth updates and snapshots share: levels and their sequence range."""

    def __dealloc__(self):
        release(&self.bid_levels)
        release(&self.ask_levels)

    @property
    def bids(self):
        """Bid levels as a read-only (n, 2) float64 array of price and size, no copy."""
        return as_array(
            self, self.bid_levels.values, self.bid_levels.count, sizeof(double), b"d"
        )

    @property
    def asks(self):
        """Ask levels as a read-only (n, 2) float64 array of price and size, no copy."""
        return as_array(
            self, self.ask_levels.values, self.ask_levels.count, sizeof(double), b"d"
        )

    @property
    def bids_exact(self):
        """(n, 2) mantissas and scales of the bids; needs ``Decoder(..., exact=True)``."""
        return exact_arrays(self, &self.bid_levels, self.exact_fields is not None)

    @property
    def asks_exact(self):
        """(n, 2) mantissas and scales of the asks; needs ``Decoder(..., exact=True)``."""
        return exact_arrays(self, &self.ask_levels, self.exact_fields is not None)


@cython.final
@cython.no_gc
cdef class DepthUpdate(Depth):
    """Changed levels of a book; size 0 removes a level."""


@cython.final
@cython.no_gc
cdef class DepthSnapshot(Depth):
    """A whole book, or its best levels."""


@cython.final
@cython.no_gc
cdef class Candle(Event):
    """One candle, complete when ``is_closed``."""


@cython.final
@cython.no_gc
cdef class OrderUpdate(Event):
    """The new state of one of our orders."""

    @property
    def side(self):
        return side_text(self.side_sign)


@cython.final
@cython.no_gc
cdef class Fill(Event):
    """One execution of one of our orders. ``side`` is our side."""

    @property
    def side(self):
        return side_text(self.side_sign)


@cython.final
@cython.no_gc
cdef class BalanceUpdate(Event):
    """The new balance of one asset."""


@cython.final
@cython.no_gc
cdef class SubscriptionAck(Event):
    """The exchange's answer to one of our requests; ``ok`` is False when it refused."""


@cython.final
@cython.no_gc
cdef class Pong(Event):
    """The exchange's answer to an application-level ping."""


@cython.final
@cython.no_gc
cdef class RawMessage(Event):
    """A valid message that no declared message fits."""


@cython.final
@cython.no_gc
cdef class DecodeError(Event):
    """A message that could not be decoded: its bytes, and why. An event, never raised."""


cdef class EventSink:
    """Receives events in C. Subclass it in Cython and override ``on_event``."""

    cdef int on_event(self, Event event) except -1:
        raise NotImplementedError(f"{type(self).__name__} does not override on_event")


@cython.final
cdef class SymbolTable:
    """Symbols and their small integer ids, shared by decoders and routers.

    Holds at most ``capacity`` symbols, so that a hostile feed cannot fill the
    memory; later ones, and those whose text on the wire is longer than 64 bytes, have
    id -1 and their text in ``Event.symbol`` alone: no route leads to them.
    """

    def __init__(self, int32_t capacity=65_536):
        if capacity < 1:
            raise ConfigurationError(f"a SymbolTable needs room for a symbol, not {capacity}")
        self.names = []
        self.ids = {}
        self.capacity = capacity

    cdef int32_t intern(self, str name) except -2:
        found = self.ids.get(name)
        if found is not None:
            return found
        cdef int32_t symbol_id = len(self.names)
        if symbol_id >= self.capacity:
            return -1
        self.names.append(name)
        self.ids[name] = symbol_id
        return symbol_id

    def id_of(self, str name not None):
        """Id of ``name``, interning it when it is new; -1 when the table is full."""
        return self.intern(name)

    def __len__(self):
        return len(self.names)

    def __contains__(self, name):
        return name in self.ids

    def __repr__(self):
        return f"SymbolTable({len(self.names)} of {self.capacity} symbols)"
