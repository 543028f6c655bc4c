"""The fenced blocks of README.md and docs/*.md, and where each stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCED = re.compile(r"^```([\w+-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL = ("console", "sh", "bash", "")


@dataclass(frozen=True, slots=True)
class Block:
    """One block, and the line that it begins at."""

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"

    def commands(self) -> list[str]:
        """The command lines of ``cexnet`` in a shell's block, continued lines joined."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?([A-Z_]+=\S* )*cexnet\b", line)]


def documents() -> list[Path]:
    """README and everything in docs/; nothing where the sources are absent."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.exists()]


def blocks(*languages: str) -> list[Block]:
    """Every block in one of ``languages``; "" is none."""
    found: list[Block] = []
    for path in documents():
        text, name = path.read_text(), path.relative_to(ROOT).as_posix()
        found += [
            Block(name, text.count("\n", 0, match.start()) + 1, match[2])
            for match in FENCED.finditer(text)
            if match[1] in languages
        ]
    return found
