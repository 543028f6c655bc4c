from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <stdint.h>
    #if defined(_MSC_VER)
      #include <intrin.h>
      static __forceinline int cexnet_log2(uint64_t v) {
        unsigned long bit;
        _BitScanReverse64(&bit, v);
        return (int)bit;
      }
    #else
      #define cexnet_log2(v) (63 - __builtin_clzll(v))
    #endif

    /* Below 256 ns each value has its own bucket; above, each octave has 128. */
    static inline int cexnet_bucket(int64_t ns) {
      int shift = cexnet_log2((uint64_t)ns | 128) - 7;
      return (shift << 7) + (int)(ns >> shift);
    }
    """
    int cexnet_bucket(int64_t ns) noexcept nogil
    const int64_t MIN_NS "1LL"
    const int64_t MAX_NS "3600000000000LL"      # 1 h

cdef enum:
    BUCKETS = 4608                  # cexnet_bucket(MAX_NS) == 4542; the octave is completed
    AT_ONCE = 32                    # records that are put into the histogram together


cdef class LatencyRecorder:
    cdef readonly int64_t capacity
    cdef readonly int64_t below
    cdef readonly int64_t above
    cdef int64_t* _ring
    cdef int64_t* _counts
    cdef int64_t _count             # of the histogram; those from _settled to _next are not in it yet
    cdef int64_t _next              # slot of the ring that is written next
    cdef int64_t _settled
    cdef int64_t _due               # when _next comes here, they are put in
    cdef int64_t _kept              # filled slots of the ring
    cdef int64_t _min
    cdef int64_t _max
    cdef double _total_ns
    cdef int64_t _resets            # a copy has those of its original

    cdef void _settle(self) noexcept nogil
    cdef int64_t _percentile(self, double p) noexcept nogil

    cdef inline void record_ns(self, int64_t ns) noexcept nogil:  # hot
        # The histogram is cold memory, and often the reason why something else is: it waits for
        # a few, or for a reader.
        if ns < MIN_NS:
            ns = MIN_NS
            self.below += 1
        elif ns > MAX_NS:
            ns = MAX_NS
            self.above += 1
        self._ring[self._next] = ns
        self._next += 1
        if self._next == self._due:
            self._settle()
