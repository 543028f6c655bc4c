"""``cexnet config``: what is in force and why; a commented file to begin with."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cexnet.config import as_toml, load, rows
from cexnet_core.errors import ConfigurationError

DEFAULT_PATH = Path("cexnet.toml")


def show_config(path: Path | None, env: str | None, *, as_json: bool) -> None:
    """Print the effective tree, secrets masked, with the source of each value.

    Without ``path``, ``cexnet.toml`` of the working directory is read if there is one.
    Raises ConfigurationError for a file that is missing or wrong.
    """
    if path is None and DEFAULT_PATH.exists():
        path = DEFAULT_PATH
    effective = rows(load(path, env=env))
    if as_json:
        listed = [row._asdict() for row in effective]
        sys.stdout.write(msgspec.json.encode(listed).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("key", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", style="dim", overflow="fold")
    for row in effective:
        cells = (Text(each) for each in (row.key, as_toml(row.value), row.source))
        table.add_row(*cells, style=None if row.source != "default" else "dim")
    Console(highlight=False).print(table)


def init_config(path: Path | None, *, force: bool) -> None:
    """Write the commented example to ``path``, by default ``cexnet.toml``.

    Raises ConfigurationError when it exists already and ``force`` is false.
    """
    path = path or DEFAULT_PATH
    text = files("cexnet.config").joinpath("example.toml").read_text(encoding="utf-8")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already: choose another name, or --force") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"wrote {path}; `cexnet config show {path}` prints what is in force", markup=False
    )
