"""Check that every import points down the floors, and that modules form no cycle.

The floors, from the bottom; a module may import its own floor and those below,
but another package of its own floor only where ``MAY_ALSO`` says so::

    5  cexnet.cli, cexnet.__main__, cexnet.telemetry, cexnet.simulator, cexnet.recording,
       cexnet.testing
    4  cexnet.factory
    3  cexnet.exchanges, cexnet.config      (never each other)
    2  cexnet.websocket, cexnet.http        (never each other)
    1  cexnet.credentials, cexnet.types
    0  cexnet_core                          (imports nothing of cexnet)

Every form counts: ``import``, ``from``, ``cimport``, inside functions and under
``TYPE_CHECKING`` too. Only in the search for cycles do those two not count,
since they are not executed while a module is being imported.

``check_imports.py [ROOT]`` prints one line an offence and exits 1 if there is any.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FLOORS = {
    "cexnet_core": 0,
    "cexnet.credentials": 1,
    "cexnet.types": 1,
    "cexnet.websocket": 2,
    "cexnet.http": 2,
    "cexnet.config": 3,
    "cexnet.exchanges": 3,
    "cexnet.factory": 4,
    "cexnet.telemetry": 5,
    "cexnet.recording": 5,
    "cexnet.simulator": 5,
    "cexnet.testing": 5,
    "cexnet.cli": 5,
    "cexnet.__main__": 5,
}
# The command line is where the whole house is shown to a person.
MAY_ALSO = {
    "cexnet.__main__": {"cexnet.cli"},
    "cexnet.cli": {"cexnet", "cexnet.telemetry", "cexnet.recording", "cexnet.simulator"},
    "cexnet.simulator": {"cexnet.recording"},  # it plays what was captured
}
# The package's front door re-exports from every floor but the top one.
FRONT_DOOR = "cexnet"


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement: ``importer`` names ``imported`` at ``path:line``."""

    path: Path
    line: int
    importer: str
    imported: str
    at_import_time: bool


def module_name(path: Path, root: Path) -> str:
    """``cexnet/http/retry.py`` -> ``cexnet.http.retry``."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute(importer: str, is_package: bool, level: int, name: str) -> str:
    """Resolve a relative import as Python does."""
    if level == 0:
        return name
    parts = importer.split(".")
    base = parts[: len(parts) - level + (1 if is_package else 0)]
    return ".".join([*base, *([name] if name else [])])


def is_type_checking(node: ast.AST) -> bool:
    """Whether the node is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def python_imports(path: Path, root: Path, modules: set[str]) -> Iterator[Import]:
    """Imports of a ``.py`` or ``.pyi`` file."""
    importer = module_name(path, root)
    is_package = path.stem == "__init__"

    def visit(node: ast.AST, at_import_time: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(path, node.lineno, importer, alias.name, at_import_time)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(importer, is_package, node.level, node.module or "")
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield Import(path, node.lineno, importer, below if below in modules else base, at_import_time)
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        inside = at_import_time and not deferred and not is_type_checking(node)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(), str(path)), path.suffix == ".py")


CYTHON_IMPORT = re.compile(
    r"^\s*(?:from\s+(?P<base>[.\w]+)\s+c?import\s+(?P<names>[^#]+)|c?import\s+(?P<modules>[^#]+))"
)


def cython_imports(path: Path, root: Path, modules: set[str]) -> Iterator[Import]:
    """Imports and cimports of a ``.pyx`` or ``.pxd`` file."""
    importer = module_name(path, root)
    is_package = path.stem == "__init__"
    in_docstring = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        quotes = line.count('"""') % 2 == 1
        match = None if in_docstring else CYTHON_IMPORT.match(line)
        in_docstring ^= quotes
        if match is None:
            continue
        # A cimport of a pxd runs nothing; of a pyx, it imports the module. Both count as executed.
        if match["modules"]:
            for name in match["modules"].split(","):
                yield Import(path, number, importer, name.split()[0], True)
            continue
        level = len(match["base"]) - len(match["base"].lstrip("."))
        base = absolute(importer, is_package, level, match["base"].lstrip("."))
        for name in match["names"].strip(" ()").split(","):
            below = f"{base}.{name.split()[0]}" if name.split() else base
            yield Import(path, number, importer, below if below in modules else base, True)


READERS = {
    ".py": python_imports,
    ".pyi": python_imports,
    ".pyx": cython_imports,
    ".pxd": cython_imports,
}


def unit(module: str) -> str | None:
    """The package of ``FLOORS`` that the module belongs to; ``cexnet`` itself; else ``None``."""
    parts = module.split(".")
    for size in (2, 1):
        name = ".".join(parts[:size])
        if name in FLOORS or name == FRONT_DOOR == module:
            return name
    return None


def offence(found: Import) -> str | None:
    """Why this import is not allowed, or ``None``."""
    top = found.imported.split(".")[0]
    if top not in ("cexnet", "cexnet_core"):
        return None
    source, target = unit(found.importer), unit(found.imported)
    if source is None or target is None:
        stranger = found.importer if source is None else found.imported
        return f"{stranger} has no floor; give it one in ci/check_imports.py and in the design"
    if source == target or target in MAY_ALSO.get(source, ()):
        return None
    if source == FRONT_DOOR:
        return None if FLOORS[target] < FLOORS["cexnet.cli"] else "the front door imports no top floor"
    if target == FRONT_DOOR:
        return "only the command line may use the front door; import from where the name is defined"
    if FLOORS[target] > FLOORS[source]:
        return f"points up: floor {FLOORS[source]} imports floor {FLOORS[target]}"
    if FLOORS[target] == FLOORS[source]:
        return "two packages of one floor do not know each other; inject a callable instead"
    return None


def find_cycle(imports: list[Import]) -> list[str]:
    """The modules of one import cycle in order, the first one repeated; empty when there is none."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.at_import_time and found.imported != found.importer:
            graph.setdefault(found.importer, set()).add(found.imported)
    finished: set[str] = set()

    def walk(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in finished:
            return []
        for target in sorted(graph.get(module, ())):
            cycle = walk(target, [*trail, module])
            if cycle:
                return cycle
        finished.add(module)
        return []

    for module in sorted(graph):
        cycle = walk(module, [])
        if cycle:
            return cycle
    return []


def check(root: Path) -> list[str]:
    """One line for each offence under ``root``."""
    files = [
        path
        for package in ("cexnet", "cexnet_core")
        for path in sorted((root / package).rglob("*"))
        if path.suffix in READERS
    ]
    modules = {module_name(path, root) for path in files}
    imports = [found for path in files for found in READERS[path.suffix](path, root, modules)]
    lines = [
        f"{found.path.relative_to(root)}:{found.line}: {found.importer} imports {found.imported}: {why}"
        for found in imports
        if (why := offence(found))
    ]
    cycle = find_cycle([found for found in imports if found.imported in modules])
    if cycle:
        lines.append(f"import cycle: {' -> '.join(cycle)}")
    return lines


def main() -> int:
    """Check the tree that is named, or the one that this file is in."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    lines = check(root)
    print("\n".join(lines) if lines else "imports point down, no cycle")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
