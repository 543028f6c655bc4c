"""What is done about a degraded stream, step after step, until it helps.

* ``probe``: ask each connection for a sign of life, and say how long the answers took;
* ``roll``: replace each connection, make before break;
* ``conflate``: keep the newest book ticker of each symbol only, in queues of nothing else;
* ``shed``: unsubscribe what the configuration calls sheddable.

The first two are of no use when the fault is ours. What the last two did is undone, by ``restore``,
when the target is kept again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cexnet.config.tree import Remedy
from cexnet.types import Subscription
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.errors import ConfigurationError

AGAINST_THE_NETWORK: tuple[Remedy, ...] = ("probe", "roll")
AGAINST_LOAD: tuple[Remedy, ...] = ("conflate", "shed")


def suitable(wanted: Sequence[Remedy], helpful: Sequence[Remedy], *, is_ours: bool) -> Iterator[Remedy]:
    """Those ``wanted`` that are ``helpful``, in their order; without those that a fault of ours rules out."""
    for remedy in wanted:
        if remedy in helpful and not (is_ours and remedy in AGAINST_THE_NETWORK):
            yield remedy


async def apply(remedy: Remedy, stream: WebSocketManager) -> str:
    """Do it; what came of it, in words. Raises CexnetError."""
    match remedy:
        case "probe":
            trips = await stream.ping()
            answers = (
                f"connection {number}: " + ("no answer" if trip is None else f"{trip * 1e3:.1f} ms")
                for number, trip in trips.items()
            )
            return ", ".join(answers) or "no connection"
        case "roll":
            if stream.is_held:  # what it has sent before must be read before it goes
                raise ConfigurationError("a full queue holds connections back: they cannot be replaced now")
            await stream.roll()
            return "connections replaced"
        case "conflate":
            if not (queues := stream.conflate()):
                raise ConfigurationError("no queue that holds book tickers only, and does not conflate yet")
            return f"{_many(queues, 'queue')} of book tickers conflated"
        case "shed":
            if not (shed := await stream.shed()):
                raise ConfigurationError("nothing is subscribed that the configuration calls sheddable")
            return f"unsubscribed {_named(shed)}"


async def restore(stream: WebSocketManager) -> str:
    """Undo what load has led to; what came of it, in words. Raises CexnetError."""
    back = await stream.restore()
    words = []
    if back.queues:
        words.append(f"{_many(back.queues, 'queue')} back to the configured policy")
    if back.subscriptions:
        words.append(f"subscribed {_named(back.subscriptions)} again")
    return ", ".join(words) or "nothing was left to undo"


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" + ("s" if count != 1 else "")


def _named(subscriptions: Sequence[Subscription]) -> str:
    return ", ".join(f"{each.channel} {each.symbol}".rstrip() for each in subscriptions)
