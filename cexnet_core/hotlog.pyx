"""The hot logger: appending a record costs about as much as reading the clock twice.

A ``Template`` says once what a record has in common: logger name, level, text with ``%``
places. A call appends time, thread and up to 8 arguments to a bounded ring, as bytes. One
thread drains the ring into the standard ``logging`` tree, so that handlers, formatters,
structlog and Sentry see ordinary records with their original time, thread, name and level::

    REFUSED = process_log.template("engine", logging.WARNING, "%s refused at %.2f")
    REFUSED.log(symbol, price)

* Nothing here blocks. A record that finds no room is counted in ``lost``, and a
  warning in its place says how many went; one over its template's ``per_second`` is counted in
  ``held_back`` and summed up once a second.
* Records come out in the order in which they went in, those of several threads too.
* ``int``, ``float``, ``str``, ``bytes``, ``bool`` and ``None`` keep their type, texts are cut
  after 1,024 bytes and say so, integers beyond 64 bits are held by reference; anything else is
  turned into an integer or ``str()`` at once, since it may change later.
* The drain thread starts with the first record, looks every 10 ms, holds the GIL for no longer
  than one record or 50 us at a time, and is ended at interpreter exit after a flush. What is
  logged after ``close()`` is written on the spot. ``os._exit`` and a killing signal lose what waits.
* A forked child begins with an empty ring and starts a thread of its own: what waited is the
  parent's to write.
"""

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t, uint64_t

from cexnet_core._hotvalues cimport as_plain, take_value
from cexnet_core.clock cimport ticks_ns
from cexnet_core.hotring cimport (
    EXCEPTION, OBJECT, Record, bound_admits, load, ring_append, ring_peek, ring_release,
)

import logging

from cexnet_core.errors import ConfigurationError

cdef extern from "Python.h":
    uint64_t PyThread_get_thread_ident() noexcept nogil

cdef int64_t MIN_CAPACITY = 1 << 15         # three times the longest record, and some
cdef int64_t MAX_CAPACITY = 1 << 31
cdef object NOTHING = object()


@cython.final
cdef class Template(Label):
    """What records have in common; made by ``HotLog.template``."""

    def __cinit__(self, object made_here=None):
        if made_here is not NOTHING:  # nor by __new__: without a ring it could do nothing but crash
            raise TypeError("a Template is made by HotLog.template()")

    @property
    def per_second(self) -> int:
        """Records a second that are let through; 0: no bound."""
        return self._bound.per_second

    @property
    def held_back(self) -> int:
        """Records over the bound so far."""
        return load(&self._bound.held_back)

    @property
    def is_enabled(self) -> bool:
        """Whether the log's level lets this template through: ask before costly arguments."""
        return self.level >= self._ring.level

    @cython.binding(False)  # a builtin's call is shorter, most of it where the level says no
    def log(self, a=NOTHING, b=NOTHING, c=NOTHING, d=NOTHING, e=NOTHING, f=NOTHING, g=NOTHING,
            h=NOTHING, /, *, BaseException exception=None) -> None:
        """Append a record. Any thread. Arguments that do not fit the text are shown behind it.

        ``exception`` is held until the drain thread has formatted it with its traceback.
        Raises nothing but TypeError, for more than 8 arguments or an ``exception`` that is none.
        """
        cdef Argument arguments[9]
        cdef PyObject* given[8]
        cdef list plain = None
        cdef int count = 0
        cdef int index
        if self.level < self._ring.level:
            return
        given[:] = [<PyObject*>a, <PyObject*>b, <PyObject*>c, <PyObject*>d,
                    <PyObject*>e, <PyObject*>f, <PyObject*>g, <PyObject*>h]
        while count < 8 and given[count] != <PyObject*>NOTHING:
            if not take_value(&arguments[count], <object>given[count]):
                if plain is None:
                    plain = []  # holds what the arguments point into
                stand_in = as_plain(<object>given[count])
                plain.append(stand_in)
                take_value(&arguments[count], stand_in)
            count += 1
        if exception is not None:
            arguments[count] = hot_int(0)
            arguments[count].kind = EXCEPTION
            arguments[count].value.object = <void*>exception
            count += 1
        for index in range(count):
            if arguments[index].kind >= OBJECT:
                Py_INCREF(<object>arguments[index].value.object)
        if not self.append(arguments, count):
            for index in range(count):
                if arguments[index].kind >= OBJECT:
                    Py_DECREF(<object>arguments[index].value.object)

    cdef bint append(self, const Argument* arguments, int count) noexcept nogil:  # hot
        cdef bint taken
        cdef int64_t now_ticks_ns
        if self.level < self._ring.level:
            return False
        if cython.unlikely(not self._ring.is_open):
            self._begin()
        now_ticks_ns = ticks_ns()
        if self._bound.per_second and not bound_admits(&self._bound, self._ring, now_ticks_ns):
            return False
        taken = ring_append(self._ring, self._id, now_ticks_ns, PyThread_get_thread_ident(),
                            arguments, count)
        if cython.unlikely(not self._ring.is_open):
            self._end()
        return taken

    cdef void _begin(self) noexcept with gil:
        self._log._open()

    cdef void _end(self) noexcept with gil:
        self._log.flush()  # after close(): nobody else would

    def __repr__(self):
        return f"<Template {self.name} {logging.getLevelName(self.level)} {self.text!r}>"


