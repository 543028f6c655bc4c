"""Below the hot logger: the ring's memory, and the one who drains it into ``logging``.

``hotlog`` says what is promised; here is how. Who drains holds ``_lock``: the thread, or a
caller of ``flush()``. The thread looks into the ring without the GIL and takes it only when
something is there.
"""

from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from cexnet_core._hotvalues cimport restored_arguments
from cexnet_core.clock cimport now_ns, ticks_ns
from cexnet_core.hotring cimport (
    Record, Ring, load, ring_has_news, ring_peek, ring_release, sleep_for,
)

import atexit
import logging
import os
import threading
import time
from weakref import WeakSet

from cexnet_core.logtree import RecordWriter

cdef extern from "Python.h":
    uint64_t PyThread_get_thread_ident() noexcept nogil

cdef int64_t HOLD_NS = 50_000               # of the GIL, while the ring is drained
cdef int64_t REPORT_EVERY_NS = 1_000_000_000
cdef int64_t RETRY_NS = 100_000             # while another thread completes its record
cdef int LATE_ROUNDS = 8                    # after close(), for what handlers log themselves

_drains = WeakSet()


def _begin_afresh_in_child() -> None:
    cdef Drain drain
    for drain in _drains:
        drain._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_afresh_in_child)


cdef class Label:
    """What the drain knows of a template: its logger, its level and its text."""


cdef Label _own_label(str text):
    cdef Label label = Label.__new__(Label)
    label.name = "cexnet.hotlog"
    label.level = logging.WARNING
    label.text = text
    label._logger = logging.getLogger(label.name)
    return label


cdef Label LOST = _own_label("%d records were lost here: the ring of %d bytes was full")
cdef Label HELD_BACK = _own_label("%d more records %r were held back: at most %d a second pass")


