"""Embedded exchanges on a thread of their own, and the environment that leads a program to them."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from typing import Self

from cexnet.simulator import Simulator
from cexnet.simulator.personas import PERSONAS


class EmbeddedExchanges:
    """Starts an exchange when it is first asked for; ``with`` ends them all."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded exchanges")
        self._started: dict[str, Simulator] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for exchange in self._started.values():
            self._wait_for(exchange.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def environment(self, text: str) -> dict[str, str]:
        """Variables that lead to an embedded twin of each exchange that ``text`` quotes."""
        variables = dict(os.environ)
        for name in PERSONAS:
            if re.search(rf'"{name}"', text):
                exchange = self._exchange(name)
                prefix = f"CEXNET__EXCHANGE__{name.upper()}__"
                variables[f"{prefix}WEBSOCKET_URL"] = exchange.ws_url
                variables[f"{prefix}REST_URL"] = exchange.rest_url
                variables[f"{prefix}CREDENTIALS__API_KEY"] = exchange.api_key
                variables[f"{prefix}CREDENTIALS__API_SECRET"] = exchange.api_secret
        return variables

    def _exchange(self, name: str) -> Simulator:
        if name not in self._started:
            self._started[name] = self._wait_for(Simulator(name).__aenter__())
        return self._started[name]

    def _wait_for(self, work):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)
