"""The small steps of the send line and of measuring: a signature, a limit, a record."""

from __future__ import annotations

import hashlib
import hmac
import importlib
import time
from collections.abc import Callable
from typing import Any

from cexnet.cli.benchmark.rounds import Contestant, Job, Timed, calling
from cexnet_core.latency import LatencyRecorder
from cexnet_core.ratelimit import TokenBucket
from cexnet_core.signing import HmacSigner

_KEY = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
_PAYLOAD = (
    b"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01000000&price=64250.10000000"
    b"&newClientOrderId=cx-0123456789abcdef&recvWindow=5000&timestamp=1753000000000"
)[:160].ljust(160, b"0")
_PLENTY = 1_000_000_000
_SAMPLE_NS = 18_330


def sign_job() -> Job:
    """HMAC-SHA256 of an order, in hexadecimal: one key, many payloads."""
    ways: dict[str, Callable[[bytes], str]] = {
        "cexnet": HmacSigner(_KEY).hexdigest,
        "hashlib, copied states": _copied_states(),
        "hmac.digest": lambda payload: hmac.digest(_KEY, payload, "sha256").hex(),
        "hmac.new": lambda payload: hmac.new(_KEY, payload, "sha256").hexdigest(),
    }
    return Job(
        "sign",
        "HMAC-SHA256 of 160 bytes, as hexadecimal text",
        tuple(Contestant(name, calling(way, _PAYLOAD)) for name, way in ways.items()),
    )


def limit_job() -> Job:
    """Asking a limiter that has room, in a coroutine as a REST call does."""
    contestants = [Contestant("cexnet", _asking(TokenBucket(_PLENTY, _PLENTY).try_acquire))]
    aiolimiter = _module("aiolimiter")
    if aiolimiter is not None:
        limiter = aiolimiter.AsyncLimiter(_PLENTY, 1.0)
        contestants.append(Contestant("aiolimiter", _awaiting(limiter.acquire)))
    bucket = _PythonBucket(_PLENTY, _PLENTY)
    contestants.append(Contestant("a token bucket in Python", _asking(bucket.try_acquire)))
    return Job("limit", "asking a limiter that has room", tuple(contestants))


def record_job() -> Job:
    """One latency into a histogram."""
    contestants = [Contestant("cexnet", calling(LatencyRecorder().record, _SAMPLE_NS))]
    if (hdr := _module("hdrh.histogram")) is not None:
        record = hdr.HdrHistogram(1, 60_000_000_000, 3).record_value
        contestants.append(Contestant("hdrh", calling(record, _SAMPLE_NS)))
    if (ddsketch := _module("ddsketch")) is not None:
        add = ddsketch.DDSketch(relative_accuracy=0.005).add
        contestants.append(Contestant("ddsketch", calling(add, _SAMPLE_NS)))
    if (prometheus := _module("prometheus_client")) is not None:
        observe = prometheus.Histogram("bench", "Of cexnet bench.", registry=None).observe
        contestants.append(Contestant("prometheus_client", calling(observe, _SAMPLE_NS / 1e9)))
    return Job("record", "recording one latency", tuple(contestants))


def _copied_states() -> Callable[[bytes], str]:
    """The best that Python alone does: the key schedule once, two hash objects copied a call."""
    block = _KEY.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(payload: bytes) -> str:
        left = inner.copy()
        left.update(payload)
        right = outer.copy()
        right.update(left.digest())
        return right.hexdigest()

    return sign


class _PythonBucket:
    """What one writes by hand: tokens that come back with time."""

    def __init__(self, capacity: int, refill_per_s: float) -> None:
        self._capacity, self._refill_per_s = capacity, refill_per_s
        self._tokens, self._at_s = float(capacity), time.monotonic()

    def try_acquire(self) -> int:
        """0 when there is room, as ours."""
        now_s = time.monotonic()
        self._tokens = min(self._capacity, self._tokens + (now_s - self._at_s) * self._refill_per_s)
        self._at_s = now_s
        if self._tokens < 1:
            return 1
        self._tokens -= 1
        return 0


def _asking(try_acquire: Callable[[], int]) -> Timed:
    async def timed(calls: int) -> int:
        began_ns = time.perf_counter_ns()
        for _ in range(calls):
            if try_acquire():
                raise AssertionError("the limiter ran empty")
        return time.perf_counter_ns() - began_ns

    return timed


def _awaiting(acquire: Callable[[], Any]) -> Timed:
    async def timed(calls: int) -> int:
        began_ns = time.perf_counter_ns()
        for _ in range(calls):
            await acquire()
        return time.perf_counter_ns() - began_ns

    return timed


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
