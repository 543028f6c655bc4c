"""Extensions only; everything else is in pyproject.toml.

``CEXNET_BUILD`` chooses the build mode: ``release`` (default), ``debug``
(bounds checks, ASan + UBSan) or ``trace`` (Cython line tracing for coverage).
``CEXNET_ONLY=decode,events`` compiles a subset while working on the core.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

MODE = os.environ.get("CEXNET_BUILD", "release")
ONLY = {name for name in os.environ.get("CEXNET_ONLY", "").split(",") if name}
CORE = Path("cexnet_core")


def simdjson_sources() -> Path:
    """Directory of simdjson's C++ sources inside the pysimdjson distribution."""
    spec = importlib.util.find_spec("simdjson")  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("cexnet: build requirement pysimdjson is missing: pip install pysimdjson")
    return Path(next(iter(spec.submodule_search_locations)))


if MODE not in ("release", "debug", "trace"):
    raise SystemExit(f"cexnet: CEXNET_BUILD={MODE!r} is not one of release, debug, trace")

directives = {
    "language_level": "3",
    "boundscheck": MODE != "release",
    "wraparound": False,
    "initializedcheck": MODE != "release",
    "cdivision": True,
    "embedsignature": True,
    "linetrace": MODE == "trace",
}
compile_args = {
    "release": ["-O3", "-g0", "-fno-strict-aliasing"],
    "debug": ["-O1", "-g", "-fsanitize=address,undefined", "-fno-omit-frame-pointer"],
    "trace": ["-O1", "-DCYTHON_TRACE=1"],
}[MODE]
link_args = ["-fsanitize=address,undefined"] if MODE == "debug" else []

extensions = []
for source in sorted(CORE.glob("*.pyx")):
    if ONLY and source.stem not in ONLY:
        continue
    cxx = source.stem in ("decode",)
    extensions.append(
        Extension(
            f"cexnet_core.{source.stem}",
            [str(source)],
            language="c++" if cxx else "c",
            include_dirs=[str(CORE), str(simdjson_sources())] if cxx else [str(CORE)],
            extra_compile_args=[*compile_args, *(["-std=c++17"] if cxx else [])],
            extra_link_args=link_args,
        )
    )

setup(ext_modules=cythonize(extensions, compiler_directives=directives, annotate=MODE == "release"))
