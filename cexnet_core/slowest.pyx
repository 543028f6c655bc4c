"""The slowest messages since they were last asked for, with their stages and what they were.

The receive line compares each total with ``threshold_ns`` and does no more: only a message
that is slower than the fastest one kept is written down here, into C fields.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport INT64_MAX, int32_t, int64_t

from cexnet_core.events cimport Event

from cexnet_core.errors import ConfigurationError
from cexnet_core.slow import SlowMessage
from cexnet_core.stream import KIND_NAMES as _KIND_NAMES


cdef object _or_none(int64_t ns):
    return None if ns < 0 else ns


cdef class SlowMessages:
    """Keeps the ``capacity`` slowest; 0 keeps none. Raises ``ConfigurationError`` below 0."""

    def __cinit__(self):
        self._records = NULL

    def __init__(self, capacity=16):
        self.keep(capacity)

    def __dealloc__(self):
        PyMem_Free(self._records)

    def keep(self, capacity) -> None:
        """Forget what there is and keep the ``capacity`` slowest from now on."""
        cdef SlowRecord* records
        if not 0 <= capacity <= 65_536:
            raise ConfigurationError(f"SlowMessages: capacity is {capacity}, it must be 0 to 65536")
        records = <SlowRecord*>PyMem_Malloc(max(capacity, 1) * sizeof(SlowRecord))
        if records == NULL:
            raise MemoryError(f"SlowMessages: no memory for {capacity} records")
        PyMem_Free(self._records)
        self._records = records
        self._symbols = [""] * capacity
        self.capacity = capacity
        self._forget()

    def _forget(self):
        self._count = 0
        self.threshold_ns = -1 if self.capacity else INT64_MAX

    cdef int add(self, SlowRecord* record, Event event) except -1:
        """Keep ``record``, in the place of the fastest one where there is no other."""
        cdef int32_t place = self._count
        record.received_ts_ns = event.receive_ts_ns
        record.exchange_ts_ns = event.exchange_ts_ns
        record.sequence = event.sequence
        record.connection_id = event.connection_id
        record.kind = event.kind
        if self._count < self.capacity:
            self._count += 1
        else:
            place = self._fastest()
        self._records[place] = record[0]
        self._symbols[place] = event.symbol
        if self._count == self.capacity:
            self.threshold_ns = self._records[self._fastest()].total_ns
        return 0

    cdef int32_t _fastest(self) noexcept nogil:
        cdef int32_t found = 0
        cdef int32_t place
        for place in range(1, self._count):
            if self._records[place].total_ns < self._records[found].total_ns:
                found = place
        return found

    def records(self) -> list:
        """What is kept, slowest first."""
        cdef int32_t place
        cdef SlowRecord* record
        cdef list found = []
        for place in range(self._count):
            record = &self._records[place]
            has_way = record.received_ts_ns >= 0 and record.exchange_ts_ns >= 0
            found.append(SlowMessage(
                record.at_ts_ns,
                record.received_ts_ns,
                _KIND_NAMES[record.kind],
                self._symbols[place] or "",
                record.connection_id,
                record.sequence,
                record.total_ns,
                _or_none(record.waited_ns),
                _or_none(record.decoded_ns),
                _or_none(record.dispatched_ns),
                _or_none(record.handled_ns),
                record.received_ts_ns - record.exchange_ts_ns if has_way else None,
                record.was_held,
            ))
        return sorted(found, key=lambda each: each.total_ns, reverse=True)

    def drain(self) -> list:
        """As ``records()``, and begin anew."""
        found = self.records()
        self._forget()
        return found

    def __len__(self):
        return self._count

    def __repr__(self):
        return f"<SlowMessages {self._count}/{self.capacity} above {self.threshold_ns} ns>"
