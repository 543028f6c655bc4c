"""What every rate limiter shares: asking, taking, giving back, corrections and blocks.

The shapes are in ``ratelimit``, whose docstring has the rules that hold for all of them.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t

from cexnet_core.clock cimport monotonic_ns

from cexnet_core.errors import ConfigurationError

cdef int64_t NEVER = INT64_MAX
cdef int64_t UNSETTLED = INT64_MAX - 1
cdef int64_t MAX_NS = 3_000_000_000_000_000_000     # 95 years: sums of two times fit int64
cdef int64_t MAX_LIMIT = 1_000_000_000_000_000      # exact in a double, with room to add


cdef class Limit:
    """What all shapes share. Not made by itself.

    ``clock`` is a callable that returns nanoseconds, or ``None`` for the monotonic clock
    read in C. ``last_grant_ns`` is that clock's time of the last grant, ``held`` the weight
    of requests under way that a ``LimitGroup`` holds room for, ``reserved`` what it leaves to
    others that the exchange counts together with us.
    """

    def __cinit__(self):
        if type(self) is Limit:
            raise TypeError("Limit: make a TokenBucket, a FixedWindow or a RollingWindow")

    cdef int _start(self, long long limit, object clock) except -1:
        if not 1 <= limit <= MAX_LIMIT:
            raise ConfigurationError(
                f"{type(self).__name__}: the limit is {limit}, it must be 1 to {MAX_LIMIT}"
            )
        if clock is not None and not callable(clock):
            raise ConfigurationError(
                f"{type(self).__name__}: clock must be a callable that returns nanoseconds, or None"
            )
        self.limit = limit
        self.clock = clock
        self.last_grant_ns = self._settled_ns = self._blocked_until_ns = INT64_MIN
        self._now_ns = self._clock_ns()
        return 0

    cdef int64_t _clock_ns(self) except? -1:
        return monotonic_ns() if self.clock is None else <int64_t>self.clock()

    cdef int64_t try_acquire_c(self, int64_t weight, int64_t now_ns) noexcept nogil:  # hot
        cdef int64_t wait_ns = self._wait_c(weight, now_ns)
        if wait_ns == 0:
            self._grant_c(weight)
        return wait_ns

    cdef int64_t _wait_c(self, int64_t weight, int64_t now_ns) noexcept nogil:  # hot
        """What try_acquire_c answers, without taking."""
        cdef int64_t wait_ns = 0
        if weight < 0 or weight > self.limit:
            return NEVER
        self._advance(now_ns)
        if weight > 0:
            wait_ns = self._room_in_ns(weight)
        if self._blocked_until_ns > self._now_ns:
            wait_ns = max(wait_ns, self._blocked_until_ns - self._now_ns)
        return wait_ns

    cdef int64_t _hold_wait_c(self, int64_t weight, int64_t now_ns) noexcept nogil:  # hot
        """The wait until ``weight`` fits beside what is held; UNSETTLED when time alone won't do."""
        if weight < 0 or weight > self.limit:
            return NEVER
        # A request that weighs more than our part of the limit may go when all of it is free.
        cdef int64_t needed = weight + self.held + min(self.reserved, self.limit - weight)
        if weight > 0 and needed > self.limit:
            return UNSETTLED
        return self._wait_c(needed if weight > 0 else 0, now_ns)

    cdef void _hold_c(self, int64_t weight) noexcept nogil:  # hot
        self.held = max(self.held + weight, 0)

    cdef void _settle_c(self, int64_t weight, int64_t now_ns) noexcept nogil:  # hot
        """Count at ``now_ns`` what was held."""
        self._advance(now_ns)
        self._hold_c(-weight)
        self._grant_c(weight)

    cdef void _grant_c(self, int64_t weight) noexcept nogil:  # hot
        self.last_grant_ns = self._now_ns
        if weight > 0:
            self._take(weight)

    cdef void give_back_c(
        self, int64_t weight, int64_t granted_ns, int64_t now_ns
    ) noexcept nogil:  # hot
        self._advance(now_ns)
        if weight > 0 and granted_ns > self._settled_ns:
            self._put_back(weight, granted_ns)

    cdef void _reserve(self, int64_t weight) noexcept nogil:
        self.reserved = weight

    cdef void _advance(self, int64_t now_ns) noexcept nogil:
        if now_ns > self._now_ns:
            self._now_ns = now_ns

    cdef int64_t _room_in_ns(self, int64_t weight) noexcept nogil:
        return NEVER

    cdef void _take(self, int64_t weight) noexcept nogil:
        pass

    cdef void _put_back(self, int64_t weight, int64_t granted_ns) noexcept nogil:
        pass

    cdef void _correct(self, int64_t used, int64_t sent_ns) noexcept nogil:
        pass

    cdef int64_t _left(self) noexcept nogil:
        return 0

    def try_acquire(self, long long weight=1):
        """Take ``weight`` now and return 0, or take nothing and return the wait in ns.

        Weight 0 takes nothing, yet waits while the limiter is blocked. Raises
        ``ConfigurationError`` for a weight that can never be granted.
        """
        cdef int64_t wait_ns = self.try_acquire_c(weight, self._clock_ns())
        if wait_ns == NEVER:
            raise ConfigurationError(
                f"{type(self).__name__}: weight {weight} can never be granted, it must be 0 to {self.limit}"
            )
        return wait_ns

    def give_back(self, long long weight=1, granted_ns=None):
        """Undo a grant whose request was never sent, where that cannot loosen the limit.

        ``granted_ns`` is ``last_grant_ns`` as it stood after that grant; ``None`` means
        the last grant. Raises ``ConfigurationError`` for a negative weight.
        """
        if weight < 0:
            raise ConfigurationError(f"give_back: weight is {weight}, it must be at least 0")
        cdef int64_t at = self.last_grant_ns if granted_ns is None else <int64_t>granted_ns
        self.give_back_c(weight, at, self._clock_ns())

    def observe_used(self, long long used, sent_ns=None):
        """Correct our count upwards with the one the exchange states in a header.

        ``sent_ns`` is our clock when the request was sent that brought the answer: a
        ``FixedWindow`` then ignores a number that speaks of an earlier window. Raises
        ``ConfigurationError`` for a negative count.
        """
        if used < 0:
            raise ConfigurationError(f"observe_used: used is {used}, it must be at least 0")
        self._advance(self._clock_ns())
        # Requests under way may be in that number already: together they are not counted twice.
        used = max(min(used, MAX_LIMIT) - self.held, 0)
        self._correct(used, self._now_ns if sent_ns is None else <int64_t>sent_ns)
        self._settled_ns = self.last_grant_ns

    def block_for(self, long long ns):
        """Grant nothing for ``ns`` nanoseconds from now; never shortens an earlier block.

        Raises ``ConfigurationError`` when ``ns`` is negative or above 95 years.
        """
        if not 0 <= ns <= MAX_NS:
            raise ConfigurationError(f"block_for: {ns} ns is not between 0 and {MAX_NS}")
        self._advance(self._clock_ns())
        self._blocked_until_ns = max(self._blocked_until_ns, self._now_ns + ns)

    def reserve(self, long long weight):
        """Leave ``weight`` of the limit to others, from the next hold of a ``LimitGroup`` on.

        What was granted before still counts. Raises ``ConfigurationError`` unless ``weight``
        is at least 0 and below the limit.
        """
        if not 0 <= weight < self.limit:
            raise ConfigurationError(
                f"{type(self).__name__}: {weight} cannot be reserved, it must be 0 to {self.limit - 1}"
            )
        self._advance(self._clock_ns())
        self._reserve(weight)

    @property
    def remaining(self):
        """The largest weight that the count leaves room for now (a block does not show)."""
        self._advance(self._clock_ns())
        return max(self._left() - self.held - self.reserved, 0)

    @property
    def blocked_ns(self):
        """How much longer ``block_for`` lets nothing through, in ns; 0 when it does not."""
        self._advance(self._clock_ns())
        blocked = self._blocked_until_ns > self._now_ns
        return self._blocked_until_ns - self._now_ns if blocked else 0

    def hold_wait_ns(self, long long weight=1):
        """How long until ``weight`` fits beside what is held: 0 now, -1 once held weight settles.

        Takes nothing. Raises ``ConfigurationError`` for a weight that never fits.
        """
        cdef int64_t wait_ns = self._hold_wait_c(weight, self._clock_ns())
        if wait_ns == NEVER:
            raise ConfigurationError(
                f"{type(self).__name__}: weight {weight} never fits, it must be 0 to {self.limit}"
            )
        return -1 if wait_ns == UNSETTLED else wait_ns
