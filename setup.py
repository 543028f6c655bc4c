"""Extensions only; everything else is in pyproject.toml.

``CEXNET_BUILD`` chooses the build mode:

* ``release`` (default): no bounds checks, optimised, runs on every CPU of the platform;
* ``debug``: bounds checks, AddressSanitizer and UndefinedBehaviorSanitizer;
* ``trace``: Cython line tracing, for coverage.

``CEXNET_ONLY=decode,events`` compiles a subset while working on the core. Each
mode keeps its generated C apart (``build/cython/MODE``; trace: beside the
sources), because Cython decides by age alone whether to generate again.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

_logger = logging.getLogger(__name__)

CORE = Path("cexnet_core")
KERNEL = CORE / "kernel"
KERNEL_USERS = {"decode"}  # the C++ modules, linked with the kernel and simdjson
HEADERS = sorted(map(str, [*CORE.rglob("*.hpp"), *CORE.rglob("*.h")]))
MODES = ("release", "debug", "trace")
MODE = os.environ.get("CEXNET_BUILD", "release")
ONLY = {name for name in os.environ.get("CEXNET_ONLY", "").split(",") if name}

if MODE not in MODES:
    raise SystemExit(f"cexnet: CEXNET_BUILD={MODE!r} is not one of {', '.join(MODES)}")

DIRECTIVES = {
    "language_level": "3",
    "boundscheck": MODE != "release",
    "initializedcheck": MODE != "release",
    "wraparound": False,
    "cdivision": True,
    "embedsignature": True,
    "linetrace": MODE == "trace",
}

SANITIZE = "-fsanitize=address,undefined"
if sys.platform == "win32":
    COMPILE_ARGS = {"release": ["/O2"], "debug": ["/Od", "/fsanitize=address"], "trace": ["/O1"]}
    LINK_ARGS: dict[str, list[str]] = {}
    SIMDJSON_ARGS: dict[str, list[str]] = {}
    CXX_ARGS = ["/std:c++17", "/EHsc"]
else:
    COMPILE_ARGS = {
        "release": ["-O3", "-g0", "-fno-strict-aliasing"],
        "debug": [
            *("-O1", "-g1", "-UNDEBUG", "-fno-omit-frame-pointer"),
            *(SANITIZE, "-fno-sanitize-recover=undefined"),
        ],
        "trace": ["-O1"],
    }
    LINK_ARGS = {"debug": [SANITIZE]}
    # ASan sees whether simdjson reads past our padding; UBSan would only lengthen its compilation.
    SIMDJSON_ARGS = {"debug": ["-fno-sanitize=undefined"]}
    CXX_ARGS = ["-std=c++17", "-fvisibility=hidden"]

# Cython is pinned exactly, so a warning is a change of ours: make it an error.
Options.warning_errors = True


def simdjson_directory() -> Path:
    """Where the pysimdjson distribution keeps simdjson's C++ sources."""
    spec = importlib.util.find_spec("simdjson")  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("cexnet: build requirement pysimdjson is missing: pip install pysimdjson")
    return Path(next(iter(spec.submodule_search_locations)))


def build_facts() -> list[tuple[str, str | None]]:
    """Facts compiled into every module; ``cexnet_core.build_info`` shows them."""
    return [
        ("CEXNET_BUILD_MODE", f'"{MODE}"'),
        ("CEXNET_BUILT_WITH_CYTHON", f'"{version("Cython")}"'),
        ("CEXNET_BUILT_WITH_PICOWS", f'"{version("picows")}"'),
        ("CEXNET_BUILT_WITH_PYSIMDJSON", f'"{version("pysimdjson")}"'),
    ]


def core_extension(source: Path) -> Extension:
    """The extension of one ``cexnet_core`` module."""
    cxx = source.stem in KERNEL_USERS
    macros: list[tuple[str, str | None]] = build_facts() if source.stem == "build_info" else []
    if MODE == "trace":
        macros.append(("CYTHON_TRACE_NOGIL", "1"))
    return Extension(
        f"cexnet_core.{source.stem}",
        [str(source)],
        language="c++" if cxx else "c",
        define_macros=macros,
        include_dirs=[str(CORE), *([str(simdjson_directory())] if cxx else [])],
        depends=["setup.py", *HEADERS],
        extra_compile_args=[*COMPILE_ARGS[MODE], *(CXX_ARGS if cxx else [])],
        extra_link_args=LINK_ARGS.get(MODE, []),
    )


class BuildCore(build_ext):
    """Generates the C sources when extensions are built, and only then.

    An sdist thus lists ``.pyx`` files, and asking for metadata compiles nothing.
    The C++ kernel and simdjson are compiled here and not as sources of an
    extension: distutils would compile them again with each change of its ``.pyx``.
    """

    def finalize_options(self) -> None:
        """Compile on every processor unless told otherwise (``build_ext -j1``)."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count()

    def build_extensions(self) -> None:
        """Generate C from the ``.pyx`` files that changed, then compile it."""
        generated = cythonize(
            self.extensions,
            # Cython's coverage plugin looks for the generated C beside the .pyx.
            build_dir=None if MODE == "trace" else f"build/cython/{MODE}",
            compiler_directives=DIRECTIVES,
            annotate=MODE == "release",
        )
        by_name = {extension.name: extension for extension in generated}
        for extension in self.extensions:
            extension.sources = by_name[extension.name].sources
            extension.depends = by_name[extension.name].depends
            if extension.name.rpartition(".")[2] in KERNEL_USERS:
                extension.extra_objects = self.kernel_objects()
                extension.depends = [*extension.depends, *extension.extra_objects]
        super().build_extensions()

    def kernel_objects(self) -> list[str]:
        """Object files of the C++ kernel and of simdjson, compiled where they are out of date."""
        simdjson = simdjson_directory()
        headers = [*HEADERS, str(simdjson / "simdjson.h"), "setup.py"]

        def compile_one(source: Path, more_args: list[str]) -> str:
            (target,) = self.compiler.object_filenames([str(source)], output_dir=self.build_temp)
            if self.force or newer_group([str(source), *headers], target):
                _logger.info("building '%s' of the kernel", source)
                self.compiler.compile(
                    [str(source)],
                    output_dir=self.build_temp,
                    include_dirs=[str(CORE), str(KERNEL), str(simdjson)],
                    extra_postargs=[*COMPILE_ARGS[MODE], *CXX_ARGS, *more_args],
                )
            return str(target)

        with ThreadPoolExecutor(self.parallel) as pool:
            objects = [pool.submit(compile_one, path, []) for path in sorted(KERNEL.glob("*.cpp"))]
            foreign = SIMDJSON_ARGS.get(MODE, [])
            objects.append(pool.submit(compile_one, simdjson / "simdjson.cpp", foreign))
            return [each.result() for each in objects]


sources = [path for path in sorted(CORE.glob("*.pyx")) if not ONLY or path.stem in ONLY]
setup(ext_modules=[core_extension(path) for path in sources], cmdclass={"build_ext": BuildCore})
