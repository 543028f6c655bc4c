"""Pages that the documents' site has beyond docs/: README, reference, files that a document links to.

A hook of mkdocs. A link out of docs/ (``../cexnet/http/line.py``) becomes one to a copy in the
site; one to a file that does not exist stays as it is, and fails the strict build.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REPO = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)

# A page each, with the names of its __all__.
PACKAGES = (
    "cexnet.websocket",
    "cexnet.http",
    "cexnet.config",
    "cexnet.telemetry",
    "cexnet.recording",
    "cexnet.simulator",
    "cexnet.loops",
    "cexnet.testing",
)
# What an application gets from ``cexnet`` alone: on the page of ``cexnet``.
FRONT_DOOR = ("cexnet.factory", "cexnet.types", "cexnet.credentials")
# Modules that an application or a Cython engine may use, a page each, in the order of the line.
CORE = (
    *("errors", "events", "frames", "messages", "deflate", "tap", "schema", "decode", "decoded"),
    *("route", "stream", "queue", "snapshot", "latency", "summary", "hotlog", "clock"),
    *("limit", "ratelimit", "limit_group", "signing", "secret", "build_info"),
)


def on_config(config: MkDocsConfig) -> None:
    """Name the remaining documents and the reference in the navigation."""
    assert config.nav is not None
    documents = next(part["Documents"] for part in config.nav if isinstance(part, dict))
    documents.extend(sorted({path.name for path in Path(config.docs_dir).glob("*.md")} - set(documents)))
    packages = [{name: _page(name)} for name in ("cexnet", *_packages())]
    core = [{name: _page(name)} for name in (f"cexnet_core.{module}" for module in CORE)]
    config.nav += [{"Reference": packages}, {"Reference of the core": core}]


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the README, the reference, and every file of the repository that is linked to."""
    files.append(File.generated(config, "index.md", content=(REPO / "README.md").read_text()))
    files.append(File.generated(config, _page("cexnet"), content=_front_door()))
    for name in (*_packages(), *(f"cexnet_core.{module}" for module in CORE)):
        text = f"# `{name}`\n\n{_directive(name, _public_names(name))}"
        files.append(File.generated(config, _page(name), content=text))
    for path in (REPO / "README.md", *(REPO / "docs").glob("*.md")):
        for target, _ in LINK.findall(FENCED.sub("", path.read_text())):
            linked = _outside(path.parent / target)
            if linked is not None and files.get_file_from_path(linked) is None:
                files.append(File.generated(config, linked, abs_src_path=str(REPO / linked)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead links to files outside docs/ to the copies in the site."""
    name = page.file.src_uri
    if "/" in name:
        return markdown
    folder = REPO if name == "index.md" else REPO / "docs"

    def lead(link: re.Match[str]) -> str:
        target = _outside(folder / link[1]) or link[1].removeprefix("docs/")
        return f"]({target}{link[2] or ''})"

    return LINK.sub(lead, markdown)


def _outside(path: Path) -> str | None:
    """The path in the repository of a file that exists outside docs/; for a folder, its table."""
    path = path.resolve()
    if path.is_dir():
        path /= "table.md"
    if not path.is_file() or REPO not in path.parents or REPO / "docs" in path.parents:
        return None
    return path.relative_to(REPO).as_posix()


def _page(name: str) -> str:
    return f"reference/{name}.md"


def _packages() -> list[str]:
    return [name for name in PACKAGES if importlib.util.find_spec(name) is not None]


def _directive(name: str, members: list[str], level: int = 2) -> str:
    """What makes mkdocstrings write about these members, under the text of the module itself."""
    return (
        f"::: {name}\n    options:\n      show_root_heading: false\n      show_root_toc_entry: false\n"
        f"      heading_level: {level}\n      members: [{', '.join(members)}]\n"
    )


def _public_names(name: str) -> list[str]:
    """Names of ``__all__``; without one, what the module's stub or source defines."""
    module = importlib.import_module(name)
    if hasattr(module, "__all__"):
        return list(module.__all__)
    source = REPO / name.replace(".", "/")
    stub = source.with_suffix(".pyi")
    names: list[str] = []
    for node in ast.parse((stub if stub.exists() else source.with_suffix(".py")).read_text()).body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names.append(node.name)
            case ast.AnnAssign(target=ast.Name(id=target)) | ast.Assign(targets=[ast.Name(id=target)]):
                names.append(target)
    return [each for each in names if not each.startswith("_")]


def _front_door() -> str:
    """A table of all names of ``cexnet``, and what is documented on no other page."""
    package = importlib.import_module("cexnet")
    homes = {name: _home(name) for name in sorted(package.__all__)}
    lines = ["# `cexnet`", "", (inspect.getdoc(package) or "").replace("::", ":"), ""]
    lines += ["| name | what it is |", "|---|---|"]
    lines += [f"| [`{name}`][{home}.{name}] | {_first_sentence(name)} |" for name, home in homes.items()]
    for module in FRONT_DOOR:
        own = [name for name in _public_names(module) if homes.get(name) == module]
        lines += ["", f"## `{module}`", "", _directive(module, own, 3)]
    return "\n".join(lines)


def _home(name: str) -> str:
    """The package or module on whose page a name of ``cexnet`` is documented."""
    for package in _packages():
        if name in importlib.import_module(package).__all__:
            return package
    value = getattr(importlib.import_module("cexnet"), name)
    return str(value.__module__)


def _first_sentence(name: str) -> str:
    text = inspect.getdoc(getattr(importlib.import_module("cexnet"), name)) or ""
    return re.split(r"(?<=[.!?])\s|\n\n", text)[0].replace("\n", " ").replace("|", "\\|")
