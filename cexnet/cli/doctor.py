"""``cexnet doctor``: what this machine and this build give cexnet, and what to improve."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from cexnet_core import build_info, clock, decode, signing

_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def examine() -> dict[str, Any]:
    """Facts by name; ``advice`` lists what would make cexnet faster here."""
    facts: dict[str, Any] = {
        "cexnet": version("cexnet"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "build_mode": build_info.MODE,
        "picows": version("picows"),
        "hmac": signing.backend(),
        "simd": decode.simd_path(),
        "json_slow_path": decode.ondemand_path(),
        "clock": clock.source(),
        "clock_cost_ns": round(clock.cost_ns(), 1),
        "cpus": os.cpu_count(),
        "cpu_governor": _governor(),
        "file_descriptor_limit": _descriptor_limit(),
    }
    facts["advice"] = _advice(facts)
    return facts


def print_doctor(*, as_json: bool) -> None:
    """Print the facts, as a table or as one JSON object."""
    facts = examine()
    if as_json:
        sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
        return
    console = Console()
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        if name != "advice":
            table.add_row(name.replace("_", " "), str(value))
    console.print(table)
    for line in facts["advice"] or ["nothing to improve was found"]:
        console.print(f"- {line}", markup=False)


def _governor() -> str:
    try:
        return _GOVERNOR.read_text().strip()
    except OSError:
        return "not readable"


def _descriptor_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows has no such limit to read
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _advice(facts: dict[str, Any]) -> list[str]:
    advice = []
    if facts["build_mode"] != "release":
        advice.append(f"this is a {facts['build_mode']} build: rebuild with CEXNET_BUILD=release for speed")
    if facts["hmac"] == "hashlib":
        advice.append("HMAC runs through hashlib: Python's OpenSSL could not be reached directly")
    if facts["cpu_governor"] not in ("performance", "not readable"):
        advice.append(f"CPU governor is {facts['cpu_governor']}: 'performance' cuts tail latency")
    limit = facts["file_descriptor_limit"]
    if limit is not None and limit < 1024:
        advice.append(f"only {limit} file descriptors are allowed: raise it with ulimit -n 4096")
    return advice
