"""``cexnet doctor``: what this machine and this build give cexnet, and what to improve."""

from __future__ import annotations

import gc
import os
import platform
import sys
import sysconfig
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cexnet.cli import machine
from cexnet_core import build_info, clock, decode, signing

LIBRARIES = ("aiohttp", "msgspec", "numpy", "cryptography", "uvloop", "prometheus_client", "mcap", "keyring")
_TIGHT_DESCRIPTORS = 4096
_SLOW_CLOCK_NS = 100.0
_LATE_TIMER_US = 1000.0

# The table's headings, and which facts stand under each.
SECTIONS = {
    "cexnet": ("cexnet", "build_mode", "compiler", "picows", "simd", "json_slow_path", "hmac", "libcrypto"),
    "Python": ("python", "event_loop", "free_threaded", "gc_thresholds", "libraries"),
    "clocks": ("clock", "clock_cost_ns", "kernel_clock", "timer_resolution_ns", "timer_late_us"),
    "machine": (
        *("platform", "cpu", "cpus", "cpu_affinity", "isolated_cpus", "cpu_governor", "huge_pages"),
        *("file_descriptor_limit", "file_descriptor_limit_max", "tcp"),
    ),
}


def examine() -> dict[str, Any]:
    """Facts by name, ``None`` where the system does not say; ``advice`` is what to improve here.

    Takes a few milliseconds, for the clocks.
    """
    descriptors, most_descriptors = machine.descriptor_limits()
    facts: dict[str, Any] = {
        "cexnet": version("cexnet"),
        "build_mode": build_info.MODE,
        "compiler": f"{build_info.COMPILER}, Cython {build_info.CYTHON}",
        "picows": version("picows"),
        "simd": decode.simd_path(),
        "json_slow_path": decode.ondemand_path(),
        "hmac": signing.backend(),
        "libcrypto": machine.libcrypto_path(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "event_loop": "uvloop" if find_spec("uvloop") is not None else "asyncio",
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gc_thresholds": list(gc.get_threshold()),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "clock": clock.source(),
        "clock_cost_ns": round(clock.cost_ns(), 1),
        "kernel_clock": machine.clocksource(),
        "timer_resolution_ns": round(time.get_clock_info("monotonic").resolution * 1e9, 1),
        "timer_late_us": machine.timer_lateness_us(),
        "platform": platform.platform(),
        "cpu": machine.cpu_model(),
        "cpus": os.cpu_count(),
        "cpu_affinity": machine.affinity(),
        "isolated_cpus": machine.isolated_cpus(),
        "cpu_governor": machine.governors(),
        "huge_pages": machine.huge_pages(),
        "file_descriptor_limit": descriptors,
        "file_descriptor_limit_max": most_descriptors,
        "tcp": machine.tcp_settings(),
    }
    facts["advice"] = list(advice(facts))
    return facts


def print_doctor(*, as_json: bool) -> None:
    """Print the facts, as a table or as one JSON object."""
    facts = examine()
    if as_json:
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
        return
    console = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for section, names in SECTIONS.items():
        table.add_row(f"[bold]{section}[/bold]")
        for name in names:
            shown = Text(text(facts[name]), style="" if facts[name] is not None else "dim")
            table.add_row(f"  {label(name)}", shown)
    console.print(table)
    console.print("\n[bold]advice[/bold]")
    lines = Table(show_header=False, box=None, pad_edge=False)
    for line in facts["advice"] or ["nothing to improve was found"]:
        lines.add_row("  -", Text(line))
    console.print(lines)


def label(name: str) -> str:
    """The name of a fact, with its unit apart."""
    words = name.split("_")
    if words[-1] in ("ns", "us"):
        words[-1] = f"({words[-1]})"
    return " ".join(words)


def text(value: object) -> str:
    """A fact for a person."""
    if value is None:
        return "not known here"
    if isinstance(value, dict):
        return "  ".join(f"{name} {'-' if each is None else each}" for name, each in value.items()) or "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def advice(facts: dict[str, Any]) -> Iterable[str]:
    """One sentence for each thing that would make cexnet faster or steadier here."""
    if facts["build_mode"] != "release":
        yield f"this is a {facts['build_mode']} build: rebuild with CEXNET_BUILD=release for speed"
    if facts["hmac"].startswith("hashlib"):
        yield f"signatures take the slow way, {facts['hmac']}: use a Python whose OpenSSL is a shared library"
    if facts["clock_cost_ns"] > _SLOW_CLOCK_NS:
        yield (
            f"reading the clock takes {facts['clock_cost_ns']:g} ns (kernel clock: "
            f"{text(facts['kernel_clock'])}): where the kernel trusts the TSC it takes about 10 ns"
        )
    if facts["timer_late_us"]["median"] > _LATE_TIMER_US:
        yield (
            f"a short sleep ends {facts['timer_late_us']['median']:g} us late, others take this CPU: "
            "pin the engine to a core of its own (taskset -c)"
        )
    if facts["cpu_governor"] not in ("performance", None):
        yield f"the CPU governor is {facts['cpu_governor']}: 'performance' cuts the tail of latencies"
    pinned = facts["cpu_affinity"]
    if pinned is not None and len(pinned) == 1 and facts["cpus"] != 1:
        yield f"this process may run on CPU {pinned[0]} only: good for an engine, if nothing else runs there"
    if facts["cpus"] == 1:
        yield "there is one CPU: the kernel's network work and other processes delay the engine"
    if facts["event_loop"] == "asyncio":
        yield "uvloop is not installed: `pip install 'cexnet[uvloop]'`, and run on cexnet.loops.fast_loop"
    if facts["gc_thresholds"][0] and facts["gc_thresholds"][0] < 10_000:
        yield (
            f"the garbage collector runs after {facts['gc_thresholds'][0]:,} new containers: an engine calls "
            "cexnet.telemetry.tame_gc() when it is set up"
        )
    limit, most = facts["file_descriptor_limit"], facts["file_descriptor_limit_max"]
    if limit is not None and limit < _TIGHT_DESCRIPTORS:
        may = "" if most is None else f"; it may be raised to {most:,}"
        yield f"only {limit:,} sockets and files may be open: `ulimit -n {_TIGHT_DESCRIPTORS}` raises it{may}"
    if facts["tcp"].get("tcp_slow_start_after_idle") == "1":
        yield (
            "TCP starts slowly again after a pause: `sysctl -w net.ipv4.tcp_slow_start_after_idle=0` spares "
            "large requests after a quiet time a round trip"
        )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
