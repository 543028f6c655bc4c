# How one update follows the last of its stream, by the exchange's rule. Private to route.
from libc.stdint cimport int64_t


cdef enum Rule:
    RULE_NONE = 0
    RULE_INCREASING = 1
    RULE_RANGE = 2
    RULE_PREVIOUS = 3


cdef enum Verdict:
    DELIVER
    DELIVER_LATE
    DROP_DUPLICATE
    DROP_REORDERED
    GAP


cdef struct Progress:
    int64_t last            # newest sequence; -1: nothing seen since the last reset
    int64_t gap_first       # newest gap, inclusive; gap_last < gap_first: none
    int64_t gap_last


cdef inline Verdict judge_old(const Progress* seen, int64_t last) noexcept nogil:  # hot
    return DROP_REORDERED if seen.gap_first <= last <= seen.gap_last else DROP_DUPLICATE


cdef inline Verdict judge_range(  # hot
    const Progress* seen, int64_t first, int64_t last
) noexcept nogil:
    if seen.last < 0 or last < 0:
        return DELIVER
    if last <= seen.last:
        return judge_old(seen, last)
    return GAP if first > seen.last + 1 else DELIVER


cdef inline Verdict judge_previous(  # hot
    const Progress* seen, int64_t previous, int64_t last
) noexcept nogil:
    # Equality first: it covers a sequence that restarts below its predecessor.
    if seen.last < 0 or last < 0 or previous == seen.last:
        return DELIVER
    if last <= seen.last:
        return judge_old(seen, last)
    # One that starts before our last and ends after it leaves nothing out: after a
    # snapshot the first update usually is such a one.
    return DELIVER if 0 <= previous < seen.last else GAP


cdef inline Verdict judge_increasing(const Progress* seen, int64_t last) noexcept nogil:  # hot
    if last > seen.last or last < 0:
        return DELIVER
    return DROP_DUPLICATE if last == seen.last else DELIVER_LATE
