"""Routing: event -> sequence check -> handler, in constant time whatever the number of streams.

A *stream* is one kind of event of one symbol. Each stream has its handler (a Python
callable, or an ``EventSink`` in C), its last sequence and its counters. Nothing here
awaits, queues or allocates; everything runs on the event loop's thread, inside the
socket's read callback.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF

from cexnet_core.clock cimport ticks_ns
from cexnet_core.events cimport (
    DEPTH_SNAPSHOT, DEPTH_UPDATE, KIND_COUNT, DepthUpdate,
)

import logging
from inspect import iscoroutinefunction

from cexnet_core.errors import ConfigurationError

cdef extern from "Python.h":
    PyObject* PyObject_CallOneArg(PyObject* callable, PyObject* argument)

cdef enum:
    RULE_NONE = 0
    RULE_INCREASING = 1
    RULE_RANGE = 2
    RULE_PREVIOUS = 3

cdef enum Verdict:
    DELIVER
    DELIVER_LATE
    DROP_DUPLICATE
    DROP_REORDERED
    GAP

# Stages are split on every eighth message of a connection.
cdef uint64_t STAGE_SAMPLE_MASK = 7

# An unrouted stream costs one dict entry; a hostile feed must not grow it without bound.
cdef int UNROUTED_LIMIT = 4096

_logger = logging.getLogger("cexnet.route")
_RULES = {"none": RULE_NONE, "increasing": RULE_INCREASING, "range": RULE_RANGE,
          "previous": RULE_PREVIOUS}
_KIND_NAMES = (
    "BookTicker", "Trade", "DepthUpdate", "DepthSnapshot", "Candle", "OrderUpdate", "Fill",
    "BalanceUpdate", "SubscriptionAck", "Pong", "RawMessage", "DecodeError",
)


cdef class Stream:
    """Counters of one kind of event of one symbol. Made by :meth:`Router.add`.

    ``delivered`` events reached the handler; ``duplicates`` and (for depth) ``reorders``
    were counted and not delivered; ``gaps`` are holes in the exchange's sequence.
    """

    def __init__(self):
        raise TypeError("streams are made by Router.add()")

    @property
    def kind_name(self) -> str:
        """Name of the event class, as ``BookTicker``."""
        return _KIND_NAMES[self.kind]

    def __repr__(self):
        return (f"<Stream {_KIND_NAMES[self.kind]} {self.symbol!r} delivered={self.delivered} "
                f"gaps={self.gaps} duplicates={self.duplicates} reorders={self.reorders}>")


cdef Stream _new_stream(EventKind kind, str symbol, object handler):
    cdef Stream stream = Stream.__new__(Stream)
    stream.kind = kind
    stream.symbol = symbol
    stream.last_sequence = -1
    stream.gap_first = 0
    stream.gap_last = -1
    _set_handler(stream, handler)
    return stream


cdef int _set_handler(Stream stream, object handler) except -1:
    if isinstance(handler, EventSink):
        stream.sink = <EventSink>handler
        stream.handler = None
        return 0
    if not callable(handler):
        raise ConfigurationError(
            f"handler of {_KIND_NAMES[stream.kind]} {stream.symbol!r} is {handler!r}: "
            "give a callable that takes one event, or a compiled EventSink"
        )
    if iscoroutinefunction(handler) or iscoroutinefunction(getattr(handler, "__call__", None)):
        raise ConfigurationError(
            f"handler of {_KIND_NAMES[stream.kind]} {stream.symbol!r} is a coroutine function, but "
            "handlers are called inline: give a plain function that starts or wakes the coroutine"
        )
    stream.sink = None
    stream.handler = handler
    return 0


cdef inline Verdict _judge_range(  # hot
    Stream stream, int64_t first, int64_t last
) noexcept nogil:
    if stream.last_sequence < 0 or last < 0:
        return DELIVER
    if last <= stream.last_sequence:
        if stream.gap_first <= last <= stream.gap_last:
            return DROP_REORDERED
        return DROP_DUPLICATE
    if first > stream.last_sequence + 1:
        return GAP
    return DELIVER


cdef inline Verdict _judge_previous(  # hot
    Stream stream, int64_t previous, int64_t last
) noexcept nogil:
    if stream.last_sequence < 0 or last < 0 or previous == stream.last_sequence:
        return DELIVER
    if last <= stream.last_sequence:
        if stream.gap_first <= last <= stream.gap_last:
            return DROP_REORDERED
        return DROP_DUPLICATE
    return GAP


cdef inline Verdict _judge_increasing(Stream stream, int64_t last) noexcept nogil:  # hot
    if last > stream.last_sequence or last < 0:
        return DELIVER
    if last == stream.last_sequence:
        return DROP_DUPLICATE
    return DELIVER_LATE


cdef int _raise_pending() except -1:
    """Let Cython raise the exception that a C call has left behind."""
    return -1


cdef class Router(EventSink):
    """Delivers each event to the handler of its stream, checking the sequence on the way.

    ``schema`` supplies the sequence rule of each message, ``symbols`` must be the table
    of the decoder that feeds this router. ``on_gap(stream, first_missing, last_missing)``
    and ``on_error(stream, event, exception)`` are called when set; without ``on_error`` a
    handler's 1st, 2nd, 4th, 8th ... exception is logged. Either way it is counted and
    never reaches the transport.

    ``total`` times every event from the socket read that brought it; ``decoded`` and
    ``handled`` split one message in eight, since reading the clock costs as much as a stage.

    An event whose stream was never added is counted in ``unrouted`` by (kind, symbol).
    """

    def __cinit__(self):
        self._table = NULL

    def __init__(self, schema, SymbolTable symbols not None):
        messages = (*schema.json, *schema.protobuf)
        if len(messages) > 256:
            raise ConfigurationError(
                f"schema {schema.name!r} declares {len(messages)} messages; at most 256 are allowed"
            )
        for index, message in enumerate(messages):
            self._rules[index] = _RULES[message.sequence]
        self.symbols = symbols
        self.decoded = LatencyRecorder()
        self.handled = LatencyRecorder()
        self.total = LatencyRecorder()
        self.unrouted = {}
        self._streams = {}
        self._kind_streams = [None] * KIND_COUNT
        self._width = 0
        self._grow(64)

    def __dealloc__(self):
        PyMem_Free(self._table)

    def add(self, EventKind kind, str symbol not None, handler) -> Stream:
        """Route events of ``kind`` for ``symbol`` to ``handler``; replaces an earlier handler.

        An empty ``symbol`` takes the events of that kind that carry no symbol, and
        those of symbols without a stream of their own.
        """
        cdef Stream stream
        cdef int32_t symbol_id
        if not symbol:
            stream = self._kind_streams[kind]
            if stream is None:
                stream = _new_stream(kind, symbol, handler)
                self._kind_streams[kind] = stream
            else:
                _set_handler(stream, handler)
            return stream
        stream = self._streams.get((kind, symbol))
        if stream is not None:
            _set_handler(stream, handler)
            return stream
        stream = _new_stream(kind, symbol, handler)
        symbol_id = self.symbols.intern(symbol)
        if symbol_id >= self._width:
            self._grow(max(symbol_id + 1, 2 * self._width))
        self._streams[(kind, symbol)] = stream
        self._table[<Py_ssize_t>kind * self._width + symbol_id] = <PyObject*>stream
        return stream

    def remove(self, EventKind kind, str symbol not None) -> None:
        """Stop routing a stream; its later events count as unrouted. Unknown: no effect."""
        cdef int32_t symbol_id
        if self._streams.pop((kind, symbol), None) is not None:
            symbol_id = self.symbols.intern(symbol)
            self._table[<Py_ssize_t>kind * self._width + symbol_id] = NULL

    def reset(self) -> None:
        """Forget every last sequence, as after a reconnect. Counters stay."""
        cdef Stream stream
        for stream in self._streams.values():
            stream.last_sequence = -1
            stream.gap_first = 0
            stream.gap_last = -1

    def streams(self) -> list:
        """All streams with a symbol, in the order they were added."""
        return list(self._streams.values())

    cdef int _grow(self, int32_t width) except -1:
        cdef Py_ssize_t cells = <Py_ssize_t>KIND_COUNT * width
        cdef Py_ssize_t cell
        cdef PyObject** table = <PyObject**>PyMem_Malloc(cells * sizeof(PyObject*))
        if table == NULL:
            raise MemoryError()
        for cell in range(cells):
            table[cell] = NULL
        for (kind, symbol), stream in self._streams.items():
            cell = <Py_ssize_t>kind * width + self.symbols.intern(symbol)
            table[cell] = <PyObject*>stream
        PyMem_Free(self._table)
        self._table = table
        self._width = width
        return 0

    cdef inline Stream _find(self, Event event):
        cdef PyObject* cell
        if 0 <= event.symbol_id < self._width:
            cell = self._table[<Py_ssize_t>event.kind * self._width + event.symbol_id]
            if cell != NULL:
                return <Stream>cell
        return self._find_cold(event)

    cdef Stream _find_cold(self, Event event):
        cdef Stream stream = <Stream>self._kind_streams[event.kind]
        if stream is None:
            key = (_KIND_NAMES[event.kind], event.symbol)
            count = self.unrouted.get(key)
            if count is None and len(self.unrouted) >= UNROUTED_LIMIT:
                self.unrouted_overflow += 1
            else:
                self.unrouted[key] = (count or 0) + 1
        return stream

    cdef int on_event(self, Event event) except -1:
        cdef Stream stream = self._find(event)
        cdef Verdict verdict = DELIVER
        cdef uint8_t rule
        cdef DepthUpdate depth
        if stream is None:
            return 0
        rule = self._rules[<uint8_t>event.message_id] if event.message_id >= 0 else <uint8_t>RULE_NONE
        if rule != RULE_NONE:
            if event.kind == DEPTH_UPDATE:
                depth = <DepthUpdate>event
                if rule == RULE_RANGE:
                    verdict = _judge_range(stream, depth.first_sequence, event.sequence)
                elif rule == RULE_PREVIOUS:
                    verdict = _judge_previous(stream, depth.prev_sequence, event.sequence)
                else:
                    verdict = _judge_increasing(stream, event.sequence)
            elif event.kind == DEPTH_SNAPSHOT:
                self._restart_depth(event)
            else:
                verdict = _judge_increasing(stream, event.sequence)
            if verdict == DELIVER:
                if event.sequence >= 0:
                    stream.last_sequence = event.sequence
            elif verdict == GAP:
                stream.gaps += 1
                stream.gap_first = stream.last_sequence + 1
                stream.gap_last = (<DepthUpdate>event).first_sequence - 1
                if stream.gap_last < stream.gap_first:
                    stream.gap_last = event.sequence - 1
                stream.last_sequence = event.sequence
                self._report_gap(stream, stream.gap_first, stream.gap_last)
            elif verdict == DROP_DUPLICATE:
                stream.duplicates += 1
                return 0
            elif verdict == DROP_REORDERED:
                stream.reorders += 1
                return 0
            else:
                stream.reorders += 1
        return self._dispatch(stream, event)

    def _restart_depth(self, Event event) -> None:
        """A snapshot in the stream restarts the sequence of the same symbol's depth."""
        cdef Stream depth = self._streams.get((DEPTH_UPDATE, event.symbol))
        if depth is not None and event.sequence >= 0:
            depth.last_sequence = event.sequence
            depth.gap_first = 0
            depth.gap_last = -1

    cdef int _dispatch(self, Stream stream, Event event) except -1:
        cdef int64_t start_ns = 0
        cdef int64_t end_ns
        cdef PyObject* result
        if self._sampling:
            start_ns = ticks_ns()
            self.decoded.record_ns(start_ns - self._mark_ticks_ns)
        if stream.sink is not None:
            self._call_sink(stream, event)
        else:
            # Without try: saving the exception state would cost every event.
            result = PyObject_CallOneArg(<PyObject*>stream.handler, <PyObject*>event)
            if result == NULL:
                self._handler_failed(stream, event)
            else:
                Py_DECREF(<object>result)
                stream.delivered += 1
        end_ns = ticks_ns()
        self.total.record_ns(end_ns - self._receive_ticks_ns)
        if self._sampling:
            self.handled.record_ns(end_ns - start_ns)
            self._mark_ticks_ns = end_ns
        return 0

    cdef int _call_sink(self, Stream stream, Event event) except -1:
        try:
            stream.sink.on_event(event)
            stream.delivered += 1
        except Exception as exception:
            stream.handler_errors += 1
            self._report_error(stream, event, exception)
        return 0

    cdef int _handler_failed(self, Stream stream, Event event) except -1:
        try:
            _raise_pending()
        except Exception as exception:
            stream.handler_errors += 1
            self._report_error(stream, event, exception)
        return 0

    cdef int _report_gap(self, Stream stream, int64_t first, int64_t last) except -1:
        if self.on_gap is None:
            return 0
        try:
            self.on_gap(stream, first, last)
        except Exception:
            stream.handler_errors += 1
            _logger.exception("on_gap callback failed for %s %s",
                              _KIND_NAMES[stream.kind], stream.symbol)
        return 0

    def _report_error(self, Stream stream, Event event, exception) -> None:
        if self.on_error is not None:
            try:
                self.on_error(stream, event, exception)
                return
            except Exception as second:
                exception = second
        if stream.handler_errors & (stream.handler_errors - 1):
            return      # logged are the 1st, 2nd, 4th, 8th ...: a broken handler fails every event
        _logger.error("handler of %s %s failed (%d times so far); the connection goes on",
                      _KIND_NAMES[stream.kind], stream.symbol, stream.handler_errors,
                      exc_info=exception)


