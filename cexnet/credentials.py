"""API credentials, and where they come from: values, environment, files, a keyring.

None of it reaches a log, a repr or an exception: see ``Secret``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from cexnet_core.errors import ConfigurationError
from cexnet_core.secret import Secret

__all__ = ["Credentials", "Secret", "secret_from"]


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What an exchange issued for one account.

    ``api_secret`` is the shared secret, or a private key in PEM form (its first line
    starts with ``-----BEGIN``) where the exchange takes one. ``passphrase`` is the third
    value that some exchanges ask for, ``key_password`` what an encrypted PEM key opens
    with. Raises ConfigurationError naming the wrong value.
    """

    api_key: str
    api_secret: Secret
    passphrase: Secret | None = None
    key_password: Secret | None = None

    def __post_init__(self) -> None:
        for each in fields(self)[1:]:
            value = getattr(self, each.name)
            if not isinstance(value, Secret) and (value is not None or each.name == "api_secret"):
                raise ConfigurationError(
                    f"credentials.{each.name} must be a Secret: wrap it as Secret(value)"
                )
        if not self.api_key or not self.api_key.isascii() or not self.api_key.isprintable():
            raise ConfigurationError("credentials.api_key must be printable ASCII text and not empty")

    def __repr__(self) -> str:
        return "Credentials(****)"

    @classmethod
    def from_environment(cls, prefix: str, environment: Mapping[str, str] | None = None) -> Self:
        """From ``PREFIX_API_KEY``, ``PREFIX_API_SECRET`` and two more if they are there.

        Those are ``PREFIX_PASSPHRASE`` and ``PREFIX_KEY_PASSWORD``. Each may be given as
        a file instead, in ``PREFIX_API_SECRET_FILE`` and so on: how containers mount
        secrets. Raises ConfigurationError naming the variable that is missing, given
        twice, or names a file that cannot be read.
        """
        try:
            return cls._from(prefix, os.environ if environment is None else environment)
        except ConfigurationError as error:
            trouble = str(error)
        # Raised out here, its traceback carries no frame that holds the environment.
        del environment
        raise ConfigurationError(trouble)

    @classmethod
    def _from(cls, prefix: str, known: Mapping[str, str]) -> Self:
        found = {}
        for name in (each.name for each in fields(cls)):
            variable = f"{prefix}_{name.upper()}"
            value = _from_variable(variable, known)
            if value is not None:
                found[name] = value
            elif name in ("api_key", "api_secret"):
                raise ConfigurationError(f"set {variable} or {variable}_FILE in the environment")
        return cls(found.pop("api_key").reveal().decode("utf-8", "replace"), **found)


def secret_from(source: Mapping[str, Any], name: str) -> Secret:
    """The secret that ``source`` points to; ``name`` is for the error's text.

    A table names one place: ``{env = "VARIABLE"}``,
    ``{file = "/run/secrets/x"}`` (a newline at the end does not count) or
    ``{keyring = "service", user = "name"}``, which needs the ``keyring`` extra. Reading
    blocks: do it before the event loop matters. Raises ConfigurationError.
    """
    match source:
        case {"env": str(variable), **rest} if not rest:
            if variable not in os.environ:
                raise ConfigurationError(f"{name}: the environment has no {variable}")
            return _secret(os.environ[variable], f"{name} (environment variable {variable})")
        case {"file": str(path), **rest} if not rest:
            return _from_file(path, name)
        case {"keyring": str(service), "user": str(user), **rest} if not rest:
            return _from_keyring(service, user, name)
    raise ConfigurationError(
        f'{name} must be text, {{env = "..."}}, {{file = "..."}} or {{keyring = "...", user = "..."}}'
    )


def _from_variable(variable: str, environment: Mapping[str, str]) -> Secret | None:
    path = environment.get(f"{variable}_FILE")
    if path is None:
        value = environment.get(variable)
        return None if value is None else _secret(value, f"environment variable {variable}")
    if variable in environment:
        raise ConfigurationError(f"both {variable} and {variable}_FILE are set: keep one of them")
    return _from_file(path, f"{variable}_FILE")


def _from_file(path: str, name: str) -> Secret:
    try:
        value = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # a zero byte in a path is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{name}: cannot read {path}: {reason}") from None
    return _secret(value.rstrip(b"\r\n"), f"{name} (file {path})")


def _from_keyring(service: str, user: str, name: str) -> Secret:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"{name}: the keyring is an extra of its own: pip install 'cexnet[keyring]'"
        ) from None
    try:
        value = keyring.get_password(service, user)
    except KeyringError as error:
        raise ConfigurationError(f"{name}: the keyring refused: {error}") from None
    if value is None:
        raise ConfigurationError(f"{name}: the keyring has nothing for {user!r} of {service!r}")
    return _secret(value, f"{name} (keyring {service!r})")


def _secret(value: str | bytes, where: str) -> Secret:
    if not value:
        raise ConfigurationError(f"{where} is empty: give the value that the exchange issued")
    return Secret(value)
