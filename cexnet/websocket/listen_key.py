"""The key in the URL of a private stream: got when it is needed, kept alive, given back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cexnet.credentials import Secret
from cexnet_core.errors import (
    AuthenticationError,
    Banned,
    ClockSkewError,
    ExchangeError,
    ExchangeUnavailable,
    RateLimited,
)

# Refusals that say nothing of the key: it may still be good.
_NOT_OF_THE_KEY = (AuthenticationError, Banned, ClockSkewError, ExchangeUnavailable, RateLimited)


class ListenKey:
    """One listen key, shared by the connections of a manager. It never prints.

    ``create()``, ``keep_alive(key)`` and ``close(key)`` are the exchange's requests; they
    raise ExchangeError when it refuses. For use on one event loop.
    """

    def __init__(
        self,
        create: Callable[[], Awaitable[Secret]],
        keep_alive: Callable[[Secret], Awaitable[object]],
        close: Callable[[Secret], Awaitable[object]],
    ) -> None:
        self._create = create
        self._keep_alive = keep_alive
        self._close = close
        self._key: Secret | None = None
        self._changing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"ListenKey({'none' if self._key is None else self._key})"

    def reveal(self) -> str:
        """The key itself, for the URL; "" when there is none."""
        return "" if self._key is None else self._key.text()

    async def ensure(self) -> None:
        """Have a key that is good: the present one if the exchange still knows it, else a new one.

        Raises what the requests raise; a refusal of the present key is none of it.
        """
        async with self._changing:
            if not await self._is_kept():
                self._key = await self._create()

    async def renew(self) -> None:
        """Keep the key alive. Raises AuthenticationError when the exchange has ended it."""
        async with self._changing:
            if self._key is not None and not await self._is_kept():
                raise AuthenticationError("the listen key has ended", outcome="rejected")

    async def close(self) -> None:
        """Give the key back. Idempotent; one that has ended already is fine."""
        async with self._changing:
            key, self._key = self._key, None
            if key is not None:
                try:
                    await self._close(key)
                except ExchangeError as error:
                    if isinstance(error, _NOT_OF_THE_KEY):
                        raise

    async def _is_kept(self) -> bool:
        if self._key is None:
            return False
        try:
            await self._keep_alive(self._key)
        except ExchangeError as error:
            if isinstance(error, _NOT_OF_THE_KEY):
                raise
            self._key = None
            return False
        return True