cdef class HotLog(Drain):
    """A ring of ``capacity`` bytes (rounded up to a power of two) and the thread that drains it.

    cexnet's own is ``process_log``; most programs need no other. Records below ``level`` are
    cut off where they are made, which costs a comparison; the levels of the ``logging`` tree
    apply when a record is written. ``poll_s``: how often the thread looks; None: no thread,
    ``flush()`` writes what waits. Raises ConfigurationError for a capacity or a ``poll_s`` out
    of range. Close what you make; closing is idempotent.
    """

    def __init__(self, int64_t capacity=1 << 20, *, int level=logging.INFO, poll_s=0.01):
        if self._known is not None:
            raise TypeError("a HotLog is initialized once")
        if not MIN_CAPACITY <= capacity <= MAX_CAPACITY:
            raise ConfigurationError(
                f"HotLog: capacity is {capacity} bytes; {MIN_CAPACITY} to {MAX_CAPACITY} are allowed")
        if poll_s is not None and not 1e-6 <= poll_s <= 60:
            raise ConfigurationError(
                f"HotLog: poll_s is {poll_s}; 0.000001 to 60 seconds are allowed, or None for no thread")
        self.capacity = MIN_CAPACITY
        while self.capacity < capacity:
            self.capacity *= 2
        self._poll_ns = 0 if poll_s is None else int(poll_s * 1e9)
        self._ring.level = level
        self._known = {}

    def template(self, str name not None, int level, str text not None, *,
                 int64_t per_second=0) -> Template:
        """The template of records of logger ``name``; the same one for the same values.

        ``per_second`` bounds how many records pass in a second, 0: no bound. Templates live as
        long as the log. Raises ConfigurationError when it is negative or ``level`` is below 1.
        """
        cdef Template template
        if per_second < 0 or level < 1:
            raise ConfigurationError(
                f"template {text!r}: level is {level} and per_second {per_second}; "
                "at least 1 and 0 are needed")
        key = (name, level, text, per_second)
        template = self._known.get(key)
        if template is None:
            template = Template.__new__(Template, NOTHING)
            template._log = self
            template.name = name
            template.level = level
            template.text = text
            template._logger = logging.getLogger(name)
            template._ring = self._ring
            template._bound.per_second = per_second
            template._id = len(self._labels)
            self._labels.append(template)
            self._known[key] = template
        return template


process_log = HotLog()


def append_cost_ns(int64_t rounds=100_000) -> float:
    """Nanoseconds that one append of three arguments costs from C, averaged over ``rounds``.

    Raises ``ConfigurationError`` when ``rounds`` is below 1.
    """
    cdef HotLog log = HotLog(1 << 20, poll_s=None)
    cdef Template template = log.template("cexnet.hotlog", logging.INFO, "%s %d %f")
    cdef Argument arguments[3]
    cdef int64_t left = rounds
    cdef int64_t total_ns = 0
    cdef int64_t since_ns, batch
    cdef Record* record
    if rounds < 1:
        raise ConfigurationError(f"hotlog.append_cost_ns: rounds is {rounds}, it must be at least 1")
    log._open()
    while left > 0:
        batch = min(left, 4096)
        since_ns = ticks_ns()
        for _ in range(batch):
            arguments[0] = hot_text("BTCUSDT", 7)
            arguments[1] = hot_int(left)
            arguments[2] = hot_float(0.5)
            template.append(arguments, 3)
        total_ns += ticks_ns() - since_ns
        left -= batch
        while True:
            record = ring_peek(log._ring)
            if record == NULL:
                break
            ring_release(log._ring, record)
    return total_ns / <double>rounds
