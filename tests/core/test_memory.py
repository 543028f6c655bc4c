"""Memory of the receive line: flat over millions of messages, and events end with their handler."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from cexnet_core import build_info
from cexnet_core.decode import Decoder
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, WireSchema

SCHEMA = WireSchema(
    name="memory",
    json=(
        Message(
            "DepthUpdate",
            when={"e": "depth"},
            fields=(
                Field("symbol", "s"),
                Field("sequence", "u"),
                Field("bids", "b"),
                Field("asks", "a"),
            ),
        ),
        Message(
            "BookTicker",
            when={"e": "ticker"},
            fields=(
                Field("symbol", "s"),
                Field("sequence", "u"),
                Field("bid_price", "b"),
                Field("bid_size", "B"),
                Field("ask_price", "a"),
                Field("ask_size", "A"),
            ),
        ),
    ),
)


def messages(count: int) -> list[bytes]:
    made = []
    for index in range(count):
        if index % 4:
            text = (
                f'{{"e":"ticker","s":"S{index % 7}","u":{index},"b":"{index}.25","B":"1.5",'
                f'"a":"{index}.75","A":"2.5"}}'
            )
        else:
            levels = ",".join(f'["{index}.{level:02}","{level}.5"]' for level in range(index % 40))
            text = f'{{"e":"depth","s":"S{index % 7}","u":{index},"b":[{levels}],"a":[{levels}]}}'
        made.append(text.encode())
    return made


# Runs in a process of its own: the peak of this one has other tests in it.
_PEAK_SCRIPT = """
import resource
from tests.core.test_memory import SCHEMA, line, messages

receiver, router = line(lambda event: None)
batch = messages(1000)

def peak_kib(total):
    for _ in range(total // len(batch)):
        for payload in batch:
            receiver.feed(payload)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

first = peak_kib(1_000_000)
print(first, peak_kib(4_000_000), receiver.messages)
"""


def line(handler: object) -> tuple[Receiver, Router]:
    symbols = SymbolTable()
    router = Router(SCHEMA, symbols)
    for index in range(7):
        for kind in (EventKind.DEPTH_UPDATE, EventKind.BOOK_TICKER):
            router.add(kind, f"S{index}", handler)  # type: ignore[arg-type]
    return Receiver(Decoder(SCHEMA, symbols=symbols), router, 0), router


@pytest.mark.skipif(build_info.MODE != "release", reason="sanitizers keep freed memory on purpose")
def test_peak_after_five_million_messages_is_that_after_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK_SCRIPT], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    after_one, after_five, fed = map(int, done.stdout.split())
    assert fed == 5_000_000
    assert after_five - after_one <= 1024  # KiB


def test_events_that_nobody_keeps_are_reused_and_kept_ones_are_not() -> None:
    kept: list[object] = []
    seen: set[int] = set()

    def handler(event: object) -> None:
        seen.add(id(event))
        if len(kept) < 50:
            kept.append(event)

    receiver, _ = line(handler)
    batch = messages(1000)
    for payload in batch:
        receiver.feed(payload)
    gc.collect()
    assert len({id(event) for event in kept}) == 50
    # 50 kept, and then a handful of objects, one a kind, serves all the others.
    assert len(seen) <= 50 + 8
    expected = list(batch[:50])
    again = Decoder(SCHEMA)
    assert [repr(again.decode(payload)).split("receive")[0] for payload in expected] == [
        repr(event).split("receive")[0] for event in kept
    ]
