"""Rate limiters of the shapes that exchanges use, one class each.

``TokenBucket``    refills steadily (Deribit's credits, Kraken's decaying counters)
``FixedWindow``    counts to the limit and starts anew (Binance's minute, Gate's reset time)
``RollingWindow``  at most ``limit`` in any ``window_s`` whatsoever; right when unsure

``try_acquire`` returns 0 when granted, else the nanoseconds until it may be worth trying
again; it never waits. A limiter only errs to the strict side:

* A clock that steps back stands still for a limiter until it has caught up.
* ``observe_used`` takes the count an exchange states. A higher one than ours is believed;
  a lower one is not, because requests under way are in ours and not yet in the exchange's.
* ``give_back`` undoes a grant that was never sent, as far as that cannot loosen the limit:
  not when the grant no longer counts, nor when the exchange has stated its count since.

A limiter belongs to one thread at a time: the GIL sees to it from Python, a C caller of the
entries without the GIL must see to it. Nothing here holds a task or a timer.
"""

cimport cython
from libc.math cimport ceil, floor
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from cexnet_core.limit cimport MAX_NS, Limit

from cexnet_core.errors import ConfigurationError


cdef int64_t _duration_ns(str name, double seconds, bint may_be_zero=False) except -1:
    if not (0 < seconds <= 1e9 or (may_be_zero and seconds == 0)):
        raise ConfigurationError(
            f"{name} is {seconds} s, it must be {'at least' if may_be_zero else 'more than'} 0"
            " and at most 1e9"
        )
    return max(<int64_t>ceil(seconds * 1e9 - 1e-3), 0 if may_be_zero else 1)


@cython.final
cdef class TokenBucket(Limit):
    """``capacity`` tokens at most, full at first, ``refill_per_s`` tokens more each second.

    Raises ``ConfigurationError`` for a capacity below 1 or a refill that is not above 0.
    """

    def __cinit__(self, long long capacity, double refill_per_s, *, clock=None):
        if not 1e-9 <= refill_per_s <= 1e12:
            raise ConfigurationError(
                f"TokenBucket: refill_per_s is {refill_per_s}, it must be 1e-9 to 1e12"
            )
        self._start(capacity, clock)
        self.refill_per_s = refill_per_s
        self._per_ns = refill_per_s / 1e9
        self._level = capacity
        self._slack = capacity * 1e-14

    cdef void _advance(self, int64_t now_ns) noexcept nogil:  # hot
        if now_ns > self._now_ns:
            self._level += (now_ns - self._now_ns) * self._per_ns
            if self._level > self.limit:
                self._level = self.limit
            self._now_ns = now_ns

    cdef void _reserve(self, int64_t weight) noexcept nogil:
        self.reserved = weight
        # The others' part refills too.
        self._per_ns = self.refill_per_s / 1e9 * (<double>(self.limit - weight) / self.limit)

    cdef int64_t _room_in_ns(self, int64_t weight) noexcept nogil:  # hot
        cdef double missing = weight - self._level
        if missing <= self._slack:
            return 0
        return max(1, <int64_t>min(ceil(missing / self._per_ns - 1e-3), <double>MAX_NS))

    cdef void _take(self, int64_t weight) noexcept nogil:  # hot
        self._level -= weight

    cdef void _put_back(self, int64_t weight, int64_t granted_ns) noexcept nogil:
        # Had it not been granted, a full bucket would have let up to this much run over since.
        cdef double lost = max(self._now_ns - granted_ns, 0) * self._per_ns
        if lost < weight:
            self._level = min(self._level + (weight - lost), <double>self.limit)

    cdef void _correct(self, int64_t used, int64_t sent_ns) noexcept nogil:
        self._level = min(self._level, <double>(self.limit - used))

    cdef int64_t _left(self) noexcept nogil:
        return <int64_t>floor(self._level + self._slack)

    def __repr__(self):
        return f"TokenBucket({self.limit}, {self.refill_per_s}/s, {max(self._left(), 0)} left)"


