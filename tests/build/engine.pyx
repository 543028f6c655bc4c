"""A user's own engine: it receives cexnet's events in C, without a Python call per message."""

from libc.stdint cimport int64_t

from cexnet_core.clock cimport monotonic_ns, now_ns
from cexnet_core.decode cimport Decoder
from cexnet_core.events cimport BOOK_TICKER, TRADE, BookTicker, Event, EventSink, Trade
from cexnet_core.frames cimport MessageSink
from cexnet_core.hotlog cimport Argument, Template, hot_float, hot_int, hot_text
from cexnet_core.latency cimport LatencyRecorder
from cexnet_core.ratelimit cimport TokenBucket
from cexnet_core.route cimport Router
from cexnet_core.signing cimport HmacSigner


cdef class Engine(EventSink):
    """Keeps the spread and the traded size, and times itself."""

    cdef readonly int64_t tickers
    cdef readonly int64_t trades
    cdef readonly int64_t others
    cdef readonly double spread
    cdef readonly double traded
    cdef readonly LatencyRecorder latency

    def __init__(self):
        self.latency = LatencyRecorder()

    cdef int on_event(self, Event event) except -1:
        cdef int64_t start_ns = monotonic_ns()
        if event.kind == BOOK_TICKER:
            self.tickers += 1
            self.spread = (<BookTicker>event).ask_price - (<BookTicker>event).bid_price
        elif event.kind == TRADE:
            self.trades += 1
            self.traded += (<Trade>event).size
        else:
            self.others += 1
        self.latency.record_ns(monotonic_ns() - start_ns)
        return 0


cdef class Wire(MessageSink):
    """What a FrameReader feeds: it hands each message to the decoder, and its events to the engine."""

    cdef Decoder decoder
    cdef EventSink sink

    def __init__(self, Decoder decoder not None, EventSink sink not None):
        self.decoder = decoder
        self.sink = sink

    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1:
        self.decoder.feed(data, size, is_text, False, receive_ts_ns, 7, self.sink)
        return 0


def replay(Wire wire not None, list payloads not None, int rounds):
    """Deliver every payload ``rounds`` times, as a transport would."""
    cdef bytes payload
    for _ in range(rounds):
        for payload in payloads:
            wire.on_message(payload, len(payload), True, now_ns())


def sign(HmacSigner signer not None, bytes payload not None) -> bytes:
    """Sign in C, into a buffer of our own."""
    cdef unsigned char out[64]
    signer.digest_into(payload, len(payload), out)
    return out[:signer.digest_size]


def is_granted(TokenBucket bucket not None) -> bool:
    """Ask a limiter in C."""
    return bucket.try_acquire_c(1, monotonic_ns()) == 0


def route_through(Router router not None, Wire wire not None):
    """From now on the events go through cexnet's own router."""
    wire.sink = router


def log_without_the_gil(Template template not None, int64_t producer, int64_t rounds) -> int:
    """Log ``rounds`` records from C; how many were taken."""
    cdef Argument arguments[4]
    cdef int64_t number
    cdef int64_t taken = 0
    with nogil:
        for number in range(rounds):
            arguments[0] = hot_int(producer)
            arguments[1] = hot_int(number)
            arguments[2] = hot_float(number / 4.0)
            arguments[3] = hot_text("0123456789", number % 11)
            taken += template.append(arguments, 4)
    return taken
