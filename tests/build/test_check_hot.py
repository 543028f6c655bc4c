"""The hot-path check reads Cython's own annotation and finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci import check_hot

Options = pytest.importorskip("Cython.Compiler.Main", reason="Cython is a build requirement only")

GOOD = """\
cdef class Total:
    cdef double sum

    cdef int add(self, double value) except -1:  # hot
        self.sum += value
        return 0

    # hot: called by add for each level
    cdef void add_two(
        self,
        double one,
        double other,
    ) noexcept nogil:
        self.sum += one

        self.sum += other

    def read(self):
        return self.sum


cpdef double halved(double value) noexcept nogil:  # hot
    return value / 2


cdef object keep(Total total):  # hot
    return total
"""

BAD = """\
# The first line of a module also carries the code that fills its namespace.

cdef int called(object value) except -1:  # hot
    cdef int total = 0
    total += 1
    value.append(total)
    return total


cdef int unmarked(object value) except -1:
    value.append(1)
    return 0


# hot
cdef inline int boxed(int number) except -1:
    cdef object box = number
    return 0
"""


def check(folder: Path, source: str, ending: str = ".pyx") -> list[str]:
    path = folder / f"sample{ending}"
    path.write_text(source)
    if ending == ".pyx":
        Options.compile([str(path)], annotate=True, language_level=3)
    return check_hot.check(folder, folder)[1]


def test_hot_functions_without_python_pass(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []
    assert check_hot.check(tmp_path, tmp_path)[0] == 4


def test_each_python_interaction_is_named_with_its_line_and_call(tmp_path: Path) -> None:
    lines = check(tmp_path, BAD)
    assert [line.split(":")[1] for line in lines] == ["6", "17"]
    assert "called calls" in lines[0]
    assert "value.append(total)" in lines[0]
    assert "boxed calls" in lines[1]


def test_a_stale_annotation_is_an_offence(tmp_path: Path) -> None:
    check(tmp_path, GOOD)
    (tmp_path / "sample.pyx").write_text(GOOD.replace("+= value", "-= value"))
    assert "another version" in check_hot.check(tmp_path, tmp_path)[1][0]


def test_a_missing_annotation_is_an_offence(tmp_path: Path) -> None:
    (tmp_path / "sample.pyx").write_text(GOOD)
    assert "build in release mode" in check_hot.check(tmp_path, tmp_path)[1][0]


def test_a_mark_without_a_function_is_an_offence(tmp_path: Path) -> None:
    assert "belongs to no function" in check(tmp_path, "# hot\ncdef int counter = 0\n")[0]


def test_hot_in_a_pxd_asks_for_nogil(tmp_path: Path) -> None:
    bad = "cdef inline int twice(int number) noexcept:  # hot\n    return 2 * number\n"
    assert "declare it nogil" in check(tmp_path, bad, ".pxd")[0]
    assert check(tmp_path, bad.replace("noexcept:", "noexcept nogil:"), ".pxd") == []
