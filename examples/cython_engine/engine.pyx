"""A signal that is computed in C: cexnet's events come in without a Python call, an await or a queue."""

from libc.math cimport exp
from libc.stdint cimport int64_t

from cexnet_core.clock cimport now_ns
from cexnet_core.events cimport BOOK_TICKER, TRADE, BookTicker, Event, EventSink, Trade
from cexnet_core.latency cimport LatencyRecorder


cdef class Engine(EventSink):
    """Leans where the book and the last seconds' trades lean.

    ``imbalance`` is that of the best prices, -1 (only asks) to 1 (only bids); ``flow`` the traded
    size, bought minus sold, faded by half every ``half_life_s``. ``signals`` counts how often both
    began to point the same way. ``reaction`` is from the socket read to our decision, in ns.

    It belongs to the event loop's thread, as everything that the receive line calls.
    """

    cdef readonly int64_t tickers
    cdef readonly int64_t trades
    cdef readonly int64_t signals
    cdef readonly double imbalance
    cdef readonly double flow
    cdef readonly LatencyRecorder reaction
    cdef double _fade_per_ns
    cdef int64_t _faded_ns
    cdef int _leaning

    def __init__(self, double half_life_s=1.0):
        self.reaction = LatencyRecorder()
        self._fade_per_ns = -0.6931471805599453 / (half_life_s * 1e9)   # ln 2

    cdef int on_event(self, Event event) except -1:
        # The kind is a C integer, the casts are unchecked, the fields plain doubles.
        if event.kind == BOOK_TICKER:
            self.tickers += 1
            self._quote(<BookTicker>event)
        elif event.kind == TRADE:
            self.trades += 1
            self._trade(<Trade>event)
        self._decide()
        self.reaction.record_ns(now_ns() - event.receive_ts_ns)
        return 0

    cdef void _quote(self, BookTicker ticker) noexcept:
        cdef double total = ticker.bid_size + ticker.ask_size
        if total > 0:
            self.imbalance = (ticker.bid_size - ticker.ask_size) / total

    cdef void _trade(self, Trade trade) noexcept:
        if self._faded_ns:
            self.flow *= exp(self._fade_per_ns * (trade.receive_ts_ns - self._faded_ns))
        self._faded_ns = trade.receive_ts_ns
        self.flow += trade.side_sign * trade.size       # +1: a buyer crossed the spread

    cdef void _decide(self) noexcept:
        cdef int leaning = 0
        if self.imbalance > 0.5 and self.flow > 0:
            leaning = 1
        elif self.imbalance < -0.5 and self.flow < 0:
            leaning = -1
        if leaning and leaning != self._leaning:
            self.signals += 1       # here an engine would hand an order to its sender
        self._leaning = leaning
