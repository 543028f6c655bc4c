"""A stream: one kind of event of one symbol, its handler, its progress and its counters."""

from cexnet_core.events cimport Event, EventKind, EventSink
from libc.stdint cimport int64_t

from inspect import iscoroutinefunction

from cexnet_core.errors import ConfigurationError

KIND_NAMES = (
    "BookTicker", "Trade", "DepthUpdate", "DepthSnapshot", "Candle", "OrderUpdate", "Fill",
    "BalanceUpdate", "SubscriptionAck", "Pong", "RawMessage", "DecodeError",
)


cdef class Stream:
    """Counters of one kind of event of one symbol. Made by :meth:`Router.add`.

    ``delivered`` events reached the handler; ``duplicates`` and (for depth) ``reorders``
    were counted and not delivered; ``redundant`` ones had come on another connection
    before; ``gaps`` are holes in the exchange's sequence. ``is_gapped``: a hole, or an
    update that was dropped later, has not been mended by a snapshot yet.
    """

    def __init__(self):
        raise TypeError("streams are made by Router.add()")

    @property
    def kind_name(self) -> str:
        """Name of the event class, as ``BookTicker``."""
        return KIND_NAMES[self.kind]

    @property
    def last_sequence(self) -> int:
        """The newest sequence; -1: nothing seen since the last reset."""
        return self.seen.last

    @property
    def is_diverted(self) -> bool:
        """Whether events go elsewhere than to the handler of ``Router.add``."""
        return not self.counting

    @property
    def is_merged(self) -> bool:
        """Whether several connections bring it now."""
        return self.merge is not None

    def mark_gapped(self) -> None:
        """Say that the handler has not got every event: one was dropped behind the router."""
        self.is_gapped = True

    def resume(self, int64_t sequence) -> None:
        """Go on after ``sequence``, that of a snapshot, say: what follows it is no gap."""
        self.go_on_after(sequence)

    cdef bint has_begun(self) noexcept nogil:
        """Whether something is known by which an event could be told to be old."""
        return self.seen.last >= 0 or self.last_id_length > 0 or self.last_content != 0

    cdef void go_on_after(self, int64_t sequence) noexcept:
        self.seen.last = sequence
        self.seen.gap_first = 0
        self.seen.gap_last = -1
        self.is_gapped = False

    def divert(self, handler not None) -> None:
        """Give events to ``handler`` until ``restore``; they do not count as delivered.

        May be called from ``Router.on_gap``: the event after the gap is then diverted too.
        """
        _set_handler(self, handler)
        self.counting = 0

    def restore(self) -> None:
        """Give events to the handler of ``Router.add`` again."""
        _set_handler(self, self.own)
        self.counting = 1

    def __repr__(self):
        return (f"<Stream {KIND_NAMES[self.kind]} {self.symbol!r} delivered={self.delivered} "
                f"gaps={self.gaps} duplicates={self.duplicates} redundant={self.redundant} "
                f"reorders={self.reorders}>")


cdef Stream new_stream(EventKind kind, str symbol, object handler):
    cdef Stream stream = Stream.__new__(Stream)
    stream.kind = kind
    stream.symbol = symbol
    stream.rule_mask = 0xFF if symbol else 0
    stream.owner = NOBODY
    stream.counting = 1
    stream.go_on_after(-1)
    _set_handler(stream, handler)
    stream.own = handler
    return stream


cdef int _set_handler(Stream stream, object handler) except -1:
    if isinstance(handler, EventSink):
        stream.sink = <EventSink>handler
        stream.handler = None
        return 0
    if not callable(handler):
        raise ConfigurationError(
            f"handler of {KIND_NAMES[stream.kind]} {stream.symbol!r} is {handler!r}: "
            "give a callable that takes one event, or a compiled EventSink"
        )
    if iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None)):
        raise ConfigurationError(
            f"handler of {KIND_NAMES[stream.kind]} {stream.symbol!r} is a coroutine function, but "
            "handlers are called inline: give a plain function that starts or wakes the coroutine"
        )
    stream.sink = None
    stream.handler = handler
    return 0


cdef int replace_handler(Stream stream, object handler) except -1:
    cdef object now = stream.sink if stream.sink is not None else stream.handler
    _set_handler(stream, handler)
    stream.own = handler
    if not stream.counting:
        _set_handler(stream, now)
    return 0


cdef class StreamSink(EventSink):
    """Takes the events of streams one by one. A Router is one."""

    cdef int accept(self, Stream stream, Event event) except -1:
        raise NotImplementedError(f"{type(self).__name__} does not override accept")
