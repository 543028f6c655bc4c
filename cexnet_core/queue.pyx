"""A bounded queue of events between the socket's read callback and a slower consumer.

What happens when ``capacity`` events wait is the policy's to say:

* ``conflate``     a book ticker takes the place of the one of its symbol that waits, full
                   or not; other kinds, and symbols that do not wait yet, as ``drop_oldest``;
* ``drop_oldest``  the oldest goes;
* ``drop_newest``  the new one goes;
* ``pause``        ``on_full`` is called so that reading stops and TCP pushes back; what has
                   been read already still fits in ``reserve`` more places of 16 bytes, then
                   as ``drop_newest``. One read brings at most what the socket's receive
                   buffer holds, 6 MB where Linux was left as it is (tcp_rmem in tcp(7)):
                   the default has room for all of it at 24 bytes an event;
* ``disconnect``   the new one goes and ``on_full`` is called so that the connection ends.

Every event ends in exactly one count: ``taken``, ``dropped``, ``conflated`` or still
waiting. ``drops`` tells dropped and conflated ones by topic. A dropped depth event leaves
its book with a hole: ``on_gap(symbol)`` says so.

``switch`` changes capacity and policy while events wait, and drops none of them: what is
too much for the new capacity goes as the consumer takes it. ``conflate`` conflates what
waits already.

Everything runs on the event loop's thread; the consumer side in Python is
``cexnet.websocket.delivery``.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from cexnet_core.clock cimport ticks_ns
from cexnet_core.events cimport BOOK_TICKER, DEPTH_SNAPSHOT, DEPTH_UPDATE, Event
from cexnet_core.latency cimport LatencyRecorder

import logging

from cexnet_core.errors import ConfigurationError
from cexnet_core.hotlog import process_log as _process_log
from cexnet_core.stream import KIND_NAMES as _KIND_NAMES

cdef enum:
    CONFLATE
    DROP_OLDEST
    DROP_NEWEST
    PAUSE
    DISCONNECT

POLICIES = ("conflate", "drop_oldest", "drop_newest", "pause", "disconnect")

_CALLBACK_FAILED = _process_log.template(
    "cexnet.queue", logging.ERROR, "%s of an event queue failed; the queue goes on", per_second=10)


cdef class EventQueue:
    """``EventQueue(capacity, policy)``: register it as a handler, take events out of it.

    ``on_full()`` is called once when it fills up (``pause``) or first drops
    (``disconnect``), ``on_room()`` once when half of it is free again; ``on_gap(symbol)``
    for each dropped depth event. They run inside the read callback (``on_room``: inside
    the consumer's call); their exceptions are logged. ``reserve`` counts for ``pause``
    only. Raises ConfigurationError for a capacity below 1 or an unknown policy.
    """

    def __cinit__(self):
        self._events = NULL
        self._put_ns = NULL
        self._tickers = NULL

    def __init__(self, int64_t capacity, str policy not None="drop_oldest", *,
                 int64_t reserve=262_144):
        if self._events != NULL:
            raise TypeError("an EventQueue is initialized once")
        if reserve < 0:
            raise ConfigurationError(f"EventQueue: reserve is {reserve}; at least 0 is needed")
        self._reserve = reserve
        self._lay_out(capacity, policy)
        self.waited = LatencyRecorder()
        self._drops = {}
        self._names = []

    def __dealloc__(self):
        cdef int64_t place
        for place in range(self._size):
            Py_DECREF(<Event>self._events[(self._head + place) % self._slots])
        PyMem_Free(self._events)
        PyMem_Free(self._put_ns)
        PyMem_Free(self._tickers)

    cdef int on_event(self, Event event) except -1:
        cdef int64_t now_ns = ticks_ns()
        cdef Event oldest
        self.received += 1
        if self._policy == CONFLATE and event.kind == BOOK_TICKER and self._replace(event, now_ns):
            return 0
        if self._size >= self._bound:
            if self._policy <= DROP_OLDEST:
                oldest = self._remove_oldest()
                self._append(event, now_ns)
                self._count_drop(oldest)
                return 0
            if self._policy == DISCONNECT and not self.is_full:
                self.is_full = True
                self._notify(self.on_full)
            self._count_drop(event)
            return 0
        self._append(event, now_ns)
        if self._policy == PAUSE and self._size >= self.capacity and not self.is_full:
            self.is_full = True
            self._notify(self.on_full)
        return 0

    cdef int _append(self, Event event, int64_t now_ns) except -1:
        cdef int64_t slot = self._head + self._size
        if slot >= self._slots:
            slot -= self._slots
        if self._policy == CONFLATE and event.kind == BOOK_TICKER and event.symbol_id >= 0:
            self._know(event.symbol_id)
            self._tickers[event.symbol_id].slot = slot + 1
            self._names[event.symbol_id] = event.symbol
        Py_INCREF(event)
        self._events[slot] = <PyObject*>event
        self._put_ns[slot] = now_ns
        self._size += 1
        if self._waker is not None:
            waker, self._waker = self._waker, None
            self._notify(waker)
        return 0

    cdef bint _replace(self, Event event, int64_t now_ns) except -1:
        """Put the ticker in the place of its predecessor. False: none waits."""
        cdef int64_t slot
        cdef PyObject* before
        if not 0 <= event.symbol_id < self._symbols:
            return False
        slot = self._tickers[event.symbol_id].slot - 1
        if slot < 0:
            return False
        before = self._events[slot]
        Py_INCREF(event)
        self._events[slot] = <PyObject*>event
        self._put_ns[slot] = now_ns
        Py_DECREF(<Event>before)
        self.conflated += 1
        self._tickers[event.symbol_id].conflated += 1
        return True

    cdef int _know(self, int32_t symbol_id) except -1:
        cdef int32_t more = max(symbol_id + 1, 2 * self._symbols)
        cdef Ticker* tickers
        if symbol_id < self._symbols:
            return 0
        tickers = <Ticker*>PyMem_Realloc(self._tickers, more * sizeof(Ticker))
        if tickers == NULL:
            raise MemoryError()
        memset(tickers + self._symbols, 0, (more - self._symbols) * sizeof(Ticker))
        self._tickers = tickers
        self._names += [""] * (more - self._symbols)
        self._symbols = more
        return 0

    cdef Event _remove_oldest(self):
        cdef Event event = <Event>self._events[self._head]
        Py_DECREF(event)  # the ring's reference; `event` holds its own
        if self._policy == CONFLATE and event.kind == BOOK_TICKER and event.symbol_id >= 0:
            self._tickers[event.symbol_id].slot = 0  # at most one of a symbol waits
        self._head += 1
        if self._head == self._slots:
            self._head = 0
        self._size -= 1
        return event

    cdef int _count_drop(self, Event event) except -1:
        self.dropped += 1
        # Symbols beyond the SymbolTable's capacity share a count, so that it stays bounded.
        key = (_KIND_NAMES[event.kind], event.symbol if event.symbol_id >= 0 else "")
        self._drops[key] = self._drops.get(key, 0) + 1
        if event.kind == DEPTH_UPDATE or event.kind == DEPTH_SNAPSHOT:
            if self.on_gap is not None:
                self._notify(self.on_gap, event.symbol)
        return 0

    @property
    def drops(self) -> dict:
        """(kind name, symbol) -> events that were dropped or conflated."""
        cdef dict drops = dict(self._drops)
        cdef int32_t symbol_id
        for symbol_id in range(self._symbols):
            if self._tickers[symbol_id].conflated:
                key = (_KIND_NAMES[<int>BOOK_TICKER], self._names[symbol_id])
                drops[key] = drops.get(key, 0) + self._tickers[symbol_id].conflated
        return drops

    cdef int _notify(self, object callback, object argument=None) except -1:
        if callback is None:
            return 0
        try:
            if argument is None:
                callback()
            else:
                callback(argument)
        except Exception as error:
            _CALLBACK_FAILED.log(repr(callback), exception=error)
        return 0

    cdef int _make_room(self) except -1:
        if self.is_full and self._size <= self.capacity // 2:
            self.is_full = False
            self._notify(self.on_room)
        return 0

    cdef int _lay_out(self, int64_t capacity, str policy) except -1:
        """A ring for ``capacity`` and what waits already. Raises before anything has changed."""
        cdef int number
        cdef int64_t bound, slots
        cdef PyObject** events
        cdef int64_t* put_ns
        if capacity < 1:
            raise ConfigurationError(f"EventQueue: capacity is {capacity}; at least 1 is needed")
        if policy not in POLICIES:
            raise ConfigurationError(f"EventQueue: policy is {policy!r}, not one of {POLICIES}")
        number = POLICIES.index(policy)
        bound = capacity + (self._reserve if number == PAUSE else 0)
        slots = max(bound, self._size)
        events = <PyObject**>PyMem_Calloc(slots, sizeof(PyObject*))
        put_ns = <int64_t*>PyMem_Calloc(slots, sizeof(int64_t))
        try:
            if events == NULL or put_ns == NULL:
                raise MemoryError(f"EventQueue: no memory for {slots} events")
            if number == CONFLATE:
                self._know_waiting()
        except BaseException:
            PyMem_Free(events)
            PyMem_Free(put_ns)
            raise
        for place in range(self._size):
            events[place] = self._events[(self._head + place) % self._slots]
            put_ns[place] = self._put_ns[(self._head + place) % self._slots]
        PyMem_Free(self._events)
        PyMem_Free(self._put_ns)
        self._events, self._put_ns = events, put_ns
        self._head, self._slots, self._bound = 0, slots, bound
        self.capacity, self.policy, self._policy = capacity, policy, number
        return 0

    cdef int _know_waiting(self) except -1:
        """Make room in the table for every symbol that has a ticker waiting."""
        cdef int64_t place
        cdef Event event
        for place in range(self._size):
            event = <Event>self._events[(self._head + place) % self._slots]
            if event.kind == BOOK_TICKER and event.symbol_id >= 0:
                self._know(event.symbol_id)
        return 0

    cdef int _conflate_waiting(self) except -1:
        """Leave the newest ticker of each symbol, in the place of the oldest. The head is at 0."""
        cdef int64_t place, kept = 0
        cdef int64_t size = self._size
        cdef Event event
        cdef Ticker* ticker
        for place in range(self._symbols):
            self._tickers[place].slot = 0
        for place in range(size):
            event = <Event>self._events[place]
            if event.kind == BOOK_TICKER and event.symbol_id >= 0:
                ticker = &self._tickers[event.symbol_id]
                if ticker.slot:
                    Py_DECREF(<Event>self._events[ticker.slot - 1])
                    self._events[ticker.slot - 1] = self._events[place]
                    self._put_ns[ticker.slot - 1] = self._put_ns[place]
                    ticker.conflated += 1
                    self.conflated += 1
                    self._size -= 1
                    continue
                ticker.slot = kept + 1
                self._names[event.symbol_id] = event.symbol
            self._events[kept] = self._events[place]
            self._put_ns[kept] = self._put_ns[place]
            kept += 1
        return 0

    def switch(self, int64_t capacity, str policy not None) -> None:
        """Take another capacity and policy from the next event on; nothing that waits is dropped.

        ``on_full`` or ``on_room`` is called when the queue counts as full by one of the two
        policies only. Takes some ns an event that waits. Raises ConfigurationError as the
        constructor, or MemoryError; the queue is as before then.
        """
        cdef bint is_full
        cdef bint still_full = self.is_full and policy == self.policy
        self._lay_out(capacity, policy)
        if self._policy == CONFLATE:
            self._conflate_waiting()
        is_full = (self._policy == PAUSE and self._size >= capacity) or (
            still_full and self._size > capacity // 2)
        if self.is_full != is_full:
            self.is_full = is_full
            self._notify(self.on_full if is_full else self.on_room)

    def pop(self) -> Event | None:
        """The oldest event, None when there is none."""
        cdef int64_t put_ns
        cdef Event event
        if self._size == 0:
            return None
        put_ns = self._put_ns[self._head]
        event = self._remove_oldest()
        self.taken += 1
        self.waited.record_ns(ticks_ns() - put_ns)
        self._make_room()
        return event

    def take(self, int64_t most) -> list:
        """At most ``most`` events, oldest first; empty when there is none."""
        cdef list events = []
        cdef int64_t now_ns = ticks_ns()
        cdef int64_t count = min(most, self._size)
        for _ in range(count):
            self.waited.record_ns(now_ns - self._put_ns[self._head])
            events.append(self._remove_oldest())
        self.taken += len(events)
        self._make_room()
        return events

    def wake(self, waker) -> None:
        """Call ``waker()`` once, at the next event; None: do not. For a consumer that waits."""
        self._waker = waker

    def __len__(self):
        return self._size

    def __repr__(self):
        return (f"<EventQueue {self.policy} {self._size}/{self.capacity} "
                f"dropped={self.dropped} conflated={self.conflated}>")
