"""Routing: event -> sequence check -> handler, in constant time whatever the number of streams.

A *stream* is one kind of event of one symbol. Each stream has its handler (a Python
callable, or an ``EventSink`` in C), its last sequence and its counters. Nothing here
awaits, queues or allocates; everything runs on the event loop's thread, inside the
socket's read callback.

Connections that bring the same stream are *merged*: the first arrival of each event is
delivered, its copies are ``redundant``, and a gap is one only when no connection filled
it. That begins by itself when a second connection brings a stream (a redundant one, or
the new one of a make-before-break roll) and ends with ``Router.leave(connection_id)``,
to be called whenever a connection has ended. Which events are the same is told by the
sequence, by the trade id (by number where ids are numbers that grow, else among the
newest 1,024), or by the content of a candle or an account's event; events that nothing
tells apart are taken from one connection until it leaves. A connection that is ahead of
the others waits until they catch up, for at most ``patience_ns`` (see merge.pyx).
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy

from cexnet_core._sequence cimport (
    DELIVER, DROP_DUPLICATE, DROP_REORDERED, GAP,
    RULE_INCREASING, RULE_NONE, RULE_PREVIOUS, RULE_RANGE, Verdict, judge_increasing,
)
from cexnet_core.events cimport (
    DEPTH_SNAPSHOT, DEPTH_UPDATE, KIND_COUNT, TRADE, is_account,
    DepthUpdate, Event, EventKind, EventSink, SymbolTable, Trade,
)
from cexnet_core.merge cimport Merge, has_content_only, identity_of_content, new_merge
from cexnet_core.stream cimport MANY, NOBODY, Stream, judge_depth, new_stream, replace_handler

import logging
from asyncio import CancelledError, get_running_loop

from cexnet_core.errors import ConfigurationError
from cexnet_core.hotlog import process_log as _process_log
from cexnet_core.stream import KIND_NAMES as _KIND_NAMES

cdef extern from "Python.h":
    PyObject* PyObject_CallOneArg(PyObject* callable, PyObject* argument)

# An unrouted stream costs one dict entry; a hostile feed must not grow it without bound.
cdef int UNROUTED_LIMIT = 4096

_GAP = _process_log.template(
    "cexnet.route", logging.WARNING, "gap in %s %s: %d to %d are missing", per_second=10)
_HANDLER_FAILED = _process_log.template(
    "cexnet.route", logging.ERROR, "handler of %s %s failed (%d times so far); the connection goes on")
_CALLBACK_FAILED = _process_log.template(
    "cexnet.route", logging.ERROR, "%s failed for %s %s", per_second=10)
_RULES = {"none": RULE_NONE, "increasing": RULE_INCREASING, "range": RULE_RANGE,
          "previous": RULE_PREVIOUS}


def _raise_on_loop(exception) -> None:
    """Ctrl-C or an exit inside a handler: raised by the loop itself, with nothing half delivered."""
    try:
        loop = get_running_loop()
    except RuntimeError:
        raise exception from None
    loop.call_soon(_raise, exception)


def _raise(exception) -> None:
    raise exception


cdef int _raise_pending() except -1:
    """Let Cython raise the exception that a C call has left behind."""
    return -1


cdef int _end_merge(Stream stream) except -1:
    """Back to one connection, or none, where no more is left to be merged."""
    cdef Merge merge = stream.merge
    if merge is not None and merge.is_settled():
        stream.owner = merge.members[0] if merge.count else NOBODY
        stream.merge = None
    return 0


cdef class Router(StreamSink):
    """Delivers each event to the handler of its stream, checking the sequence on the way.

    ``schema`` supplies the sequence rule of each message, ``symbols`` must be the table
    of the decoder that feeds this router. ``on_gap(stream, first_missing, last_missing)``
    (before the event after the gap is delivered), ``on_restart(stream)`` (a snapshot in
    the stream is about to mend a gapped book) and ``on_error(stream, event, exception)``
    are called when set; without ``on_error`` a handler's 1st, 2nd, 4th, 8th ... exception
    is logged. Either way it is counted and never reaches the transport.

    ``timer`` times every event from the socket read that brought it to its handler's return
    (``total``), and the stages of one message in sixteen, since reading the clock costs as much
    as a stage.

    ``patience_ns``: how long an event of a merged stream waits for another connection to
    bring what is missing before it.

    An event whose stream was never added is counted in ``unrouted`` by (kind, symbol).
    """

    def __cinit__(self, schema, SymbolTable symbols not None):
        self._table = NULL
        messages = (*schema.json, *schema.protobuf, *schema.also)
        if len(messages) > 256:
            raise ConfigurationError(
                f"schema {schema.name!r} declares {len(messages)} messages; at most 256 are allowed"
            )
        for index, message in enumerate(messages):
            self.rules[index] = _RULES[message.sequence]
        self.symbols = symbols
        self.timer = LineTimer()
        self.unrouted = {}
        self.patience_ns = 200_000_000
        self._streams = {}
        self._kind_streams = [None] * KIND_COUNT
        self._width = 0
        self._grow(64)

    def __dealloc__(self):
        PyMem_Free(self._table)

    @property
    def decoded(self):
        """Of ``timer``: from the socket read to the event, ns."""
        return self.timer.decoded

    @property
    def handled(self):
        """Of ``timer``: how long handlers took, ns."""
        return self.timer.handled

    @property
    def total(self):
        """Of ``timer``: from the socket read to the handler's return, ns."""
        return self.timer.total

    def add(self, EventKind kind, str symbol not None, handler) -> Stream:
        """Route events of ``kind`` for ``symbol`` to ``handler``; replaces an earlier handler.

        An empty ``symbol`` takes the events of that kind that carry no symbol, and
        those of symbols without a stream of their own. For orders, fills and balances
        it is a stream like any other: the account's.
        """
        cdef Stream stream
        cdef int32_t symbol_id
        if not 0 <= kind < KIND_COUNT:
            raise ConfigurationError(f"event kind {<int>kind} does not exist: choose one of EventKind")
        if handler is self:
            raise ConfigurationError("a router cannot be its own handler")
        if not symbol:
            stream = self._kind_streams[kind]
            if stream is None:
                stream = new_stream(kind, symbol, handler)
                self._kind_streams[kind] = stream
                if is_account(kind):
                    self._streams[(kind, symbol)] = stream
            else:
                replace_handler(stream, handler)
            return stream
        stream = self._streams.get((kind, symbol))
        if stream is not None:
            replace_handler(stream, handler)
            return stream
        stream = new_stream(kind, symbol, handler)
        symbol_id = self.symbols.intern(symbol)
        if symbol_id < 0:
            raise ConfigurationError(
                f"cannot route {symbol!r}: the table of {self.symbols.capacity} symbols is full; "
                "a feed has filled it, make a new manager"
            )
        if symbol_id >= self._width:
            self._grow(max(symbol_id + 1, 2 * self._width))
        self._streams[(kind, symbol)] = stream
        self._table[<Py_ssize_t>kind * self._width + symbol_id] = <PyObject*>stream
        return stream

    def remove(self, EventKind kind, str symbol not None) -> None:
        """Stop routing a stream; its later events count as unrouted. Unknown: no effect."""
        cdef int32_t symbol_id
        if not symbol:
            self._kind_streams[kind] = None
        if self._streams.pop((kind, symbol), None) is not None and symbol:
            symbol_id = self.symbols.intern(symbol)
            self._table[<Py_ssize_t>kind * self._width + symbol_id] = NULL

    def get(self, EventKind kind, str symbol not None) -> Stream | None:
        """The stream of ``kind`` for ``symbol``, if it was added."""
        return self._streams.get((kind, symbol))

    def reset(self) -> None:
        """Forget every last sequence and which connection brings what. Counters stay."""
        cdef Stream stream
        for stream in self._streams.values():
            stream.go_on_after(-1)
            stream.owner = NOBODY
            stream.merge = None
            stream.last_id_length = 0
            stream.last_content = 0

    def leave(self, int32_t connection_id) -> None:
        """Say that a connection has ended: nothing waits for it any more.

        Last sequences stay, so that the first update on the next connection shows
        whether anything was missed in between.
        """
        cdef Stream stream
        cdef Merge merge
        for stream in list(self._streams.values()):
            if stream.merge is None:
                if stream.owner == connection_id:
                    stream.owner = NOBODY
                continue
            merge = stream.merge
            merge.leave(connection_id)
            _end_merge(stream)

    def release_overdue(self, int64_t now_ns) -> None:
        """Deliver what has waited longer than ``patience_ns`` (``now_ns``: wall clock).

        Events do so when they arrive; only a stream that falls silent needs this call.
        """
        cdef Stream stream
        for stream in list(self._streams.values()):
            if stream.merge is not None:
                (<Merge>stream.merge).release_overdue(now_ns, self.patience_ns)

    def deliver(self, Stream stream not None, Event event not None) -> None:
        """Give ``event`` to the stream's own handler, even while diverted, and count it."""
        self._call(stream, stream.own, event)

    def succeed(self, Router before not None) -> None:
        """Take over where another router stands, stream by stream, as when parsers are swapped.

        What it has delivered counts as delivered here, what waits there waits here.
        Counters stay apart. ``before`` must get no more events.
        """
        cdef Stream mine, theirs
        for key, stream in self._streams.items():
            theirs = before._streams.get(key)
            if theirs is None:
                continue
            mine = stream
            mine.seen = theirs.seen
            mine.is_gapped = theirs.is_gapped
            mine.owner = theirs.owner
            mine.last_id_length = theirs.last_id_length
            memcpy(mine.last_id, theirs.last_id, theirs.last_id_length)
            mine.last_content = theirs.last_content
            mine.merge, theirs.merge = theirs.merge, None
            if mine.merge is not None:
                (<Merge>mine.merge).sink = self
                (<Merge>mine.merge).stream = mine

    def streams(self) -> list:
        """All streams of symbols and of the account, in the order they were added."""
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
            if not symbol:
                continue
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
        self.timer.decoded_event()
        cdef Stream stream = self._find(event)
        if stream is None:
            return 0
        if event.connection_id != stream.owner and not self._admit(stream, event):
            return 0
        return self.accept(stream, event)

    cdef int accept(self, Stream stream, Event event) except -1:
        cdef Verdict verdict
        cdef uint8_t rule = self.rule_of(stream, event)
        if rule != RULE_NONE:
            verdict = DELIVER
            if event.kind == DEPTH_UPDATE:
                verdict = judge_depth(stream, <DepthUpdate>event, rule)
            elif event.kind != DEPTH_SNAPSHOT:
                verdict = judge_increasing(&stream.seen, event.sequence)
            elif not self._restart_depth(event):
                stream.redundant += 1
                return 0
            if verdict == DELIVER:
                if event.sequence >= 0:
                    stream.seen.last = event.sequence
            elif verdict == GAP:
                stream.gaps += 1
                stream.is_gapped = True
                stream.seen.gap_first = stream.seen.last + 1
                stream.seen.gap_last = (<DepthUpdate>event).first_sequence - 1
                if stream.seen.gap_last < stream.seen.gap_first:
                    stream.seen.gap_last = event.sequence - 1
                stream.seen.last = event.sequence
                _GAP.log(_KIND_NAMES[stream.kind], stream.symbol,
                         stream.seen.gap_first, stream.seen.gap_last)
                if self.on_gap is not None:
                    self._report(self.on_gap, stream, (stream.seen.gap_first, stream.seen.gap_last))
            elif verdict == DROP_DUPLICATE:
                stream.duplicates += 1
                return 0
            else:
                stream.reorders += 1
                if verdict == DROP_REORDERED:
                    return 0
        elif event.kind == TRADE:
            stream.last_id_length = (<Trade>event).id_length
            memcpy(stream.last_id, (<Trade>event).id_text, sizeof(stream.last_id))
        elif has_content_only(event):
            stream.last_content = identity_of_content(event)
        elif event.sequence > stream.seen.last:
            stream.seen.last = event.sequence
        return self._dispatch(stream, event)

    cdef bint _restart_depth(self, Event event) except -1:
        """A snapshot in the stream restarts the sequence of the same symbol's depth.

        False: another connection carries that book on without a hole, so it must not.
        """
        cdef Stream depth = self._streams.get((DEPTH_UPDATE, event.symbol))
        cdef bint was_gapped
        if depth is None or event.sequence < 0:
            return True
        was_gapped = depth.is_gapped
        if depth.seen.last >= 0 and not was_gapped:
            if depth.merge is not None:
                if (<Merge>depth.merge).has_others(event.connection_id):
                    return False
            elif depth.owner != NOBODY and depth.owner != event.connection_id:
                return False
        depth.go_on_after(event.sequence)
        if was_gapped and self.on_restart is not None:
            self._report(self.on_restart, depth, ())
        return True

    cdef int _dispatch(self, Stream stream, Event event) except -1:
        cdef LineTimer timer = self.timer
        cdef int64_t total_ns
        cdef PyObject* result
        cdef object handler
        timer.call_handler(event)
        if stream.sink is not None:
            self._call_sink(stream, event)
        else:
            handler = stream.handler  # held: it may be replaced while it runs
            # Without try: saving the exception state would cost every event.
            result = PyObject_CallOneArg(<PyObject*>handler, <PyObject*>event)
            if result == NULL:
                self._handler_failed(stream, event)
            else:
                Py_DECREF(<object>result)
                stream.delivered += stream.counting
        if timer.is_on:
            total_ns = timer.handler_returned(event)
            if total_ns > timer.slowest.threshold_ns:
                timer.note(event, total_ns)
        return 0

    cdef int _call_sink(self, Stream stream, Event event) except -1:
        cdef EventSink sink = stream.sink
        try:
            sink.on_event(event)
            stream.delivered += stream.counting
        except BaseException as exception:
            stream.handler_errors += 1
            self._report_error(stream, event, exception)
        return 0

    cdef int _handler_failed(self, Stream stream, Event event) except -1:
        try:
            _raise_pending()
        except BaseException as exception:
            stream.handler_errors += 1
            self._report_error(stream, event, exception)
        return 0

    def _call(self, Stream stream, handler, Event event) -> None:
        try:
            if isinstance(handler, EventSink):
                (<EventSink>handler).on_event(event)
            else:
                handler(event)
            stream.delivered += 1
        except BaseException as exception:
            stream.handler_errors += 1
            self._report_error(stream, event, exception)

    cdef int _report(self, object callback, Stream stream, tuple arguments) except -1:
        try:
            callback(stream, *arguments)
        except Exception as error:
            stream.handler_errors += 1
            _CALLBACK_FAILED.log(repr(callback), _KIND_NAMES[stream.kind], stream.symbol,
                                 exception=error)
        return 0

    def _report_error(self, Stream stream, Event event, exception) -> None:
        if self.on_error is not None:
            try:
                self.on_error(stream, event, exception)
                return
            except BaseException as second:
                exception = second
        if not isinstance(exception, (Exception, CancelledError)):
            _raise_on_loop(exception)
        if stream.handler_errors & (stream.handler_errors - 1):
            return      # logged are the 1st, 2nd, 4th, 8th ...: a broken handler fails every event
        _HANDLER_FAILED.log(_KIND_NAMES[stream.kind], stream.symbol, stream.handler_errors,
                            exception=exception)

    cdef bint _admit(self, Stream stream, Event event) except -1:
        """Whether an event from another connection than the stream's goes on as it is."""
        if not stream.symbol and not is_account(stream.kind):
            return True
        if event.kind == DEPTH_SNAPSHOT and self.rule_of(stream, event) != RULE_NONE:
            return True  # part of the depth stream: _restart_depth judges it
        if stream.owner == NOBODY and not stream.has_begun():
            stream.owner = event.connection_id
            return True
        if stream.merge is None:
            stream.merge = new_merge(self, stream)
            stream.owner = MANY
        (<Merge>stream.merge).arbitrate(event, self.patience_ns)
        _end_merge(stream)
        return False


cdef class Receiver(MessageSink):
    """One connection's sink: message -> decoder -> router, stamping latencies."""

    def __cinit__(self, Decoder decoder not None, Router router not None, int32_t connection_id):
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
        cdef LineTimer timer = self.router.timer
        # Messages of one socket read share its time stamp: later ones waited for earlier ones.
        if receive_ts_ns != self.last_receive_ts_ns:
            self.last_receive_ts_ns = receive_ts_ns
            timer.begin_read(receive_ts_ns)
        timer.begin_message(self.messages)
        self.messages += 1

    def feed(self, bytes payload not None, bint is_text=True, int64_t receive_ts_ns=-1) -> None:
        """Run one message through decoder and router, as replays and tests do."""
        self.last_receive_ts_ns = -2    # each message by itself, whatever its time stamp
        self._begin(receive_ts_ns)
        self.decoder.feed(payload, len(payload), is_text, False, receive_ts_ns,
                          self.connection_id, self.router)