@cython.final
cdef class FixedWindow(Limit):
    """``limit`` in each window of ``window_s`` seconds.

    Without ``epoch_offset_ns`` a window opens with its first grant, as exchanges do that
    announce a reset time. With it the windows start at whole multiples of ``window_s`` of
    the exchange's epoch time, which is our clock plus that offset; ``align`` corrects it.

    ``guard_s`` is how far a request may land from where we think it does: the clocks'
    difference and the way there. Grants that near to a boundary count on both sides of
    it. Without it, two full windows may meet at the boundary as the exchange sees it. A
    window that opened with a grant which was given back is ahead of the exchange's, and may
    let two windows' worth meet as well. If you know neither alignment nor guard, or give
    back, use a ``RollingWindow``.

    Raises ``ConfigurationError`` for a limit below 1, a window that is not above 0 s or
    a guard that is not below half of it.
    """

    def __cinit__(
        self, long long limit, double window_s, *, epoch_offset_ns=None, double guard_s=0.0, clock=None
    ):
        self._window_ns = _duration_ns("FixedWindow: window_s", window_s)
        self._guard_ns = _duration_ns("FixedWindow: guard_s", guard_s, True)
        if 2 * self._guard_ns >= self._window_ns:
            raise ConfigurationError(
                f"FixedWindow: guard_s is {guard_s}, it must be below half of window_s ({window_s})"
            )
        self._start(limit, clock)
        self._aligned = epoch_offset_ns is not None
        if self._aligned:
            self._offset_ns = epoch_offset_ns
            self._open_at(self._boundary(self._now_ns))

    @property
    def window_s(self):
        """Length of the window in seconds."""
        return self._window_ns / 1e9

    cdef int64_t _boundary(self, int64_t now_ns) noexcept nogil:
        """Where the window began that counts at ``now_ns``; it counts ``guard`` longer."""
        cdef int64_t since = (now_ns - self._guard_ns + self._offset_ns) % self._window_ns
        if since < 0:
            since += self._window_ns
        return now_ns - self._guard_ns - since

    cdef void _open_at(self, int64_t start_ns) noexcept nogil:
        self._open = True
        self._start_ns = start_ns
        self._end_ns = start_ns + self._window_ns

    cdef void _advance(self, int64_t now_ns) noexcept nogil:  # hot
        if now_ns <= self._now_ns:
            return
        self._now_ns = now_ns
        if not self._open or now_ns < self._end_ns + self._guard_ns:
            return
        cdef bint next_one = now_ns < self._end_ns + self._window_ns + self._guard_ns
        self._previous = self._used if next_one else 0
        self._used = self._carry if next_one else 0
        self._carry = 0
        if self._aligned:
            self._open_at(self._boundary(now_ns))
        elif self._used > 0:
            self._open_at(now_ns)
        else:
            self._open = False

    cdef int64_t _room_in_ns(self, int64_t weight) noexcept nogil:  # hot
        if self._used + weight <= self.limit:
            return 0
        # A carry may leave too little room even then: it is the second wait that tells.
        return self._end_ns + self._guard_ns - self._now_ns

    cdef void _take(self, int64_t weight) noexcept nogil:  # hot
        if not self._open:
            self._open_at(self._now_ns)
        self._used += weight
        if self._now_ns >= self._end_ns - self._guard_ns:
            self._carry += weight

    cdef void _put_back(self, int64_t weight, int64_t granted_ns) noexcept nogil:
        if self._open and granted_ns >= self._start_ns - self._guard_ns:
            self._used = max(self._used - weight, 0)
            if granted_ns >= self._end_ns - self._guard_ns:
                self._carry = max(self._carry - weight, 0)

    cdef void _correct(self, int64_t used, int64_t sent_ns) noexcept nogil:
        if self._open and sent_ns < self._start_ns:
            return
        if used > self._used:
            if not self._open:
                self._open_at(self._now_ns)
            self._used = used

    cdef int64_t _left(self) noexcept nogil:
        return self.limit - self._used

    def align(self, long long epoch_offset_ns):
        """Set the exchange's epoch time minus our clock, as a clock sync measures it anew.

        A change within ``guard_s`` is ignored: the guard covers it. After any other one,
        grants count that may lie in the window as it is believed to be now. Raises
        ``ConfigurationError`` for a window that was made without an offset.
        """
        if not self._aligned:
            raise ConfigurationError("FixedWindow.align: this window has no epoch_offset_ns")
        if abs(epoch_offset_ns - self._offset_ns) <= self._guard_ns:
            return
        self._advance(self._clock_ns())
        self._offset_ns = epoch_offset_ns
        cdef int64_t start_ns = self._boundary(self._now_ns)
        if start_ns < self._start_ns:
            self._used += self._previous
        self._open_at(start_ns)
        self._carry = self._used if self._now_ns >= self._end_ns - self._guard_ns else 0

    def __repr__(self):
        return f"FixedWindow({self.limit} in {self.window_s} s, {max(self._left(), 0)} left)"


