"""The three clocks of cexnet, in integer nanoseconds, callable from C without the GIL.

``now_ns``        wall time since the Unix epoch; may step when the system clock is set
``monotonic_ns``  never steps back; what deadlines and limiters use
``ticks_ns``      the cheapest monotonic reading, for stage timing: only differences mean
                  anything, its origin is arbitrary

``ticks_ns`` reads the x86 time stamp counter when CPUID declares it invariant
(leaf 0x80000007, EDX bit 8: Intel SDM volume 3, "Invariant TSC") and the kernel itself
trusts it (its current clocksource is ``tsc``, where the kernel says). The rate is measured
against CLOCK_MONOTONIC_RAW for 3 ms at import and again whenever a reading finds the last
measurement older than one second; a correction changes the rate, never steps back. Elsewhere
``ticks_ns`` is ``monotonic_ns``.
"""

from libc.stdint cimport int64_t

from cexnet_core.errors import ConfigurationError

cdef extern from *:
    r"""
    #include <stdint.h>

    #if defined(_WIN32)
      #include <windows.h>
      static int64_t cexnet_wall_ns(void) {
        FILETIME t;
        GetSystemTimePreciseAsFileTime(&t);  /* 100 ns units since 1601-01-01 */
        int64_t units = ((int64_t)t.dwHighDateTime << 32) | t.dwLowDateTime;
        return (units - 116444736000000000LL) * 100;
      }
      static int64_t cexnet_monotonic_ns(void) {
        LARGE_INTEGER count, rate;
        QueryPerformanceCounter(&count);
        QueryPerformanceFrequency(&rate);
        return count.QuadPart / rate.QuadPart * 1000000000LL
             + count.QuadPart % rate.QuadPart * 1000000000LL / rate.QuadPart;
      }
    #else
      #include <time.h>
      static inline int64_t cexnet_read(clockid_t id) {
        struct timespec t;
        clock_gettime(id, &t);
        return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec;
      }
      static inline int64_t cexnet_wall_ns(void) { return cexnet_read(CLOCK_REALTIME); }
      static inline int64_t cexnet_monotonic_ns(void) { return cexnet_read(CLOCK_MONOTONIC); }
    #endif

    #if (defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) \
         && !defined(_WIN32) && defined(CLOCK_MONOTONIC_RAW))
      #include <cpuid.h>
      #include <x86intrin.h>

      /* Readers copy the anchor between two equal, even readings of `version`; the one
         writer makes it odd first, so a reading taken under the old anchor is never later
         than the moment the new one continues from. */
      static struct {
        uint64_t version, tsc, span;  /* span: ticks until the next measurement is due */
        uint64_t rate;                /* ns per tick, 32.32 fixed point */
        int64_t ns;                   /* our time at `tsc` */
        int64_t raw_ns;               /* CLOCK_MONOTONIC_RAW at `tsc` */
      } cexnet_anchor;
      static int cexnet_tsc_live = 0;
      #define CEXNET_SPAN_NS 1000000000LL
      #define CEXNET_MAX_SLEW 0.0005  /* of the rate: what NTP allows itself, 500 ppm */

      /* The tightest of a few brackets: an interrupt widens some of them. */
      static void cexnet_pair(uint64_t *tsc, int64_t *raw_ns) {
        uint64_t best = UINT64_MAX;
        for (int i = 0; i < 5; i++) {
          uint64_t before = __rdtsc();
          int64_t raw = cexnet_read(CLOCK_MONOTONIC_RAW);
          uint64_t width = __rdtsc() - before;
          if (width < best) { best = width; *tsc = before + width / 2; *raw_ns = raw; }
        }
      }
      static inline int64_t cexnet_at(uint64_t ticks, uint64_t rate) {
        return (int64_t)(((unsigned __int128)ticks * rate) >> 32);
      }
      static int cexnet_tsc_start(void) {
        unsigned a, b, c, d;
        if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & (1u << 8))) return 0;
        uint64_t tsc0, tsc1; int64_t raw0, raw1;
        cexnet_pair(&tsc0, &raw0);
        do { cexnet_pair(&tsc1, &raw1); } while (raw1 - raw0 < 3000000);
        if (tsc1 <= tsc0) return 0;
        double ns_per_tick = (double)(raw1 - raw0) / (double)(tsc1 - tsc0);
        if (ns_per_tick < 0.05 || ns_per_tick > 10.0) return 0;  /* 100 MHz to 20 GHz */
        cexnet_anchor.tsc = tsc1;
        cexnet_anchor.ns = cexnet_anchor.raw_ns = raw1;
        cexnet_anchor.rate = (uint64_t)(ns_per_tick * 4294967296.0);
        cexnet_anchor.span = (uint64_t)(CEXNET_SPAN_NS / ns_per_tick);
        return cexnet_tsc_live = 1;
      }
      __attribute__((noinline, cold)) static void cexnet_remeasure(uint64_t version) {
        uint64_t tsc; int64_t raw;
        cexnet_pair(&tsc, &raw);
        if (!__atomic_compare_exchange_n(&cexnet_anchor.version, &version, version + 1, 0,
                                         __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return;
        _mm_lfence();
        uint64_t here = __rdtsc();
        int64_t ours = cexnet_anchor.ns + 1;  /* + 1: the fraction dropped must not show as a step */
        /* A counter that went back (resume from suspend) keeps the rate, starts anew. */
        if (tsc > cexnet_anchor.tsc && here >= tsc) {
          ours += cexnet_at(here - cexnet_anchor.tsc, cexnet_anchor.rate);
          double rate = (double)(raw - cexnet_anchor.raw_ns) / (double)(tsc - cexnet_anchor.tsc);
          double behind = (double)(raw - ours) + (double)(here - tsc) * rate;
          if (behind > CEXNET_SPAN_NS * CEXNET_MAX_SLEW) { ours += (int64_t)behind; behind = 0; }
          if (behind < -CEXNET_SPAN_NS * CEXNET_MAX_SLEW) behind = -CEXNET_SPAN_NS * CEXNET_MAX_SLEW;
          rate *= 1.0 + behind / CEXNET_SPAN_NS;
          cexnet_anchor.rate = (uint64_t)(rate * 4294967296.0);
          raw += (int64_t)((double)(here - tsc) * rate);
        }
        cexnet_anchor.tsc = here;
        cexnet_anchor.ns = ours;
        cexnet_anchor.raw_ns = raw;
        __atomic_store_n(&cexnet_anchor.version, version + 2, __ATOMIC_RELEASE);
      }
      static inline int64_t cexnet_ticks_ns(void) {
        if (!cexnet_tsc_live) return cexnet_monotonic_ns();
        for (;;) {
          uint64_t version = __atomic_load_n(&cexnet_anchor.version, __ATOMIC_ACQUIRE);
          if (version & 1) { _mm_pause(); continue; }
          uint64_t ticks = __rdtsc() - cexnet_anchor.tsc;
          int64_t ns = cexnet_anchor.ns + cexnet_at(ticks, cexnet_anchor.rate);
          uint64_t span = cexnet_anchor.span;
          __atomic_thread_fence(__ATOMIC_ACQUIRE);
          if (__atomic_load_n(&cexnet_anchor.version, __ATOMIC_RELAXED) != version) continue;
          if (__builtin_expect(ticks <= span, 1)) return ns;
          cexnet_remeasure(version);
        }
      }
    #else
      static int cexnet_tsc_start(void) { return 0; }
      static inline int64_t cexnet_ticks_ns(void) { return cexnet_monotonic_ns(); }
    #endif
    """
    int64_t cexnet_wall_ns() noexcept nogil
    int64_t cexnet_monotonic_ns() noexcept nogil
    int64_t cexnet_ticks_ns() noexcept nogil
    int cexnet_tsc_start() noexcept nogil

