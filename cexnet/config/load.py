"""From files, environment and keywords to the typed tree.

From the bottom to the top: the defaults, the file, its table ``[env.NAME]`` where ``NAME`` is
``env`` or the variable ``CEXNET_ENV``, variables like ``CEXNET__REST__DEADLINE_S=2``, and the
keywords of the call.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from cexnet.config.layers import Layer, Merged, merge
from cexnet.config.problems import explain, explain_table, refuse_unknown_keys, table_at_fault
from cexnet.config.tree import Config, ExchangeConfig
from cexnet.credentials import Secret, secret_from
from cexnet_core.errors import ConfigurationError

T = TypeVar("T")

ENVIRONMENT = "CEXNET_ENV"
PREFIX = "CEXNET__"
_NOT_READ = Secret("not read yet")
_INHERITED = ("websocket", "rest")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where each of its values came from."""

    config: Config
    merged: Merged


def load_config(path: str | Path | None = None, *, env: str | None = None, **overrides: Any) -> Config:
    """Read a TOML file and what lies over it; without ``path``, what there is without a file.

    ``overrides`` are tables or values of the tree: ``load_config(p, rest={"deadline_s": 2})``.
    Raises ConfigurationError that names the file, key, value and what is allowed.
    """
    try:
        return load(path, env=env, overrides=overrides).config
    finally:
        del overrides


def config_from_dict(tree: dict[str, Any]) -> Config:
    """Validate a plain tree. Raises ConfigurationError naming the key and what is allowed."""
    if not isinstance(tree, Mapping):
        raise ConfigurationError(f"configuration: expected a dict of tables, got {type(tree).__name__}")
    merged = merge([Layer("the given tree", tree)])
    return _convert(merged, strict=True, read_secrets=True)


def load(
    path: str | Path | None,
    *,
    env: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """As ``load_config``, and keep where each value came from."""
    try:
        return _load(path, env, overrides, environ)
    except ConfigurationError as error:
        trouble = str(error)
    # Raised out here, it carries no frame that holds what the file, the environment or a keyword says.
    del environ, overrides
    raise ConfigurationError(trouble)


def _load(
    path: str | Path | None,
    env: str | None,
    overrides: Mapping[str, Any] | None,
    environ: Mapping[str, str],
) -> Loaded:
    layers = _of_file(Path(path), env or environ.get(ENVIRONMENT)) if path is not None else []
    _convert(merge(layers), strict=True)  # before texts of the environment are let through
    layers.append(Layer("environment", _of_environ(environ)))
    if overrides:
        layers.append(Layer("keyword", overrides))
    merged = merge(layers)
    return Loaded(_convert(merged, strict=False, read_secrets=True), merged)


def _of_file(path: Path, env: str | None) -> list[Layer]:
    try:
        with path.open("rb") as file:
            tree = tomllib.load(file)
    except FileNotFoundError:
        raise ConfigurationError(
            f"configuration file {path} does not exist; `cexnet config init` writes one to begin with"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"configuration file {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # a number or a nesting too long for Python as well
        raise ConfigurationError(f"configuration file {path} is not TOML: {error}") from None
    overlays = tree.pop("env", {})
    if not isinstance(overlays, dict) or not all(isinstance(over, dict) for over in overlays.values()):
        raise ConfigurationError(f"{path}: `env` must be a table of tables like [env.production]")
    layers = [Layer(str(path), tree)]
    for name, overlay in overlays.items():  # one that is not chosen must be right all the same
        _convert(merge([*layers[:1], Layer(f"{path} [env.{name}]", overlay)]), strict=True)
        if name == env:
            layers.append(Layer(f"{path} [env.{name}]", overlay))
    if env is not None and overlays and env not in overlays:
        raise ConfigurationError(
            f"{path} has no [env.{env}]: choose one of {', '.join(overlays)} ({ENVIRONMENT} or env=)"
        )
    return layers


def _of_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            *above, key = name.removeprefix(PREFIX).lower().split("__")
            table = tree
            for part in above:
                table = table.setdefault(part, {})
                if not isinstance(table, dict):
                    raise ConfigurationError(f"{name} is below a variable that has a value of its own")
            table[key] = environ[name]
    return tree


def _convert(merged: Merged, *, strict: bool, read_secrets: bool = False) -> Config:
    tree = dict(merged.tree)
    exchanges: dict[str, ExchangeConfig] = {}
    tables = tree.pop("exchange", {})
    if not isinstance(tables, dict):
        raise ConfigurationError(
            f"configuration: exchange ({merged.source(('exchange',))}): "
            "must be a table of tables like [exchange.binance]"
        )
    config = _typed(tree, Config, (), merged, strict)
    for name, table in tables.items():
        if isinstance(table, dict):
            inherited = {key: tree[key] for key in _INHERITED if key in tree and key in table}
            table = merge([Layer("", inherited), Layer("", table)]).tree
            if isinstance(table.get("credentials"), dict):
                table["credentials"] = _with_secrets(name, table["credentials"], read_secrets)
        exchanges[name] = _typed(table, ExchangeConfig, ("exchange", name), merged, strict)
    return msgspec.structs.replace(config, exchange=exchanges)


def _typed(tree: Any, kind: type[T], above: tuple[str, ...], merged: Merged, strict: bool) -> T:
    refuse_unknown_keys(tree, kind, above, merged)
    try:
        return msgspec.convert(tree, kind, dec_hook=_to_secret, strict=strict)
    except msgspec.ValidationError as error:
        raise ConfigurationError(explain(error, tree, kind, above, merged)) from None
    except ConfigurationError as error:  # a table's own check, which does not know where it stands
        path = (*above, *table_at_fault(tree, kind, partial(_is_refused, strict=strict)))
        raise ConfigurationError(explain_table(error, path, merged)) from None


def _is_refused(tree: Any, kind: Any, *, strict: bool) -> bool:
    try:
        msgspec.convert(tree, kind, dec_hook=_to_secret, strict=strict)
    except ConfigurationError:
        return True
    except msgspec.ValidationError:
        pass  # wrong as well, but not what is being explained
    return False


def _with_secrets(exchange: str, table: dict[str, Any], read: bool) -> dict[str, Any]:
    """``table`` with what its values point to; what is not to be read yet gets a stand-in."""
    found = dict(table)
    for name, source in table.items():
        if isinstance(source, Mapping):
            where = f"configuration: exchange.{exchange}.credentials.{name}"
            secret = secret_from(source, where) if read else _NOT_READ
            found[name] = secret.text() if name == "api_key" else secret
    return found


def _to_secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str | Secret):
        return value if isinstance(value, Secret) else Secret(value)
    raise ValueError(f"expected text, got {type(value).__name__}")