cdef class Drain:
    """The part of a ``HotLog`` that outlives a call: memory, thread, flush, close."""

    def __cinit__(self):
        self._ring = <Ring*>PyMem_RawCalloc(1, sizeof(Ring))
        if self._ring == NULL:
            raise MemoryError("HotLog: no memory for its counters")
        self._labels = []
        self._writer = RecordWriter()
        self._lock = threading.Lock()
        _drains.add(self)

    def __dealloc__(self):
        cdef Record* record
        if self._ring.bytes != NULL:
            while True:
                record = ring_peek(self._ring)
                if record == NULL:
                    break
                restored_arguments(record)
                ring_release(self._ring, record)
            PyMem_RawFree(self._ring.bytes)
        PyMem_RawFree(self._ring)

    @property
    def level(self) -> int:
        """Records below it are not taken. May be set at any time, from any thread."""
        return self._ring.level

    @level.setter
    def level(self, int level):
        self._ring.level = level

    @property
    def written(self) -> int:
        """Records that came out of the ring so far, and the log's own warnings."""
        return self._writer.written

    @property
    def handler_errors(self) -> int:
        """Exceptions that got out of a handler so far; ``logging.raiseExceptions`` prints them."""
        return self._writer.handler_errors

    @property
    def lost(self) -> int:
        """Records that found no room so far."""
        return load(&self._ring.lost)

    @property
    def held_back(self) -> int:
        """Records over their template's bound so far."""
        return load(&self._ring.held_back)

    def flush(self, double timeout_s=5.0) -> bool:
        """Write what was appended before this call, on this thread. False: not done in time.

        Blocks, handlers and all: not for the event loop. Inside a handler it does nothing.
        """
        cdef int64_t tail = load(&self._ring.tail)
        cdef double deadline_s = time.monotonic() + timeout_s
        cdef int rounds = 0
        if self._drainer == PyThread_get_thread_ident():
            return False
        while True:
            if not self._lock.acquire(timeout=max(0.0, deadline_s - time.monotonic())):
                return False
            try:
                self._drain(False)
                self._report_held_back()
            finally:
                self._drainer = 0
                self._lock.release()
            if self.is_closed and rounds < LATE_ROUNDS:
                rounds += 1
                tail = load(&self._ring.tail)  # nobody comes by later for what a handler has logged
            if self._ring.head >= tail:
                return True
            if time.monotonic() >= deadline_s:
                return False
            with nogil:
                sleep_for(RETRY_NS)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Flush and end the thread. False: not everything was written in time. Idempotent.

        Inside a handler it waits for nothing, and what is left is written behind it.
        """
        deadline_s = time.monotonic() + timeout_s
        self.is_closed = True
        self._ring.is_open = False
        self._ring.stop = True
        atexit.unregister(self.close)
        thread = self._thread
        # Within a handler the thread is this one, or waits for this one to finish its flush().
        is_in_handler = self._drainer == PyThread_get_thread_ident()
        if thread is not None and thread is not threading.current_thread() and not is_in_handler:
            thread.join(timeout_s)
        return self.flush(max(0.0, deadline_s - time.monotonic()))

    cdef int _open(self) except -1:
        """See to the ring's memory and to a thread that drains it."""
        cdef char* memory
        if self._ring.bytes == NULL:
            memory = <char*>PyMem_RawMalloc(self.capacity)
            if memory == NULL:
                return 0  # the record is counted as lost
            memset(memory, 0, self.capacity)  # touches each page now and not in a hot moment
            self._ring.bytes = memory
            self._ring.capacity = self.capacity
        if self.is_closed or self._thread is not None:
            return 0
        if self._poll_ns and not threading.main_thread().is_alive():
            return 0  # the interpreter ends, and exit handlers added now are not called any more
        self._ring.is_open = True
        if self._poll_ns:
            self._thread = threading.Thread(target=self._run, name="cexnet-hotlog", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends
                self._ring.is_open = False
                self._thread = None
                return 0
            atexit.unregister(self.close)
            atexit.register(self.close)
        return 0

    def _run(self) -> None:
        cdef bint stop = False
        try:
            while not stop:
                with nogil:
                    while not (self._ring.stop or ring_has_news(self._ring, ticks_ns())):
                        sleep_for(self._poll_ns)
                stop = self._ring.stop
                with self._lock:
                    try:
                        self._drain(True)
                        if ticks_ns() >= self._ring.report_after_ticks_ns:
                            self._report_held_back()
                    finally:
                        self._drainer = 0
                if not stop:
                    with nogil:
                        sleep_for(self._poll_ns)
        finally:
            self._ring.is_open = False
            self._thread = None

    def _forget(self) -> None:
        """In a forked child: what waits is the parent's, and its thread is not here."""
        cdef Label label
        if self._ring.bytes != NULL:
            memset(self._ring.bytes, 0, self.capacity)
        self._ring.head = self._ring.tail = 0
        self._ring.reported_lost = self._ring.lost
        self._ring.reported_held_back = self._ring.held_back
        for label in self._labels:
            label._bound.reported = label._bound.held_back
        self._ring.is_open = False
        self._ring.stop = self.is_closed
        self._thread = None
        self._drainer = 0
        self._lock = threading.Lock()

    cdef int _drain(self, bint polite) except -1:
        """Write what is in the ring now. ``polite``: let other threads have the GIL in between."""
        cdef Ring* ring = self._ring
        cdef int64_t end = load(&ring.tail)
        cdef int64_t since_ns = ticks_ns()
        cdef int64_t at_ns
        cdef uint64_t lost, thread
        cdef Label label
        cdef Record* record
        self._drainer = PyThread_get_thread_ident()
        self._writer.wall_minus_ticks_ns = now_ns() - since_ns
        while ring.head < end:
            record = ring_peek(ring)
            if record == NULL:
                break
            label = self._labels[record.template_id]
            arguments, exception = restored_arguments(record)
            at_ns, lost, thread = record.ticks_ns, record.lost, record.thread
            ring_release(ring, record)
            if lost > ring.reported_lost:
                self._report_lost(at_ns, lost)
            self._write(label, arguments, exception, at_ns, thread)
            if polite and ticks_ns() - since_ns > HOLD_NS:
                with nogil:
                    sleep_for(HOLD_NS)
                since_ns = ticks_ns()
        # In this order: what is counted here was lost before the ring was seen to be empty.
        lost = load(&ring.lost)
        if lost > ring.reported_lost and load(&ring.tail) == ring.head:
            self._report_lost(ticks_ns(), lost)
        return 0

    cdef int _report_lost(self, int64_t at_ns, uint64_t lost) except -1:
        cdef uint64_t more = lost - self._ring.reported_lost
        self._ring.reported_lost = lost
        self._write(LOST, (more, self.capacity), None, at_ns, PyThread_get_thread_ident())
        return 0

    cdef int _write(self, Label label, tuple arguments, object exception,
                    int64_t at_ns, uint64_t thread) except -1:
        self._writer.write(label._logger, label.level, label.text, arguments, exception,
                           at_ns, thread)
        return 0

    cdef int _report_held_back(self) except -1:
        cdef Label label
        cdef uint64_t held_back
        if load(&self._ring.held_back) == self._ring.reported_held_back:
            return 0
        self._ring.reported_held_back = load(&self._ring.held_back)
        self._ring.report_after_ticks_ns = ticks_ns() + REPORT_EVERY_NS
        for label in list(self._labels):
            held_back = load(&label._bound.held_back)
            if held_back != label._bound.reported:
                more, label._bound.reported = held_back - label._bound.reported, held_back
                self._write(HELD_BACK, (more, label.text, label._bound.per_second), None,
                            ticks_ns(), PyThread_get_thread_ident())
        return 0

    def __enter__(self) -> Drain:
        return self

    def __exit__(self, kind, error, trace, /) -> None:
        self.close()

    def __repr__(self):
        return (f"<HotLog {self.capacity} bytes, written={self.written} lost={self.lost} "
                f"held_back={self.held_back}>")
