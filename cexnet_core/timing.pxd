cimport cython
from libc.stdint cimport int64_t, uint64_t

from cexnet_core.clock cimport ticks_ns
from cexnet_core.events cimport Event
from cexnet_core.latency cimport LatencyRecorder
from cexnet_core.slowest cimport SlowMessages


@cython.final
cdef class LineTimer:
    # Of the messages of one socket read, a later one begins where the one before it ended.
    cdef readonly LatencyRecorder decoded       # receive -> event decoded, ns
    cdef readonly LatencyRecorder dispatched    # event decoded -> handler called, ns
    cdef readonly LatencyRecorder handled       # handler called -> handler returned, ns
    cdef readonly LatencyRecorder total         # receive -> handler returned, ns
    cdef readonly LatencyRecorder one_way       # the exchange's clock -> receive, ns
    cdef readonly SlowMessages slowest
    cdef bint is_on
    cdef bint is_staged                         # this message is timed stage by stage
    cdef uint64_t _mask
    cdef int _run_bits                          # of the mask
    cdef int _place_shift
    cdef int64_t _read_ts_ns                    # wall clock of the socket read, as events carry it
    cdef int64_t _read_ticks_ns
    cdef int64_t _mark_ticks_ns                 # end of the newest event, or of the socket read
    cdef int64_t _began_ticks_ns                # mark before the newest event
    cdef int64_t _decoded_ticks_ns              # 0: already called for; a merge let more out
    cdef int64_t _called_ticks_ns
    cdef int64_t _decoded_ns                    # stages of the newest event
    cdef int64_t _dispatched_ns
    cdef int64_t _handled_ns
    cdef int note(self, Event event, int64_t total_ns) except -1
    cdef int64_t _held_ns(self, Event event) noexcept nogil

    cdef inline void begin_read(self, int64_t receive_ts_ns) noexcept nogil:  # hot
        self._read_ts_ns = receive_ts_ns
        if self.is_on:
            self._read_ticks_ns = self._mark_ticks_ns = ticks_ns()

    cdef inline void begin_message(self, uint64_t number) noexcept nogil:  # hot
        # One of each run, at places spread by steps of the golden ratio (2**64 over it): what comes
        # in turns is sampled alike.
        self.is_staged = self.is_on and (
            number & self._mask
        ) == (((number >> self._run_bits) * <uint64_t>0x9E3779B97F4A7C15) >> self._place_shift) & self._mask

    cdef inline void decoded_event(self) noexcept nogil:  # hot
        if self.is_staged:
            self._decoded_ticks_ns = ticks_ns()

    cdef inline void call_handler(self, Event event) noexcept nogil:  # hot
        if not self.is_staged:
            return
        self._called_ticks_ns = ticks_ns()
        self._decoded_ns = self._dispatched_ns = -1
        if self._decoded_ticks_ns and event.receive_ts_ns == self._read_ts_ns:
            self._decoded_ns = self._decoded_ticks_ns - self._mark_ticks_ns
            self._dispatched_ns = self._called_ticks_ns - self._decoded_ticks_ns
            self.decoded.record_ns(self._decoded_ns)
            self.dispatched.record_ns(self._dispatched_ns)
            self._decoded_ticks_ns = 0
        if event.exchange_ts_ns >= 0 and event.receive_ts_ns >= 0:
            self.one_way.record_ns(event.receive_ts_ns - event.exchange_ts_ns)

    cdef inline int64_t handler_returned(self, Event event) noexcept nogil:  # hot
        """The total in ns; to be given to note() when it exceeds slowest.threshold_ns."""
        cdef int64_t end_ns = ticks_ns()
        cdef int64_t total_ns = end_ns - self._read_ticks_ns
        if event.receive_ts_ns != self._read_ts_ns:
            total_ns = self._held_ns(event)
        self.total.record_ns(total_ns)
        self._began_ticks_ns = self._mark_ticks_ns
        self._mark_ticks_ns = end_ns
        if self.is_staged:
            self._handled_ns = end_ns - self._called_ticks_ns
            self.handled.record_ns(self._handled_ns)
        return total_ns
