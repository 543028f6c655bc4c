"""Latency recording: a log-linear histogram of everything, a ring of the newest samples.

A value from 1 ns to 1 h falls in a bucket whose midpoint differs from it by at most
1/256 (0.39 %): below 256 ns every value has its own bucket, above it each octave is cut
in 128 (the layout of Gil Tene's HdrHistogram). Values outside are clamped to 1 ns or 1 h
before anything else sees them and counted in ``below`` or ``above``. A record goes to the ring
at once and to the histogram with the next few, or when somebody reads: what is read is complete.

A recorder belongs to one thread at a time: from Python the GIL sees to it, a C caller of
``record_ns`` without the GIL must see to it.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.math cimport ceil
from libc.stdint cimport INT64_MAX, int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from cexnet_core.errors import ConfigurationError

# A percentile such as 99.9 is not exact in binary: without this its rank may come out one high.
cdef double RANK_SLACK = 1.0 - 1e-15

cdef str NOT_EARLIER = "LatencyRecorder.since: not an earlier copy of this recorder, or reset since"


cdef inline int64_t _lowest(int bucket) noexcept nogil:
    """The smallest value of a bucket."""
    cdef int shift = (bucket >> 7) - 1 if bucket >= 256 else 0
    return <int64_t>(bucket - (shift << 7)) << shift


@cython.final
cdef class LatencyRecorder:
    """Latencies in nanoseconds: ``record`` them, read percentiles at any time.

    ``capacity`` is how many of the newest samples ``samples`` keeps (8 bytes each); the
    histogram takes 36 KiB whatever the count. Raises ``ConfigurationError`` when it is
    below 1.
    """

    def __cinit__(self, long long capacity=65536):
        if capacity < 1:
            raise ConfigurationError(
                f"LatencyRecorder: capacity is {capacity}, it must be at least 1"
            )
        self.capacity = capacity
        self._ring = <int64_t*>calloc(capacity, sizeof(int64_t))
        self._counts = <int64_t*>calloc(BUCKETS, sizeof(int64_t))
        if self._ring == NULL or self._counts == NULL:
            raise MemoryError(f"LatencyRecorder: no memory for {capacity} samples")
        self._min = INT64_MAX
        self._due = min(capacity, <long long>AT_ONCE)

    def __dealloc__(self):
        free(self._ring)
        free(self._counts)

    def record(self, long long ns):
        """Add one latency in nanoseconds. Raises ``OverflowError`` outside of int64."""
        self.record_ns(ns)

    def percentile(self, double p):
        """The latency in ns that ``p`` percent of the records do not exceed; 0 when empty.

        ``p`` is 0 to 100, else ``ConfigurationError``. Nearest rank, reported as the middle
        of its bucket, but the first rank and the last are exact and nothing lies outside them.
        """
        if not 0.0 <= p <= 100.0:
            raise ConfigurationError(f"LatencyRecorder.percentile: p is {p}, it must be 0 to 100")
        return self._percentile(p)

    cdef void _settle(self) noexcept nogil:
        """Put into the histogram what only the ring has yet."""
        cdef int64_t slot, ns
        cdef int64_t total_ns = 0
        for slot in range(self._settled, self._next):
            ns = self._ring[slot]
            total_ns += ns
            if ns < self._min:
                self._min = ns
            if ns > self._max:
                self._max = ns
            self._counts[cexnet_bucket(ns)] += 1
        self._total_ns += <double>total_ns
        self._count += self._next - self._settled
        if self._next > self._kept:
            self._kept = self._next
        if self._next == self.capacity:
            self._next = 0
        self._settled = self._next
        self._due = min(self._next + AT_ONCE, self.capacity)

    @property
    def count(self):
        """How many were recorded."""
        self._settle()
        return self._count

    cdef int64_t _percentile(self, double p) noexcept nogil:
        self._settle()
        if self._count == 0:
            return 0
        cdef int64_t rank = <int64_t>ceil(p * self._count / 100.0 * RANK_SLACK)
        cdef int64_t seen = 0
        cdef int64_t middle
        cdef int bucket = cexnet_bucket(self._min) - 1
        if rank <= 1:
            return self._min
        if rank >= self._count:
            return self._max
        while seen < rank:
            bucket += 1
            seen += self._counts[bucket]
        middle = (_lowest(bucket) + _lowest(bucket + 1) - 1) // 2
        return min(max(middle, self._min), self._max)

    @property
    def min(self):
        """The smallest record in ns, 0 when empty."""
        self._settle()
        return self._min if self._count else 0

    @property
    def max(self):
        """The largest record in ns, 0 when empty."""
        self._settle()
        return self._max

    @property
    def mean(self):
        """The arithmetic mean of all records in ns, 0.0 when empty."""
        self._settle()
        return self._total_ns / self._count if self._count else 0.0

    @property
    def samples(self):
        """The newest ``min(count, capacity)`` samples: a read-only int64 numpy view, no copy.

        It is the live ring in storage order, it keeps the recorder alive, and later records
        write through it. The oldest sample is at index ``oldest``: ``numpy.roll(samples,
        -oldest)`` is a copy in the order of time.
        """
        import numpy

        self._settle()
        return numpy.frombuffer(self, dtype=numpy.int64)[: self._kept]

    @property
    def oldest(self):
        """Index in ``samples`` of the oldest one; 0 until the ring has filled."""
        self._settle()
        return self._next if self._kept == self.capacity else 0

    def histogram(self):
        """``(bounds, counts)``: int64 numpy arrays, a snapshot from the smallest to the largest.

        ``counts[i]`` records lie in ``[bounds[i], bounds[i + 1])`` ns, so ``bounds`` has one
        item more. Both empty when nothing was recorded.
        """
        import numpy

        self._settle()
        if self._count == 0:
            return numpy.empty(0, numpy.int64), numpy.empty(0, numpy.int64)
        cdef int first = cexnet_bucket(self._min)
        cdef int last = cexnet_bucket(self._max)
        bounds = numpy.array([_lowest(b) for b in range(first, last + 2)], numpy.int64)
        counts = numpy.array([self._counts[b] for b in range(first, last + 1)], numpy.int64)
        return bounds, counts

    def merge(self, LatencyRecorder other not None):
        """Add the other's histogram, extremes and totals to ours; its ring stays its own."""
        cdef int bucket
        self._settle()
        other._settle()
        if other._count == 0:
            return
        for bucket in range(cexnet_bucket(other._min), cexnet_bucket(other._max) + 1):
            self._counts[bucket] += other._counts[bucket]
        self._count += other._count
        self.below += other.below
        self.above += other.above
        self._total_ns += other._total_ns
        self._min = min(self._min, other._min)
        self._max = max(self._max, other._max)

    def copy(self):
        """A recorder with the same histogram, extremes and totals, and an empty ring of one."""
        cdef LatencyRecorder twin = LatencyRecorder(1)
        twin.merge(self)
        twin._resets = self._resets
        return twin

    def since(self, LatencyRecorder earlier not None):
        """What was recorded after ``earlier``, a ``copy()`` of this recorder, was taken.

        Its extremes are the bounds of its outermost buckets, unless they are ours. Raises
        ``ConfigurationError`` when ``earlier`` holds what this one does not: it is no copy
        of it, or this one was reset since.
        """
        cdef LatencyRecorder recent = LatencyRecorder(1)
        cdef int bucket
        cdef int64_t difference
        cdef int first = -1
        cdef int last = -1
        self._settle()
        earlier._settle()
        if earlier._resets != self._resets:
            raise ConfigurationError(NOT_EARLIER)
        if earlier._count and (earlier._min < self._min or earlier._max > self._max):
            raise ConfigurationError(NOT_EARLIER)
        for bucket in range(cexnet_bucket(self._min), cexnet_bucket(self._max) + 1 if self._count else 0):
            difference = self._counts[bucket] - earlier._counts[bucket]
            if difference < 0:
                raise ConfigurationError(NOT_EARLIER)
            recent._counts[bucket] = difference
            if difference:
                first = bucket if first < 0 else first
                last = bucket
        recent._count = self._count - earlier._count
        recent.below = self.below - earlier.below
        recent.above = self.above - earlier.above
        recent._total_ns = self._total_ns - earlier._total_ns
        if last >= 0:
            recent._min = max(_lowest(first), self._min)
            recent._max = min(_lowest(last + 1) - 1, self._max)
        return recent

    def within(self, long long limit_ns):
        """How many records were at most ``limit_ns``, to the precision of a bucket (0.4 %)."""
        cdef int bucket
        cdef int64_t seen = 0
        self._settle()
        if limit_ns < 1:
            return 0
        for bucket in range(cexnet_bucket(min(limit_ns, self._max)) + 1 if self._count else 0):
            seen += self._counts[bucket]
        return seen

    def reset(self):
        """Forget everything. Existing ``samples`` views stay valid and are overwritten later."""
        memset(self._counts, 0, BUCKETS * sizeof(int64_t))
        self._count = self.below = self.above = 0
        self._next = self._settled = self._kept = 0
        self._due = min(self.capacity, AT_ONCE)
        self._min = INT64_MAX
        self._max = 0
        self._total_ns = 0.0
        self._resets += 1

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self._ring, self.capacity * sizeof(int64_t), 1, flags)

    def __repr__(self):
        return (
            f"LatencyRecorder(count={self.count}, p50={self._percentile(50.0)} ns, "
            f"p99={self._percentile(99.0)} ns, max={self._max} ns)"
        )
