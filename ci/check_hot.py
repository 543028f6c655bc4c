"""Check that functions marked ``# hot`` never talk to the Python interpreter.

The mark is a comment on any line of a function's signature, or alone on the line
above it. Cython's annotated output (``build/cython/release/**/*.html``, written
by the release build) gives each source line a score: 0 where the generated C
calls nothing of CPython's. Each line of a hot function must score 0.

Three things are left out of the score, because they are not interaction:

* ``__Pyx_INCREF`` and its kin: a reference count is one machine instruction;
* ``__Pyx_AddTraceback`` and ``__Pyx_WriteUnraisable``, which Cython puts on a
  signature line for the path where the function has failed already;
* the signature line of a ``nogil`` function: there stands, for a ``cpdef``, the
  wrapper that Python calls, and of the body the compiler itself has proof.

Inline functions in a ``.pxd`` are not annotated; there the mark asks for
``nogil``, with which the Cython compiler itself refuses Python operations.

``check_hot.py [CORE [ANNOTATED]]`` prints each offending line and exits 1 if there is any.
"""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = re.compile(r"#\s*hot\b")
SIGNATURE = re.compile(r"^\s*(?:cdef|cpdef|def)\b(?!\s+(?:class|extern|struct|enum)\b).*\(")
SOURCE_LINE = re.compile(
    r'<pre class="cython line score-\d+"[^>]*>(?:\+|&#xA0;)<span class="[^"]*">0*(?P<number>\d+)</span>: '
    r"(?P<text>.*?)</pre>\n(?:<pre class='cython code[^']*'>(?P<code>.*?)</pre>)?",
    re.DOTALL,
)
CALL = re.compile(r"<span class='(?:py_c_api|pyx_c_api|py_macro_api|pyx_macro_api)'>(\w+)</span>")
NOT_INTERACTION = re.compile(
    r"__Pyx_(X?(INC|DEC|GOT|GIVE)REF(_SET)?|CLEAR|REFNANNY\w*|AddTraceback|WriteUnraisable)"
)


@dataclass(frozen=True, slots=True)
class Function:
    """A marked function: first line of signature and body, and last line, counted from 1."""

    name: str
    first: int
    first_of_body: int
    last: int
    signature: str

    @property
    def is_nogil(self) -> bool:
        """Whether Cython itself refuses Python operations in the body."""
        return re.search(r"\bnogil\b", self.signature) is not None


def strip_comment(line: str) -> str:
    """The line's code without its comment. Signatures hold no ``#`` in text."""
    return line.partition("#")[0].rstrip()


def hot_functions(source: str) -> Iterator[Function]:
    """Every function marked ``# hot``. A mark that belongs to no function raises ``ValueError``."""
    lines = source.splitlines()
    claimed = set()
    for start, line in enumerate(lines):
        if not SIGNATURE.match(line):
            continue
        end = start
        while not strip_comment(lines[end]).endswith(":") and end + 1 < len(lines):
            if strip_comment(lines[end]) and end > start and SIGNATURE.match(lines[end]):
                break
            end += 1
        above = start - 1
        marked = [number for number in range(start, end + 1) if MARK.search(lines[number])]
        if above >= 0 and lines[above].strip().startswith("#") and MARK.search(lines[above]):
            marked.append(above)
        if not marked:
            continue
        claimed.update(marked)
        signature = " ".join(strip_comment(part).strip() for part in lines[start : end + 1])
        indent = len(line) - len(line.lstrip())
        last = end
        for number in range(end + 1, len(lines)):
            text = lines[number]
            if text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            if text.strip():
                last = number
        name = re.split(r"\W+", signature.partition("(")[0].strip())[-1]
        yield Function(name, start + 1, end + 2, last + 1, signature)
    for number, line in enumerate(lines):
        could_mark = line.strip().startswith(("#", "cdef", "def", "cpdef"))
        if could_mark and MARK.search(line) and number not in claimed:
            raise ValueError(f"line {number + 1}: this mark belongs to no function: {line.strip()}")


def annotated_lines(page: str) -> dict[int, tuple[str, list[str]]]:
    """Line number -> source text and the names of the CPython calls in its C code."""
    found = {}
    for match in SOURCE_LINE.finditer(page):
        text = html.unescape(re.sub(r"<[^>]+>", "", match["text"]))
        calls = [name for name in CALL.findall(match["code"] or "") if not NOT_INTERACTION.fullmatch(name)]
        found[int(match["number"])] = (text, calls)
    return found


def check_pyx(path: Path, annotated: Path) -> tuple[int, list[str]]:
    """Number of hot functions, and one line for each offence."""
    source = path.read_text()
    functions = list(hot_functions(source))
    if not functions:
        return 0, []
    page_path = annotated / f"{path.stem}.html"
    if not page_path.exists():
        return len(functions), [f"{path}: no annotation at {page_path}; build in release mode first"]
    page = annotated_lines(page_path.read_text())
    lines = source.splitlines()
    offences = []
    for function in functions:
        for number in range(function.first, function.last + 1):
            text = lines[number - 1]
            if number not in page or page[number][0].strip() != text.strip():
                offences.append(f"{path}:{number}: the annotation is of another version; build again")
                break
            in_signature = number < function.first_of_body
            if page[number][1] and not (in_signature and function.is_nogil):
                calls = ", ".join(sorted(set(page[number][1])))
                offences.append(f"{path}:{number}: {function.name} calls {calls}: {text.strip()}")
    return len(functions), offences


def check_pxd(path: Path) -> tuple[int, list[str]]:
    """Number of hot functions, and one line for each offence."""
    functions = list(hot_functions(path.read_text()))
    return len(functions), [
        f"{path}:{function.first}: {function.name} is hot and inline in a .pxd: declare it nogil"
        for function in functions
        if not function.is_nogil
    ]


def check(core: Path, annotated: Path) -> tuple[int, list[str]]:
    """Hot functions in the folder ``core``, and one line for each offence."""
    total, offences = 0, []
    for path in sorted([*core.glob("*.pyx"), *core.glob("*.pxd")]):
        try:
            count, lines = check_pxd(path) if path.suffix == ".pxd" else check_pyx(path, annotated)
        except ValueError as error:
            count, lines = 0, [f"{path}: {error}"]
        total += count
        offences += lines
    return total, offences


def main() -> int:
    """Check the folder that is named, or the core."""
    root = Path(__file__).resolve().parent.parent
    core = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "cexnet_core"
    annotated = Path(sys.argv[2]) if len(sys.argv) > 2 else root / "build/cython/release/cexnet_core"
    total, offences = check(core, annotated)
    print("\n".join(offences) if offences else f"{total} hot functions, none talks to Python")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
