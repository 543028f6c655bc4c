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


cdef class LatencyRecorder:
    cdef readonly int64_t capacity
    cdef readonly int64_t count
    cdef readonly int64_t below
    cdef readonly int64_t above
    cdef int64_t* _ring
    cdef int64_t* _counts
    cdef int64_t _next              # slot of the ring that is written next
    cdef int64_t _kept              # filled slots of the ring
    cdef int64_t _min
    cdef int64_t _max
    cdef double _total_ns

    cdef int64_t _percentile(self, double p) noexcept nogil

    cdef inline void record_ns(self, int64_t ns) noexcept nogil:  # hot
        if ns < MIN_NS:
            ns = MIN_NS
            self.below += 1
        elif ns > MAX_NS:
            ns = MAX_NS
            self.above += 1
        if ns < self._min:
            self._min = ns
        if ns > self._max:
            self._max = ns
        self.count += 1
        self._total_ns += ns
        self._counts[cexnet_bucket(ns)] += 1
        cdef int64_t slot = self._next
        self._ring[slot] = ns
        slot += 1
        if slot > self._kept:
            self._kept = slot
        self._next = 0 if slot == self.capacity else slot
