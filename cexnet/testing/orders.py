"""Orders: ids that the exchange takes, and one request an order whatever goes wrong, on real sockets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

from cexnet.http.budget import RetryBudget
from cexnet.http.intents import TableRequests
from cexnet.http.meters import MeterRegistry
from cexnet.testing.asked import sent
from cexnet.testing.case import Case
from cexnet_core.errors import CexnetError, ConfigurationError, OutcomeUnknown

_MINTED = 50
_NO_ID = ("bad id!", "x" * 300)
_DEADLINE_S = 5.0


def wrong_order_ids(case: Case) -> Iterator[str]:
    """Ids that we mint obey the exchange's rule, differ, and are sent; those that do not are refused."""
    rest = case.rest()
    call = case.intents(rest).get("place_order")
    if call is None:
        raise SkipTest(f"{case.exchange.name} takes no orders here")
    ids = rest.request.ids if isinstance(rest.request, TableRequests) else None
    minted = {rest.request.place_order(case.order()).client_order_id for _ in range(_MINTED)}
    if minted == {""}:
        yield "a new order has no client order id: without one its fate cannot be found out"
        return
    if len(minted) < _MINTED:
        yield f"of {_MINTED} client order ids only {len(minted)} differ"
    if ids is None:
        yield f"{type(rest.request).__name__}.ids is not set: give it the rule, ids = ClientOrderIds(...)"
    else:
        wrong = next((one for one in minted if not re.fullmatch(ids.pattern, one)), None)
        if wrong is not None:
            rule = f"{ids.rule} ({ids.pattern})"
            yield f"we mint {wrong!r} ({len(wrong)} characters), which the rule forbids: {rule}"
        for given in _NO_ID:
            try:
                ids.resolve(given)
            except ConfigurationError:
                continue
            passed = f"{given[:20]!r} ({len(given)} characters)"
            yield f"the rule {ids.pattern} lets {passed} pass: state charset and length"
    if call.client_order_id not in sent(call):
        yield f"the client order id {call.client_order_id!r} is not in what is sent: {sent(call)!r}"


FAULTS: dict[str, bytes | None] = {
    "the connection is closed without an answer": None,
    "HTTP 408 without a body": b"HTTP/1.1 408 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP 500 without a body": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP 502 from a proxy": b"HTTP/1.1 502 No\r\nContent-Length: 6\r\n\r\n<html>",
    "HTTP 503 without a body": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP 504 without a body": b"HTTP/1.1 504 No\r\nContent-Length: 0\r\n\r\n",
    "HTTP 200 with a body that is cut off": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
    "HTTP 200 with garbage": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n?",
}


def orders_sent_twice(case: Case) -> Iterator[str]:
    """Whatever becomes of a new order on the wire, it is sent once, and its fate is said to be unknown."""
    if "place_order" not in case.intents(case.rest()):
        raise SkipTest(f"{case.exchange.name} takes no orders here")
    yield from asyncio.run(_try_all(case))


async def _try_all(case: Case) -> list[str]:
    problems = []
    for fault, answer in FAULTS.items():
        requests, end = await _place(case, answer)
        if requests != 1:
            problems.append(f"{fault}: the order was sent {requests} times. Is its row idempotent=False?")
        if not isinstance(end, OutcomeUnknown):
            told = repr(end) if isinstance(end, Exception) else f"returned {end!r}"
            problems.append(
                f"{fault}: place_order {told}: it may have been executed, so OutcomeUnknown is needed"
            )
    return problems


async def _place(case: Case, answer: bytes | None) -> tuple[int, object]:
    """How many requests a server got that does ``answer``, and how ``place_order`` ended."""
    requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            requests += 1
            if answer is not None:
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    # Nothing that other managers of this process count or break.
    alone: dict[str, Any] = {"meters": MeterRegistry(), "retry_budget": RetryBudget(), "breaker": None}
    try:
        async with case.exchange.rest_manager(
            url, case.credentials, deadline_s=_DEADLINE_S, **alone
        ) as manager:
            end: object = await manager.place_order(case.order())
    except CexnetError as error:
        end = error
    finally:
        server.close()
        await server.wait_closed()
    return requests, end
