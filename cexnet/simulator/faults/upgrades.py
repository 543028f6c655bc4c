"""The first seam: a client asks for an upgrade and gets something else, or more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from picows import WSFrame, WSListener, WSTransport, WSUpgradeResponse, WSUpgradeResponseWithListener

from cexnet.simulator.connection import text_frame

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.faults.fault import Fault
    from cexnet.simulator.faults.script import FaultScript

Response = TypeVar("Response", bound=WSUpgradeResponse)

_MOST_STEPS = 1_000  # moves of the market made to get a data frame out


class _Truncated(WSUpgradeResponse):
    """A 101 of which only the first ``size`` bytes go out."""

    __slots__ = ("size",)
    size: int

    def to_bytes(self) -> bytearray:
        return bytearray(super().to_bytes()[: self.size])


class _WithData(WSUpgradeResponse):
    """A 101 that is written together with the connection's first frames."""

    __slots__ = ("connection",)
    connection: Connection

    def to_bytes(self) -> bytearray:
        return bytearray(super().to_bytes()) + self.connection.take_gathered()


class Stranger(WSListener):
    """A client that was accepted and never gets a whole answer.

    picows takes it for connected once the (cut) answer is written; nothing it sends is read.
    """

    def __init__(self, script: FaultScript, hangs_up: bool) -> None:
        self._script = script
        self._hangs_up = hangs_up
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say nothing more, or close TCP."""
        self._transport = transport
        self._script.strangers[self] = None
        if self._hangs_up:
            transport.underlying_transport.close()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Ignore it."""

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget it."""
        self._script.strangers.pop(self, None)

    def abort(self) -> None:
        """Disconnect at once."""
        if self._transport is not None:
            self._transport.underlying_transport.abort()


def refusal(status: int, retry_after_s: float | None) -> WSUpgradeResponseWithListener:
    """An error answer to an upgrade, with ``Retry-After`` in whole seconds where it is known."""
    headers = {}
    if retry_after_s is not None and math.isfinite(retry_after_s):
        headers["Retry-After"] = str(math.ceil(retry_after_s))
    body = f'{{"code":{status},"msg":"refused by the simulator"}}'.encode()
    response = WSUpgradeResponse.create_error_response(status, body, headers)
    return WSUpgradeResponseWithListener(response, None)


def answer_upgrade(
    script: FaultScript, fault: Fault, connection: Connection
) -> WSUpgradeResponseWithListener:
    """The faulty answer of an ``upgrade`` fault that strikes."""
    if fault.name == "status":
        return refusal(fault.error_status, fault.retry_after_s)
    if fault.name == "early-data":
        _gather_data(script, connection)
        early = _switching(_WithData)
        early.connection = connection
        return WSUpgradeResponseWithListener(early, connection)
    cut = _switching(_Truncated)
    cut.size = fault.size
    return WSUpgradeResponseWithListener(cut, Stranger(script, hangs_up=fault.name == "hang-up"))


def _switching(kind: type[Response]) -> Response:
    plain = WSUpgradeResponse.create_101_response()
    response = kind()
    response.version, response.status = plain.version, plain.status
    response.headers, response.body = plain.headers, plain.body
    return response


def _gather_data(script: FaultScript, connection: Connection) -> None:
    """Move the market until the streams that the URL names have something to say.

    Where a URL names none, an empty object stands for the greeting some exchanges send.
    """
    simulator = script.simulator
    connection.open_session()
    for market in simulator.markets.values():
        for _ in range(_MOST_STEPS if connection.session.topics and not simulator.playing else 0):
            if connection.has_gathered:
                return
            simulator.flow.step(market)
            for interval_ms, feed in market.feeds.items():
                change = feed.flush()
                if change is not None:
                    simulator.persona.push_depth(market, interval_ms, change)
    if not connection.has_gathered:
        connection.send(text_frame("{}"))
