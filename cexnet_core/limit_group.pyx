"""Several limiters that one request is counted by, taken all or nothing.

A request that takes a while to arrive may arrive at any time until its answer. A ``LimitGroup``
can therefore *hold* room for it: what is held is free for nobody, and is counted at the moment
it is settled. Whatever the delays, then, a limit holds at the far end as well.
"""

cimport cython
from libc.stdint cimport INT64_MIN, int64_t
from libc.stdlib cimport calloc, free

from cexnet_core.clock cimport monotonic_ns
from cexnet_core.limit cimport MAX_NS, NEVER, UNSETTLED, Limit

from cexnet_core.errors import ConfigurationError


@cython.final
cdef class LimitGroup:
    """Several limiters that one request is counted by: all of them grant, or none does.

    Weights are one number for all or a sequence with one for each. A limiter may be in many
    groups, but only once in each; all have the same clock (``None``, or the same callable),
    else ``ConfigurationError``. Corrections go to the limiters themselves. An empty group
    grants everything.
    """

    def __cinit__(self, limits):
        cdef Limit limit
        cdef int i
        self.limits = tuple(limits)
        for limit in self.limits:
            if limit.clock is not (<Limit>self.limits[0]).clock:
                raise ConfigurationError("LimitGroup: its limiters have different clocks")
        if len(set(map(id, self.limits))) != len(self.limits):
            raise ConfigurationError("LimitGroup: a limiter is in it twice")
        self._count = len(self.limits)
        self._first = self.limits[0] if self.limits else None
        self._members = <void**>calloc(self._count + 1, sizeof(void*))
        self._weights = <int64_t*>calloc(self._count + 1, sizeof(int64_t))
        if self._members == NULL or self._weights == NULL:
            raise MemoryError("LimitGroup: no memory for its limiters")
        for i in range(self._count):
            self._members[i] = <void*>self.limits[i]
        self.last_grant_ns = self._now_ns = self._blocked_until_ns = INT64_MIN

    def __dealloc__(self):
        free(self._members)
        free(self._weights)

    cdef int64_t _clock_ns(self) except? -1:
        return monotonic_ns() if self._first is None else self._first._clock_ns()

    cdef int64_t try_acquire_c(self, const int64_t* weights, int64_t now_ns) noexcept nogil:  # hot
        cdef int64_t wait_ns = 0
        cdef int i
        self._now_ns = now_ns = max(now_ns, self._now_ns)
        if self._blocked_until_ns > now_ns:
            wait_ns = self._blocked_until_ns - now_ns
        for i in range(self._count):
            wait_ns = max(wait_ns, (<Limit>self._members[i])._wait_c(weights[i], now_ns))
        if wait_ns == 0:
            self.last_grant_ns = now_ns
            for i in range(self._count):
                (<Limit>self._members[i])._grant_c(weights[i])
        return wait_ns

    cdef int _read_weights(self, object weight) except -1:
        cdef int i
        if isinstance(weight, int):
            for i in range(self._count):
                self._weights[i] = weight
            return 0
        if len(weight) != self._count:
            raise ConfigurationError(
                f"LimitGroup: {len(weight)} weights for {self._count} limiters"
            )
        for i in range(self._count):
            self._weights[i] = weight[i]
        return 0

    def try_acquire(self, weight=1):
        """Take from every limiter and return 0, or from none and return the longest wait in ns.

        Raises ``ConfigurationError`` for weights that can never be granted or are too few
        or too many.
        """
        self._read_weights(weight)
        cdef int64_t wait_ns = self.try_acquire_c(self._weights, self._clock_ns())
        if wait_ns == NEVER:
            raise ConfigurationError(
                f"LimitGroup: weight {weight} can never be granted by {self.limits}"
            )
        return wait_ns

    cdef int64_t try_hold_c(self, const int64_t* weights, int64_t now_ns) noexcept nogil:  # hot
        cdef int64_t wait_ns = 0
        cdef int i
        self._now_ns = now_ns = max(now_ns, self._now_ns)
        if self._blocked_until_ns > now_ns:
            wait_ns = self._blocked_until_ns - now_ns
        for i in range(self._count):
            wait_ns = max(wait_ns, (<Limit>self._members[i])._hold_wait_c(weights[i], now_ns))
        if wait_ns == 0:
            for i in range(self._count):
                (<Limit>self._members[i])._hold_c(weights[i])
        return wait_ns

    def try_hold(self, weight=1):
        """Hold room in every limiter and return 0, or in none and return the longest wait in ns.

        A wait of -1 ends when something held is settled or released. Every hold must be
        ended by ``settle`` or ``release`` with the same weights. Raises
        ``ConfigurationError`` like ``try_acquire``.
        """
        self._read_weights(weight)
        cdef int64_t wait_ns = self.try_hold_c(self._weights, self._clock_ns())
        if wait_ns == NEVER:
            raise ConfigurationError(
                f"LimitGroup: weight {weight} can never be granted by {self.limits}"
            )
        return -1 if wait_ns == UNSETTLED else wait_ns

    def settle(self, weight=1):
        """The held request has been answered, or nobody will know: count it as of now."""
        self._read_weights(weight)
        cdef int64_t now_ns = self._clock_ns()
        cdef int i
        for i in range(self._count):
            (<Limit>self._members[i])._settle_c(self._weights[i], now_ns)

    def release(self, weight=1):
        """The held request was never sent: its room is free again."""
        cdef Limit limit
        self._read_weights(weight)
        for i, limit in enumerate(self.limits):
            limit._hold_c(-self._weights[i])

    def give_back(self, weight=1, granted_ns=None):
        """``give_back`` on every limiter; ``granted_ns`` is the group's ``last_grant_ns``."""
        cdef Limit limit
        self._read_weights(weight)
        at = self.last_grant_ns if granted_ns is None else granted_ns
        for i, limit in enumerate(self.limits):
            limit.give_back(self._weights[i], at)

    def block_for(self, long long ns):
        """Let this group grant nothing for ``ns`` from now. Its limiters stay free for others."""
        if not 0 <= ns <= MAX_NS:
            raise ConfigurationError(f"block_for: {ns} ns is not between 0 and {MAX_NS}")
        self._now_ns = max(self._now_ns, self._clock_ns())
        self._blocked_until_ns = max(self._blocked_until_ns, self._now_ns + ns)

    @property
    def remaining(self):
        """The largest weight that every limiter has room for, ``None`` for an empty group."""
        return min([limit.remaining for limit in self.limits], default=None)

    def __repr__(self):
        return f"LimitGroup({list(self.limits)})"
