"""Every WebSocket fault of the embedded exchange, met by a manager that keeps whole books.

What the exchange sent is entered in accounts (``cexnet.cli.ledger``) and struck out when the
handler gets it; what remains must be explained by something that was reported. The faults
come from the simulator's own list: a new one without a row here fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from cexnet import Config, ExchangeConfig, TransportFactory
from cexnet.cli.ledger import Ledger
from cexnet.exchanges import get_exchange
from cexnet.simulator import Simulator
from cexnet.simulator.connection import Connection
from cexnet.simulator.faults import Fault
from cexnet.simulator.faults.fault import FAULTS
from cexnet.types import Channel
from cexnet.websocket import WebSocketManager
from cexnet.websocket.topics import TopicEvent
from cexnet_core.errors import ConnectError, DeadlineExceeded, HandshakeError, SubscriptionError
from cexnet_core.events import BookTicker, DepthUpdate, Event, EventKind, Trade
from tests.websocket.live import ALERT, QUICK, Log, seen, topics_of

CHANNELS = (Channel.TRADES, Channel.BOOK_TICKER, Channel.DEPTH)
SYMBOLS = {"binance": ("BTCUSDT", "ETHUSDT"), "gateio": ("BTC_USDT", "ETH_USDT")}
CONNECT_DEADLINE_S = 1.0
# Private streams are not in this file.
ELSEWHERE = {"auth-expiry"}  # tests/websocket/test_private_login.py


@dataclass(frozen=True, slots=True)
class Case:
    """Faults and what they must bring about.

    ``losses`` are the causes of lost connections as ``metrics().losses`` names them, ``reports``
    what must be reported of topics, ``counts`` which counters of the metrics must have moved.
    """

    faults: tuple[Fault, ...]
    losses: tuple[str, ...] = ()
    reports: tuple[TopicEvent, ...] = ()
    counts: tuple[str, ...] = ()
    exchange: str = "binance"

    @property
    def symbols(self) -> tuple[str, ...]:
        return SYMBOLS[self.exchange]


END = Fault("reset", after_messages=200, connection=1)  # makes a second connection necessary
SECOND = {"connection": 2}

CASES: dict[str, list[Case]] = {
    "refuse": [Case((END, Fault("refuse", connection=2, lasting_s=0.5)), ("code 1006", "ConnectError"))],
    "no-answer": [Case((END, Fault("no-answer", connection=2)), ("code 1006", "DeadlineExceeded"))],
    "hang-up": [
        Case((END, Fault("hang-up", connection=2, size=size)), ("code 1006", "HandshakeError"))
        for size in (0, 20)
    ],
    "status": [
        Case((END, Fault("status", connection=2, status=status)), ("code 1006", f"http {status}"))
        for status in (401, 403, 418, 429, 503)
    ],
    "early-data": [Case((Fault("early-data"),))],
    "reset": [Case((END,), ("code 1006",), counts=("reconnects", "recovered_books"))],
    "gap": [
        Case((Fault("gap", after_messages=40, times=3),), counts=("recovered_books",), exchange=exchange)
        for exchange in SYMBOLS
    ],
    "duplicate": [
        Case((Fault("duplicate", after_messages=40, times=3),), counts=("duplicates",), exchange=exchange)
        for exchange in SYMBOLS
    ],
    "reorder": [
        Case((Fault("reorder", after_messages=40, times=3),), counts=("recovered_books",), exchange=exchange)
        for exchange in SYMBOLS
    ],
    "oversize": [Case((Fault("oversize", after_messages=200, connection=1),), ("code 1009",))],
    "bad-utf8": [Case((Fault("bad-utf8", after_messages=100, times=3),), counts=("decode_errors",))],
    "drip": [Case((Fault("drip", after_messages=100, times=2, delay_s=0.0),))],
    "half-open": [Case((Fault("half-open", after_s=1.0, connection=1),), ("code 1006",))],
    "freeze": [
        Case((Fault("freeze", after_s=1.0, connection=1),), ("frozen",)),
        Case(
            (Fault("freeze", after_s=1.0, topic="ETH_USDT", connection=1),),
            reports=(TopicEvent.SILENT, TopicEvent.RENEWED),
            exchange="gateio",
        ),
    ],
    "close": [
        Case((Fault("close", after_messages=200, connection=1, code=code),), (f"code {code}",))
        for code in (1001, 1005, 1006, 1008, 1012)
    ],
    "lifetime": [
        Case((Fault("lifetime", after_messages=200, connection=1),), ("code 1001",)),
        Case((Fault("lifetime", after_s=1.0, connection=1, announced=True, delay_s=3.0),), counts=("rolls",)),
    ],
    "ack-late": [Case((Fault("ack-late", delay_s=0.3),), exchange=exchange) for exchange in SYMBOLS],
    "ack-twice": [Case((Fault("ack-twice"),), exchange=exchange) for exchange in SYMBOLS],
    "ack-only": [
        Case(
            (Fault("ack-only", topic="ETH_USDT"),),
            reports=(TopicEvent.SILENT, TopicEvent.RENEWED),
            exchange="gateio",
        )
    ],
    "refuse-topic": [
        Case(
            (END, Fault("refuse-topic", topic="ETH_USDT", connection=2)),
            ("code 1006",),
            reports=(TopicEvent.REFUSED,),
            exchange="gateio",
        )
    ],
    "ban": [
        Case(
            (END, Fault("ban", limit=1, window_s=5.0, lasting_s=0.5, connection=2)),
            ("code 1006", "code 1008", "http 418"),
            exchange="gateio",
        )
    ],
}
ROWS = [(name, case) for name, cases in CASES.items() for case in cases]


class Accounts:
    """A witness of the exchange and the handler of one manager, with a ledger between them."""

    def __init__(self, exchange: str) -> None:
        self.log = Log()
        self.ledger = Ledger(get_exchange(exchange).schema, whole_books=True)
        self.struck_faults: list[str] = []

    def sent(self, connection: Connection, frame: bytes, kind: str) -> None:
        self.ledger.sent(connection, frame, kind)

    def withheld(self, connection: Connection, frame: bytes) -> None:
        self.ledger.withheld(connection, frame)

    def struck(self, fault: Fault) -> None:
        self.struck_faults.append(fault.name)

    def on_event(self, event: Event) -> None:
        self.ledger.delivered(event)
        self.log.on_event(event)

    async def settle(self, manager: WebSocketManager) -> None:
        """Close the accounts and wait until what was under way has come in."""
        self.ledger.close()

        def settled() -> bool:
            balance = self._balance(manager)
            return balance.lost_uncounted == balance.waiting == 0

        try:
            await seen(settled)
        except TimeoutError:
            pytest.fail(f"the accounts do not balance: {self._balance(manager)}")
        assert self._balance(manager).duplicates_delivered == 0

    def _balance(self, manager: WebSocketManager):  # type: ignore[no-untyped-def]
        unfinished = {
            stream.symbol
            for stream in manager.router.streams()
            if stream.kind == EventKind.DEPTH_UPDATE and stream.is_diverted
        }
        return self.ledger.balance(len(self.log.losses), unfinished)


@asynccontextmanager
async def meeting(
    case: Case, accounts: Accounts | None = None
) -> AsyncIterator[tuple[Simulator, WebSocketManager]]:
    log = accounts.log if accounts is not None else Log()
    async with Simulator(case.exchange, case.symbols, rate_per_s=1000, faults=case.faults) as simulator:
        if accounts is not None:
            simulator.witness = accounts
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        async with TransportFactory(Config(exchange={case.exchange: settings})) as factory:
            manager = factory.websocket(
                case.exchange, on_state=log.on_state, on_topic=log.on_topic, whole_books=True
            )
            connection = manager.strategies.connection
            connection.reconnect, connection.liveness = QUICK, ALERT
            connection.connect_deadline_s = CONNECT_DEADLINE_S
            yield simulator, manager


def assert_in_order(events: Iterable[Event]) -> None:
    """Each stream by itself: numbers grow, and a book's updates are never older than the last."""
    last: dict[tuple[str, str], int] = {}
    for event in events:
        if isinstance(event, Trade):
            number = int(event.trade_id)
        elif isinstance(event, (BookTicker, DepthUpdate)) and event.sequence >= 0:
            number = event.sequence
        else:
            continue
        stream = (type(event).__name__, event.symbol)
        assert number > last.get(stream, -1), f"{stream} went from {last[stream]} to {number}"
        last[stream] = number