cdef str CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


cpdef int64_t now_ns() noexcept nogil:
    """Wall time in nanoseconds since the Unix epoch (CLOCK_REALTIME). Any thread."""
    return cexnet_wall_ns()


cpdef int64_t monotonic_ns() noexcept nogil:
    """Monotonic time in nanoseconds (CLOCK_MONOTONIC), the event loop's time base. Any thread."""
    return cexnet_monotonic_ns()


cpdef int64_t ticks_ns() noexcept nogil:
    """The cheapest monotonic nanoseconds, for differences only. Never goes back in a thread."""
    return cexnet_ticks_ns()


cdef str _kernel_clocksource():
    """The kernel's current clocksource, "" where the kernel does not tell."""
    try:
        with open(CLOCKSOURCE, encoding="ascii") as file:
            return file.read().strip()
    except OSError:  # not Linux, or a container that hides /sys
        return ""


cdef str _start():
    kernel = _kernel_clocksource()
    if kernel not in ("", "tsc"):
        return f"monotonic clock (kernel clocksource is {kernel}, so the TSC is not trusted)"
    if not cexnet_tsc_start():
        return "monotonic clock (no invariant TSC)"
    return "invariant TSC" + (", as the kernel's clocksource" if kernel else "")


cdef str _source = _start()


def source() -> str:
    """Where ``ticks_ns`` comes from, and why, as a phrase for people."""
    return _source


def cost_ns(long rounds=1000) -> float:
    """Nanoseconds that one ``ticks_ns`` reading costs from C, averaged over ``rounds``.

    Raises ``ConfigurationError`` when ``rounds`` is below 1.
    """
    if rounds < 1:
        raise ConfigurationError(f"clock.cost_ns: rounds is {rounds}, it must be at least 1")
    cdef int64_t begin = cexnet_monotonic_ns()
    cdef long _
    for _ in range(rounds):
        cexnet_ticks_ns()
    return (cexnet_monotonic_ns() - begin) / <double>rounds
