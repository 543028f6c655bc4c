"""Our code as the reference shows it: an extension of griffe, which reads sources and stubs.

The stubs of the compiled core have signatures and no texts; the compiled modules have the texts,
written for ``help()`` as all of ours: ``text::`` before an indented block, columns of names and
what they mean, now and then a role of Sphinx. Here they become Markdown.
"""

from __future__ import annotations

import importlib
import inspect
import re
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`~?([^`]+)`")
LEAD_IN = re.compile(r"(\S)::$", re.MULTILINE)
ALONE = re.compile(r"^::\n", re.MULTILINE)
COLUMN = re.compile(r"^(?:\* )?(``[^`]+``)  +(?=\S)", re.MULTILINE)
DEEP = re.compile(r"^ {8,}(?=\S)", re.MULTILINE)
SIGNATURE = re.compile(r"\A[\w.]+(\(.*\).*|: [\w. |\[\]]+)\n?")  # what Cython's embedsignature puts first
LONGEST_VALUE = 100


def as_markdown(text: str) -> str:
    """The docstring in Markdown; what is Markdown already stays as it is."""
    text = ALONE.sub("\n", LEAD_IN.sub(r"\1:", ROLE.sub(r"`\1`", text)))
    if column := COLUMN.search(text):
        row = re.compile(rf"^(?:\* )?(?=.{{{len(column[0])}}}\S)(``[^`]+``) +", re.MULTILINE)
        text = DEEP.sub("    ", row.sub(r"* \1: ", text))
    return text


class AsWritten(griffe.Extension):
    """Takes texts from compiled modules, makes all of them Markdown, leaves out tables of constants."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """A package was read, all of its modules included."""
        self._visit(pkg, None)

    def _visit(self, found: griffe.Object, compiled: Any) -> None:
        if isinstance(found, griffe.Module):
            is_stub = str(found.filepath).endswith(".pyi")
            compiled = importlib.import_module(found.path) if is_stub else None
        is_value = isinstance(found, griffe.Attribute) and not hasattr(compiled, "__get__")
        if compiled is not None and not is_value:  # a value has the text of its type
            text = SIGNATURE.sub("", inspect.cleandoc(compiled.__doc__ or "")).strip()
            found.docstring = griffe.Docstring(text, parent=found) if text else None
        if found.docstring is not None:
            found.docstring.value = as_markdown(found.docstring.value)
        if isinstance(found, griffe.Attribute) and len(str(found.value)) > LONGEST_VALUE:
            found.value = None
        if isinstance(found, griffe.Class) and "__new__" in found.members:
            found.members.setdefault("__init__", found.members["__new__"])
        for name, member in found.members.items():
            if isinstance(member, griffe.Object) and not name.startswith("_"):
                self._visit(member, getattr(compiled, name, None) if compiled is not None else None)
