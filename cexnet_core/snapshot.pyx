"""A ``DepthSnapshot`` that did not come from the wire's stream: a book asked for over REST."""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport malloc

from cexnet_core.events cimport DEPTH_SNAPSHOT, DepthSnapshot, Levels, SymbolTable

from cexnet_core.errors import ConfigurationError


def depth_snapshot(SymbolTable symbols not None, str symbol not None, int64_t sequence, bids, asks,
                   *, int64_t exchange_ts_ns=-1, int64_t receive_ts_ns=-1) -> DepthSnapshot:
    """Make the event. ``symbols`` is the table of the router that will deliver it.

    ``bids`` and ``asks`` are (price, size) pairs, best first, as numbers or as decimal
    text; anything after the two is ignored. Raises ConfigurationError when a level is
    something else. The event's ``connection_id`` is -1, and it has no exact twin values.
    """
    cdef DepthSnapshot event = DepthSnapshot.__new__(DepthSnapshot)
    event.kind = DEPTH_SNAPSHOT
    event.symbol_id = symbols.intern(symbol)
    event.connection_id = -1
    event.message_id = -1
    event.symbol = symbol
    event.exchange_ts_ns = exchange_ts_ns
    event.receive_ts_ns = receive_ts_ns
    event.sequence = sequence
    event.first_sequence = -1
    event.prev_sequence = -1
    try:
        fill_levels(&event.bid_levels, list(bids))
        fill_levels(&event.ask_levels, list(asks))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"snapshot of {symbol}: levels are (price, size) pairs of numbers or decimal text: {error}"
        ) from None
    return event


cdef int fill_levels(Levels* levels, object pairs) except -1:
    """Give ``levels``, which must be empty, an array of the pairs."""
    cdef int32_t count = <int32_t>len(pairs)
    cdef int32_t index
    if count == 0:
        return 0
    levels.values = <double*>malloc(<size_t>count * 2 * sizeof(double))
    if levels.values == NULL:
        raise MemoryError(f"no memory for {count} levels")
    levels.capacity = count
    for index in range(count):
        price, size, *_ = pairs[index]
        levels.values[2 * index] = float(price)
        levels.values[2 * index + 1] = float(size)
        levels.count = index + 1
    return 0
