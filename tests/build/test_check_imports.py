"""The import-direction check finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci import check_imports

SOUND = {
    "cexnet_core/clock.pxd": "from libc.stdint cimport int64_t\n",
    "cexnet_core/decode.pyx": "from cexnet_core.clock cimport now_ns\nfrom cexnet_core import clock\n",
    "cexnet/__init__.py": "from cexnet.factory import TransportFactory\n",
    "cexnet/types.py": "import enum\n",
    "cexnet/http/manager.py": "from cexnet.types import Side\nfrom . import limits\n",
    "cexnet/http/limits.py": "from cexnet_core.clock import now_ns\n",
    "cexnet/factory.py": "import cexnet.http.manager\n",
    "cexnet/cli/__init__.py": "from cexnet import factory\nfrom cexnet.simulator import server\n",
    "cexnet/simulator/server.py": "from cexnet_core import clock\n",
}


def check(root: Path, files: dict[str, str]) -> list[str]:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return check_imports.check(root)


def test_a_sound_tree_has_no_offence(tmp_path: Path) -> None:
    assert check(tmp_path, SOUND) == []


@pytest.mark.parametrize(
    "name, text, why",
    [
        ("cexnet/types.py", "from cexnet.factory import TransportFactory\n", "points up"),
        ("cexnet/types.py", "def late():\n    import cexnet.factory\n", "points up"),
        (
            "cexnet/types.py",
            "import typing\nif typing.TYPE_CHECKING:\n    from cexnet.http import limits\n",
            "points up",
        ),
        ("cexnet/http/limits.py", "from cexnet.websocket import manager\n", "do not know each other"),
        ("cexnet/http/limits.py", "from ..websocket import manager\n", "do not know each other"),
        ("cexnet/simulator/server.py", "from cexnet.cli import demo\n", "do not know each other"),
        ("cexnet/http/limits.py", "import cexnet\n", "front door"),
        ("cexnet/__init__.py", "import cexnet.cli\n", "front door"),
        ("cexnet_core/clock.pyx", "from cexnet.types import Side\n", "points up"),
        ("cexnet_core/clock.pxd", "cimport cexnet.types\n", "points up"),
        ("cexnet_core/clock.pyx", "def late():\n    from cexnet.types cimport Side\n", "points up"),
        ("cexnet/novel/thing.py", "import cexnet_core\n", "has no floor"),
        ("cexnet/http/limits.py", "import cexnet.http.manager\n", "import cycle"),
    ],
)
def test_an_offence_is_named(tmp_path: Path, name: str, text: str, why: str) -> None:
    lines = check(tmp_path, SOUND | {name: text})
    assert any(why in line and (name in line or "cycle" in line) for line in lines), lines


def test_an_import_inside_a_function_closes_no_cycle(tmp_path: Path) -> None:
    late = {"cexnet/http/limits.py": "def late():\n    import cexnet.http.manager\n"}
    assert check(tmp_path, SOUND | late) == []


def test_imports_quoted_in_a_docstring_do_not_count(tmp_path: Path) -> None:
    quoted = {"cexnet_core/decode.pyx": '"""An engine writes\n\nfrom cexnet.types import Side\n"""\n'}
    assert check(tmp_path, SOUND | quoted) == []
