"""Recorded from a live line, replayed through the same one: the same events."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cexnet.config import Config, ExchangeConfig
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.recording import Frame, Recorder, Recording, Replay, open_recording
from cexnet.recording import replay as replay_module
from cexnet.simulator import Simulator
from cexnet.types import MARKET_CHANNELS, Channel, OrderRequest, Subscription
from cexnet.websocket import WebSocketManager
from cexnet_core.errors import ConfigurationError, RecordingError
from cexnet_core.route import Receiver
from cexnet_core.tap import FrameTap, TappedSink
from tests.cli.test_cli import result_of
from tests.websocket.account import ACCOUNT, EXCHANGES, PAIRS
from tests.websocket.account import config as account_config

pytest.importorskip("mcap", reason="recordings are an extra")

PATIENCE_S = 60
ACCOUNT_EVENTS = {"OrderUpdate", "Fill", "BalanceUpdate"}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


class Seen(list[tuple[str, int, int]]):
    """Events as they were when they came: what they say, when, and on which connection."""

    def __call__(self, event: Any) -> None:
        self.append((repr(event), event.receive_ts_ns, event.connection_id))


async def listen(
    factory: TransportFactory, name: str, symbols: tuple[str, ...], tap: FrameTap, handler: Any
) -> WebSocketManager:
    stream = factory.websocket(name, tap=tap)
    wanted = [Subscription(channel, symbol) for symbol in symbols for channel in MARKET_CHANNELS]
    await stream.initialize(wanted, handler, deadline_s=PATIENCE_S)
    return stream


@pytest.mark.parametrize("name", ["binance", "binance_usdm", "gateio", "mexc", "okx"])
async def test_replay_gives_the_events_that_were_live(name: str, tmp_path: Path) -> None:
    path = tmp_path / "live.mcap"
    live = Seen()
    async with Simulator(name, rate_per_s=2000) as simulator:
        config = Config(exchange={name: ExchangeConfig(websocket_url=simulator.ws_url)})
        recorder = Recorder(path, name, flush_interval_s=0.1)
        async with TransportFactory(config) as factory:
            stream = await listen(factory, name, get_exchange(name).symbols, recorder.tap, live)
            await until(lambda: len(live) >= 500)
            await stream.close()
        await asyncio.to_thread(recorder.close)
    assert recorder.frames == recorder.tap.received
    assert recorder.dropped == 0
    recording = Recording(path)
    assert (recording.exchange, recording.cut) == (name, None)
    again = Seen()
    replay = Replay(recording, get_exchange(name).schema, again)
    await replay.run(speed=None)
    assert again == live
    assert replay.frames == recorder.frames
    assert sum(stream.gaps for stream in replay.router.streams()) == 0


@pytest.mark.parametrize("name", EXCHANGES)
async def test_replay_gives_an_accounts_events_too(name: str, tmp_path: Path) -> None:
    path = tmp_path / "account.mcap"
    live = Seen()
    recorder = Recorder(path, name, scope="private")
    async with (
        Simulator(name, [PAIRS[name]], rate_per_s=0) as simulator,
        TransportFactory(account_config(simulator, name)) as factory,
    ):
        stream = factory.websocket(name, scope="private", tap=recorder.tap)
        await stream.initialize(ACCOUNT, live, deadline_s=PATIENCE_S)
        simulator.deposit("USDT", "2.5")
        await until(lambda: len(live) == 1)
        order = OrderRequest(PAIRS[name], side="buy", quantity="0.3", price="65000")
        await factory.rest(name, scope="private").place_order(order)
        await until(lambda: {kind.partition("(")[0] for kind, _, _ in live} == ACCOUNT_EVENTS)
        await stream.close()
        await asyncio.to_thread(recorder.close)
    recording, again = Recording(path), Seen()
    await Replay(recording, get_exchange(name).schema_of(recording.scope), again).run(speed=None)
    assert again == live
    counted = result_of("replay", str(path), "--speed", "0")["events"]
    kinds = [kind.partition("(")[0] for kind, _, _ in live]
    assert {kind: kinds.count(kind) for kind in ACCOUNT_EVENTS} == {k: counted[k] for k in ACCOUNT_EVENTS}


async def test_a_roll_is_replayed_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "roll.mcap"
    live = Seen()
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=1000) as simulator:
        config = Config(exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)})
        recorder = Recorder(path, "binance")
        async with TransportFactory(config) as factory:
            stream = await listen(factory, "binance", ("BTCUSDT",), recorder.tap, live)
            await until(lambda: len(live) >= 100)
            await stream.roll(deadline_s=PATIENCE_S)
            count = len(live)
            await until(lambda: len(live) >= count + 100)
            await stream.close()
        await asyncio.to_thread(recorder.close)
    recording = Recording(path)
    assert len({frame.connection_id for frame in recording}) == 2
    again = Seen()
    replay = Replay(recording, get_exchange("binance").schema, again)
    await replay.run(speed=None)
    assert sum(stream.gaps for stream in replay.router.streams()) == 0
    # Which copy of an event comes first is decided as it was live; none is missing.
    assert [event for event, _, _ in again] == [event for event, _, _ in live]


async def test_what_does_not_fit_is_counted_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "small.mcap"
    tap = FrameTap(20_000)
    live = Seen()
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=2000) as simulator:
        config = Config(exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)})
        async with TransportFactory(config) as factory:
            stream = await listen(factory, "binance", ("BTCUSDT",), tap, live)
            await until(lambda: tap.dropped >= 100)  # nobody takes anything yet
            with pytest.raises(ConfigurationError, match="cannot write"):
                Recorder(tmp_path / "missing" / "a.mcap", "binance", tap)
            recorder = Recorder(path, "binance", tap)
            count = tap.received
            await until(lambda: tap.received >= count + 200)
            await stream.close()
        await asyncio.to_thread(recorder.close)
    recording = Recording(path)
    frames = list(recording)
    assert recorder.dropped == tap.dropped >= 100
    assert recording.dropped == recorder.dropped
    assert len(frames) == recorder.frames == tap.received - tap.dropped
    first_hole = next(index for index, frame in enumerate(frames) if frame.dropped_before)
    assert first_hole > 10  # what had room before it is there
    assert live  # the line did not care


async def test_a_full_disk_is_said_and_does_not_harm_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(self: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    live = Seen()
    told: list[Exception] = []
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=2000) as simulator:
        config = Config(exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)})
        recorder = Recorder(tmp_path / "full.mcap", "binance", flush_interval_s=0.05, on_error=told.append)
        async with TransportFactory(config) as factory:
            await listen(factory, "binance", ("BTCUSDT",), recorder.tap, live)
            monkeypatch.setattr("cexnet.recording.container.RecordingWriter.flush", full)
            await until(lambda: recorder.error is not None)
            count, missing = len(live), recorder.dropped
            await until(lambda: len(live) >= count + 100 and recorder.dropped > missing)
        with pytest.raises(RecordingError, match="No space left"):
            await asyncio.to_thread(recorder.close)
    assert recorder.frames + recorder.dropped == recorder.tap.received
    assert told == [recorder.error]
    assert "has ended: [Errno 28] No space left on device" in caplog.text


async def test_a_thread_that_ends_for_another_reason_is_told_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: object, frame: Frame) -> None:
        raise ZeroDivisionError("a bug")

    def told(error: Exception) -> None:
        raise RuntimeError("a bug of the user")

    monkeypatch.setattr("cexnet.recording.container.RecordingWriter.write", fail)
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=2000) as simulator:
        config = Config(exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)})
        recorder = Recorder(tmp_path / "a.mcap", "binance", on_error=told)
        async with TransportFactory(config) as factory:
            await listen(factory, "binance", ("BTCUSDT",), recorder.tap, Seen())
            await until(lambda: recorder.error is not None)
        with pytest.raises(RecordingError, match="a bug; 0 frames are in it"):
            await asyncio.to_thread(recorder.close)
    assert recorder.dropped == recorder.tap.received > 0
    assert "a bug of the user" in caplog.text


class VirtualTime:
    """A clock that sleeping moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(replay_module.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(replay_module, "asyncio", self)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


TICKER = b'{"u":%d,"s":"BTCUSDT","b":"1.0","B":"1","a":"2.0","A":"1"}'


@pytest.mark.parametrize(("speed", "expected_s"), [(1.0, 9.9), (3.0, 3.3), (None, 0.0)])
async def test_the_pace_is_the_recorded_one_or_a_multiple(
    speed: float | None, expected_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Frame(0, 10**18 + index * 100_000_000, True, 0, TICKER % index) for index in range(1, 101)]
    clock = VirtualTime(monkeypatch)
    at_s: list[float] = []
    replay = Replay(frames, get_exchange("binance").schema, lambda event: at_s.append(clock.now_s - 1000))
    await replay.run(speed=speed)
    assert replay.frames == 100
    assert at_s == sorted(at_s)
    assert at_s[-1] == pytest.approx(expected_s)
    if speed is not None:
        assert at_s == pytest.approx([index * 0.1 / speed for index in range(100)])


async def test_a_speed_must_be_above_zero() -> None:
    with pytest.raises(ConfigurationError, match="speed is -1"):
        await Replay([], get_exchange("binance").schema, print).run(speed=-1)


async def test_gaps_show_from_the_first_event_on() -> None:
    frames = [Frame(0, index, True, 0, DEPTH % (first, first + 1)) for index, first in enumerate((1, 3, 9))]
    replay = Replay(frames, get_exchange("binance").schema, lambda event: None)
    await replay.run(speed=None)
    (stream,) = replay.router.streams()
    assert (stream.delivered, stream.gaps) == (3, 1)


DEPTH = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":%d,"u":%d,"b":[["1.0","1"]],"a":[]}'


def test_a_text_capture_is_a_recording_too(tmp_path: Path) -> None:
    path = tmp_path / "BINANCE.ws.1.0"
    path.write_bytes(
        b"wss://stream.binance.com:9443/stream <-> 1.5\n1633998512.062345: %s\n1633998513.1: %s\n"
        % (TICKER % 1, TICKER % 2)
    )
    source = open_recording(path)
    assert source.exchange == "binance"
    assert list(source) == [
        Frame(0, 1633998512_062345_000, True, 0, TICKER % 1),
        Frame(0, 1633998513_100000_000, True, 0, TICKER % 2),
    ]


async def test_without_a_tap_nothing_stands_in_the_line() -> None:
    async with Simulator("binance", ("BTCUSDT",)) as simulator:
        config = Config(exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)})
        async with TransportFactory(config) as factory:
            for tap, kind in ((None, Receiver), (FrameTap(), TappedSink)):
                seen = Seen()
                stream = factory.websocket("binance", tap=tap)
                await stream.initialize([Subscription(Channel.TRADES, "BTCUSDT")], seen)
                await until(lambda seen=seen: len(seen) > 0)  # type: ignore[misc]
                connection = stream._fleet.nth(0).link.connection
                assert connection is not None
                assert type(connection.reader.sink) is kind
