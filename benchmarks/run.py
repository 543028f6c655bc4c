"""Run the benchmarks and write ``results/NAME.json`` and ``results/table.md``.

With ``--quick`` nothing is written, since its figures are too rough to quote.
Benchmarks want a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from cexnet_core import build_info

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
RIVALS = Path(sys.prefix) / "rivals"  # where ci/bench puts those with pins of their own
ALTERNATIVES = (
    *("picows", "aiohttp", "msgspec", "orjson", "websockets", "aiolimiter", "ddsketch"),
    *("picologging", "structlog", "httpx", "ccxt"),
)


def processor() -> str:
    """The CPU's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def alternative(name: str) -> str:
    """The name and version of an alternative that is measured."""
    found = importlib.metadata.distributions(name=name, path=[*sys.path, str(RIVALS)])
    return next((f"{name} {package.version}" for package in found), f"{name} absent (not installed)")


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "processor": processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "build": f"{build_info.MODE}, compiler {build_info.COMPILER}, Cython {build_info.CYTHON}",
        "alternatives": ", ".join(map(alternative, ALTERNATIVES)),
    }


def run_file(path: Path, quick: bool) -> list[dict[str, Any]] | None:
    """The results of one benchmark file, or ``None`` when it failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pytest", "-q", "-s", "--no-header", "--timeout=0", str(path)]
        command += ["--benchmark-quiet", f"--benchmark-json={report}", *(["--quick"] if quick else [])]
        if subprocess.run(command, cwd=HERE.parent).returncode != 0:
            return None
        benchmarks = json.loads(report.read_text())["benchmarks"]
    return [{"test": each["name"], **each["extra_info"]} for each in benchmarks if each["extra_info"]]


def nanoseconds(spread: dict[str, float]) -> str:
    """``123 (120-131)``: median, 5th and 95th percentile."""
    digits = 1 if spread["median"] < 100 else 0
    return f"{spread['median']:,.{digits}f} ({spread['p5']:,.{digits}f}-{spread['p95']:,.{digits}f})"


def times(ratio: float) -> str:
    """A ratio, more exactly where it is about one."""
    return f"{ratio:.{1 if ratio >= 2 else 2}f}"


def latency_lines(results: list[dict[str, Any]]) -> list[str]:
    """A second table, of latencies, where benchmarks took them."""
    lines = ["", "| latency, microseconds | client | p50 | p99 |", "|---|---|---|---|"]
    for result in results:
        title = result["title"].removesuffix(", CPU")
        for name, spent_us in result.get("latency_us", {}).items():
            lines.append(f"| {title} | {name} | {spent_us['p50']:,.0f} | {spent_us['p99']:,.0f} |")
    return lines if len(lines) > 3 else []


def table_rows(result: dict[str, Any]) -> list[str]:
    """One benchmark in the Markdown table, a row for each comparison."""
    return [table_row({**result, **other}) for other in ({}, *result.get("also", ()))]


def table_row(result: dict[str, Any]) -> str:
    """One comparison."""
    ns, ratio, goal = result["ns"], result["ratio"], result["goal"]
    reached = "" if goal is None else ("yes" if ratio["median"] >= goal else "**no**")
    return " | ".join(
        (
            f"| {result['title']}",
            nanoseconds(ns[result["ours"]]),
            f"{result['best']}: {nanoseconds(ns[result['best']])}",
            f"{times(ratio['median'])}x ({times(ratio['p5'])}-{times(ratio['p95'])})",
            "" if goal is None else f"{goal:g}x",
            f"{reached} |",
        )
    )


def write_table() -> str:
    """Write the table of everything in ``results``; the table."""
    reports = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    lines = ["# Benchmarks", ""]
    lines += ["Nanoseconds an operation: median (5th-95th percentile) of interleaved rounds."]
    lines += ["Ratio: best alternative / cexnet in the same rounds. `ci/bench` writes this file.", ""]
    lines += ["| benchmark | cexnet | alternative | ratio | goal | reached |", "|---|---|---|---|---|---|"]
    results = [result for report in reports for result in report["results"]]
    lines += [row for result in results for row in table_rows(result)]
    lines += latency_lines(results)
    for facts in {json.dumps(report["machine"]): report["machine"] for report in reports}.values():
        lines += ["", *(f"- {name}: {value}" for name, value in facts.items())]
    table = "\n".join(lines) + "\n"
    (RESULTS / "table.md").write_text(table)
    return table


def main() -> int:
    """Run what is named, or everything."""
    parser = argparse.ArgumentParser(
        prog="ci/bench", description="Measure cexnet beside its alternatives, and write benchmarks/results."
    )
    parser.add_argument("--quick", action="store_true", help="rough figures in little time; writes nothing")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="by default every benchmark")
    asked = parser.parse_args()
    quick = asked.quick
    if missing := [str(path) for path in asked.files if not path.is_file()]:
        parser.error(f"no such file: {', '.join(missing)}; there are benchmarks/test_bench_*.py")
    files = [path.resolve() for path in asked.files] or sorted(HERE.glob("test_bench_*.py"))
    facts = machine()
    for name, value in facts.items():
        print(f"cexnet: {name}: {value}")
    failed = []
    for number, path in enumerate(files, 1):
        print(f"\ncexnet: benchmark {number} of {len(files)}: {path.name}", flush=True)
        results = run_file(path, quick)
        if results is None:
            failed.append(path.name)
        elif quick:
            print("\n".join([row for result in results for row in table_rows(result)]))
            print("\n".join(latency_lines(results)))
        elif results:
            RESULTS.mkdir(exist_ok=True)
            report = {"machine": facts, "results": results}
            name = path.stem.removeprefix("test_bench_")
            (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    if not quick:
        print(f"\n{write_table()}")
    if failed:
        print(f"cexnet: failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
