"""What can be read about this machine; whatever cannot be read is ``None``, on any system."""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

_CPU = Path("/sys/devices/system/cpu")
_NET = Path("/proc/sys/net")
_MAPS = Path("/proc/self/maps")
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_CLOCKSOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_CPU_MODEL = Path("/proc/cpuinfo")

# What a timer is asked for when its lateness is measured, and how often.
NAP_S = 100e-6
NAPS = 31


def read(path: Path) -> str | None:
    """The text of a small file without its white space; ``None`` where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def cpu_model() -> str | None:
    """The processor's name."""
    for line in (read(_CPU_MODEL) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return None


def governors() -> str | None:
    """The frequency governor of the CPUs, or several separated by commas."""
    found = {read(path) for path in _CPU.glob("cpu[0-9]*/cpufreq/scaling_governor")} - {None}
    return ", ".join(sorted(name for name in found if name)) or None


def isolated_cpus() -> str | None:
    """CPUs that the scheduler leaves alone (``isolcpus``), as the kernel lists them, or ``none``."""
    path = _CPU / "isolated"
    return read(path) or ("none" if path.exists() else None)


def affinity() -> list[int] | None:
    """The CPUs that this process may run on."""
    if sys.platform == "win32" or sys.platform == "darwin":
        return None
    return sorted(os.sched_getaffinity(0))


def descriptor_limits() -> tuple[int | None, int | None]:
    """How many files and sockets a process may have open: the limit, and up to where it may be raised."""
    try:
        import resource
    except ImportError:  # Windows has no such limit to read
        return None, None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    return (None if soft == unlimited else soft), (None if hard == unlimited else hard)


def libcrypto_path() -> str | None:
    """The file of the libcrypto that is loaded; ``None`` too where it is linked into Python."""
    for line in (read(_MAPS) or "").splitlines():
        path = line.partition("/")[2]
        if "libcrypto" in path:
            return f"/{path}"
    return None


def clocksource() -> str | None:
    """The kernel's own clock."""
    return read(_CLOCKSOURCE)


def huge_pages() -> str | None:
    """Transparent huge pages: always, madvise or never."""
    words = (read(_HUGE_PAGES) or "").split()
    return next((word.strip("[]") for word in words if word.startswith("[")), None)


def tcp_settings() -> dict[str, str]:
    """The kernel's settings that matter to a long-lived connection, where they can be read."""
    names = (
        *("ipv4/tcp_congestion_control", "ipv4/tcp_rmem", "ipv4/tcp_slow_start_after_idle"),
        *("ipv4/tcp_keepalive_time", "core/rmem_max", "core/busy_read"),
    )
    found = {name.partition("/")[2]: read(_NET / name) for name in names}
    return {name: " ".join(value.split()) for name, value in found.items() if value is not None}


def timer_lateness_us() -> dict[str, float]:
    """How late a sleep of 100 us ends: the median and the worst of some thirty."""
    late = []
    for _ in range(NAPS):
        began_ns = time.perf_counter_ns()
        time.sleep(NAP_S)
        late.append((time.perf_counter_ns() - began_ns) / 1e3 - NAP_S * 1e6)
    return {"median": round(statistics.median(late), 1), "worst": round(max(late), 1)}