def test_every_fault_has_a_row() -> None:
    kinds = {name for name, kind in FAULTS.items() if kind.seam != "rest"}
    assert set(CASES) | ELSEWHERE == kinds


@pytest.mark.parametrize(
    "name, case", ROWS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(ROWS)]
)
async def test_a_stream_survives_it_and_accounts_for_everything(name: str, case: Case) -> None:
    accounts = Accounts(case.exchange)
    log = accounts.log
    async with meeting(case, accounts) as (_, manager):
        await manager.initialize(topics_of(*case.symbols, channels=CHANNELS), accounts.on_event)
        wanted = sum(fault.times or 1 for fault in case.faults)
        await seen(lambda: len(accounts.struck_faults) >= wanted)
        await log.until(lambda: len(log.losses) >= len(case.losses))
        await log.until(lambda: {report.event for report in log.reports} >= set(case.reports))
        await seen(lambda: all(_moved(manager, counter) for counter in case.counts))
        await manager.wait_live(20.0)
        await log.more(200)
        await accounts.settle(manager)
        metrics = manager.metrics()
        causes = set(metrics.losses)
        assert causes == set(case.losses), log.losses
        assert metrics.handler_errors == metrics.dropped == metrics.strategy_errors == 0
    assert name in accounts.struck_faults
    assert_in_order(log.events)


@pytest.mark.parametrize(
    "fault, error, words",
    [
        (Fault("refuse"), ConnectError, "nothing listens"),
        (Fault("no-answer"), DeadlineExceeded, "the upgrade"),
        (Fault("hang-up"), HandshakeError, "upgrade"),
        *(
            (Fault("status", status=status), HandshakeError, str(status))
            for status in (401, 403, 418, 429, 503)
        ),
        (Fault("refuse-topic", topic="eth"), SubscriptionError, "eth"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else "",
)
async def test_at_the_first_connection_it_is_an_error_with_the_reason(
    fault: Fault, error: type[Exception], words: str
) -> None:
    case = Case((fault,))
    tasks = len(asyncio.all_tasks())
    async with meeting(case) as (_, manager):
        with pytest.raises(error, match=words):
            await manager.initialize(topics_of(*case.symbols, channels=CHANNELS), print, deadline_s=5.0)
        assert not manager.live
        assert manager.metrics().connections == 0
    assert len(asyncio.all_tasks()) == tasks


def _moved(manager: WebSocketManager, counter: str) -> bool:
    metrics = manager.metrics()
    return metrics.decode["errors"] > 0 if counter == "decode_errors" else getattr(metrics, counter) > 0
