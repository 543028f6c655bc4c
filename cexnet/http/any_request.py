"""Any request of an exchange by method and path, typed or not, on top of the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

from cexnet.http.answers import Response
from cexnet.http.endpoint import Call, Params, Priority
from cexnet.http.intents import build_call
from cexnet.http.strategies import RestStrategySet

T = TypeVar("T")


class AnyRequest:
    """``request`` and its four short forms, for whoever has strategies and a line to call."""

    def __init__(self) -> None:
        self._decoders: dict[Any, Callable[[bytes], Any]] = {}

    @property
    def strategies(self) -> RestStrategySet:
        """The strategy set that the next try will use."""
        raise NotImplementedError

    async def call(self, call: Call[T], *, deadline_s: float | None = None) -> Response[T]:
        """Carry ``call`` through the line."""
        raise NotImplementedError

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        type: type[T],
        params: Params = ...,
        body: Any = ...,
        weight: int | None = ...,
        priority: Priority | None = ...,
        deadline_s: float | None = ...,
        idempotent: bool | None = ...,
        client_order_id: str = ...,
        signed: bool | None = ...,
    ) -> Response[T]: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        type: None = ...,
        params: Params = ...,
        body: Any = ...,
        weight: int | None = ...,
        priority: Priority | None = ...,
        deadline_s: float | None = ...,
        idempotent: bool | None = ...,
        client_order_id: str = ...,
        signed: bool | None = ...,
    ) -> Response[Any]: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: Any = None,
        weight: int | None = None,
        priority: Priority | None = None,
        deadline_s: float | None = None,
        idempotent: bool | None = None,
        client_order_id: str = "",
        signed: bool | None = None,
        type: type[Any] | None = None,
    ) -> Response[Any]:
        """Send any request of this exchange; ``path`` starts with a slash, without query.

        What is left out comes from the exchange's table; a path that is not in it is
        unsigned, weighs 1 and is idempotent when its method is GET. ``params`` go into the
        query in the order given (``cexnet_core.query``). ``body`` is sent as JSON, or as it
        stands when it is bytes. What nobody else may read, a listen key say, is given as a
        Secret, there and in a body. ``type`` is what msgspec decodes the answer into.
        Raises the RequestError tree and DeadlineExceeded.
        """
        call = build_call(
            self.strategies.request,
            method,
            path,
            self._decoder(type),
            params=params,
            body=body,
            weight=weight,
            priority=priority,
            idempotent=idempotent,
            client_order_id=client_order_id,
            signed=signed,
        )
        return await self.call(call, deadline_s=deadline_s)

    async def get(self, path: str, **options: Any) -> Response[Any]:
        """``request("GET", ...)``."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Response[Any]:
        """``request("POST", ...)``."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Response[Any]:
        """``request("PUT", ...)``."""
        return await self.request("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Response[Any]:
        """``request("DELETE", ...)``."""
        return await self.request("DELETE", path, **options)

    def _decoder(self, type: type[Any] | None) -> Callable[[bytes], Any]:
        """One msgspec decoder a type, made once."""
        if type not in self._decoders:
            decoder = msgspec.json.Decoder(Any if type is None else type)
            self._decoders[type] = decoder.decode
        return self._decoders[type]