cdef class Receiver(MessageSink):
    """One connection's sink: message -> decoder -> router, stamping latencies."""

    def __init__(self, Decoder decoder not None, Router router not None, int32_t connection_id):
        self.decoder = decoder
        self.router = router
        self.connection_id = connection_id
        self.last_receive_ts_ns = -2     # no read yet; -1 stands for a time not given

    cdef int on_message(self, const char* data, Py_ssize_t size, bint is_text,
                        int64_t receive_ts_ns) except -1:
        self._begin(receive_ts_ns)
        self.decoder.feed(data, size, is_text, True, receive_ts_ns, self.connection_id, self.router)
        return 0

    cdef inline void _begin(self, int64_t receive_ts_ns) noexcept:
        cdef Router router = self.router
        # Messages of one socket read share its time stamp: later ones waited for earlier ones.
        if receive_ts_ns != self.last_receive_ts_ns:
            self.last_receive_ts_ns = receive_ts_ns
            router._receive_ticks_ns = ticks_ns()
        router._sampling = self.messages & STAGE_SAMPLE_MASK == 0
        if router._sampling:
            router._mark_ticks_ns = ticks_ns()
        self.messages += 1

    def feed(self, bytes payload not None, bint is_text=True, int64_t receive_ts_ns=-1) -> None:
        """Run one message through decoder and router, as replays and tests do."""
        self.last_receive_ts_ns = -2    # each message by itself, whatever its time stamp
        self._begin(receive_ts_ns)
        self.decoder.feed(payload, len(payload), is_text, False, receive_ts_ns,
                          self.connection_id, self.router)