@cython.final
cdef class RollingWindow(Limit):
    """At most ``limit`` in any ``window_s`` seconds, wherever they begin.

    ``guard_s`` widens the window by how much closer together two requests may arrive than
    they were sent. Exact up to a limit of 4096; above, grants within 1/4096 of the window
    are kept as one of the latest of their times, so that memory stays below 66 KB.

    Raises ``ConfigurationError`` for a limit below 1 or a window that is not above 0 s.
    """

    def __cinit__(self, long long limit, double window_s, *, double guard_s=0.0, clock=None):
        self._window_ns = _duration_ns("RollingWindow: window_s", window_s)
        self._window_ns += _duration_ns("RollingWindow: guard_s", guard_s, True)
        self._start(limit, clock)
        self._resolution_ns = 0 if limit <= MAX_ENTRIES else self._window_ns // MAX_ENTRIES + 1
        self._capacity = min(limit, MAX_ENTRIES) + 2
        self._times = <int64_t*>calloc(self._capacity, sizeof(int64_t))
        self._weights = <int64_t*>calloc(self._capacity, sizeof(int64_t))
        if self._times == NULL or self._weights == NULL:
            raise MemoryError("RollingWindow: no memory for its grants")

    def __dealloc__(self):
        free(self._times)
        free(self._weights)

    @property
    def window_s(self):
        """Length of the window in seconds, the guard included."""
        return self._window_ns / 1e9

    cdef int _at(self, int position) noexcept nogil:
        """Index of the entry that is ``position`` places after the oldest."""
        position += self._head
        return position - self._capacity if position >= self._capacity else position

    cdef void _advance(self, int64_t now_ns) noexcept nogil:  # hot
        if now_ns <= self._now_ns:
            return
        self._now_ns = now_ns
        while self._size and self._times[self._head] + self._window_ns <= now_ns:
            self._used -= self._weights[self._head]
            self._head = self._at(1)
            self._size -= 1

    cdef int64_t _room_in_ns(self, int64_t weight) noexcept nogil:  # hot
        cdef int64_t excess = self._used + weight - self.limit
        cdef int position = -1
        if excess <= 0:
            return 0
        while excess > 0:
            position += 1
            excess -= self._weights[self._at(position)]
        return self._times[self._at(position)] + self._window_ns - self._now_ns

    cdef void _take(self, int64_t weight) noexcept nogil:  # hot
        cdef int newest = self._at(self._size - 1) if self._size else 0
        self._used += weight
        # Full only when the exchange's own counts took more entries than the limit has.
        if self._size and (
            self._now_ns - self._slot_ns <= self._resolution_ns or self._size == self._capacity
        ):
            self._times[newest] = self._now_ns
            self._weights[newest] += weight
            return
        self._slot_ns = self._now_ns
        newest = self._at(self._size)
        self._times[newest] = self._now_ns
        self._weights[newest] = weight
        self._size += 1

    cdef void _put_back(self, int64_t weight, int64_t granted_ns) noexcept nogil:
        # The entry that holds the grant is the oldest one that does not end before it.
        cdef int position = 0
        cdef int here
        if granted_ns + self._window_ns <= self._now_ns:
            return
        while position < self._size and self._times[self._at(position)] < granted_ns:
            position += 1
        if position == self._size:
            return
        here = self._at(position)
        weight = min(weight, self._weights[here])
        self._weights[here] -= weight
        self._used -= weight
        if self._weights[here] == 0:
            self._size -= 1
            if position == self._size and position > 0:
                # What is the newest entry now was closed when a later one was begun.
                self._slot_ns = self._times[self._at(position - 1)] - self._resolution_ns - 1
            while position < self._size:
                here = self._at(position)
                position += 1
                self._times[here] = self._times[self._at(position)]
                self._weights[here] = self._weights[self._at(position)]

    cdef void _correct(self, int64_t used, int64_t sent_ns) noexcept nogil:
        if used > self._used:
            self._take(used - self._used)

    cdef int64_t _left(self) noexcept nogil:
        return self.limit - self._used

    def __repr__(self):
        return f"RollingWindow({self.limit} in {self.window_s} s, {max(self._left(), 0)} left)"
