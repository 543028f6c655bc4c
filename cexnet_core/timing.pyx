"""Times the receive line: every event as a whole, one message in ``every`` stage by stage.

Reading the clock costs as much as a stage, so stages are sampled. An event that a merged
stream held back is timed by the wall clock, from its own read to its handler's return.
"""

from libc.stdint cimport int64_t

from cexnet_core.clock cimport now_ns, ticks_ns
from cexnet_core.events cimport Event
from cexnet_core.latency cimport LatencyRecorder
from cexnet_core.slowest cimport SlowMessages, SlowRecord

from cexnet_core.errors import ConfigurationError


cdef class LineTimer:
    """The recorders of one router, and the slowest messages since they were last taken.

    ``every``: one message of each so many of a connection is timed stage by stage, at a place
    that changes, so that traffic with a period of its own is sampled fairly. A power of two up to
    2**20; 1 takes all, 0 times nothing at all. It may be changed at any time. Raises
    ``ConfigurationError`` for another number.
    """

    def __init__(self, every=16):
        self.decoded = LatencyRecorder()
        self.dispatched = LatencyRecorder()
        self.handled = LatencyRecorder()
        self.total = LatencyRecorder()
        self.one_way = LatencyRecorder()
        self.slowest = SlowMessages()
        self.every = every

    @property
    def every(self):
        return self._mask + 1 if self.is_on else 0

    @every.setter
    def every(self, value):
        if not isinstance(value, int) or not 0 <= value <= 1 << 20 or value & (value - 1):
            raise ConfigurationError(
                f"LineTimer: every is {value!r}, it must be a power of two up to {1 << 20}, or 0 for none"
            )
        self.is_on = value > 0
        self._mask = value - 1 if value else 0
        self._run_bits = int(self._mask).bit_length()
        self._place_shift = min(63, 64 - self._run_bits)
        # What is under way was not timed from its beginning: stages begin with the next message.
        self.is_staged = False
        self._read_ticks_ns = self._mark_ticks_ns = ticks_ns()

    cdef int note(self, Event event, int64_t total_ns) except -1:
        """Keep a message that is among the slowest."""
        cdef SlowRecord record
        record.at_ts_ns = now_ns()
        record.total_ns = total_ns
        record.was_held = event.receive_ts_ns != self._read_ts_ns
        record.waited_ns = -1 if record.was_held else self._began_ticks_ns - self._read_ticks_ns
        record.decoded_ns = record.dispatched_ns = record.handled_ns = -1
        if self.is_staged:
            record.decoded_ns = self._decoded_ns
            record.dispatched_ns = self._dispatched_ns
            record.handled_ns = self._handled_ns
        return self.slowest.add(&record, event)

    cdef int64_t _held_ns(self, Event event) noexcept nogil:
        if event.receive_ts_ns < 0:
            return ticks_ns() - self._read_ticks_ns
        return now_ns() - event.receive_ts_ns
