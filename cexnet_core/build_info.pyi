from typing import Final

MODE: Final[str]  # "release", "debug" or "trace"
CYTHON: Final[str]  # version that generated the C sources
PICOWS: Final[str]  # version whose C layout was compiled in; must equal the installed one
PYSIMDJSON: Final[str]  # version whose simdjson sources were compiled in
COMPILER: Final[str]  # the C compiler's version text, "" where it has none
