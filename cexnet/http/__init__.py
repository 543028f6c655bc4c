"""REST: ``request -> limit -> sign -> send -> classify -> retry?`` in one coroutine.

``manager`` holds that line, ``strategies`` the five slots it runs through, and the
other modules one strategy or one idea each.
"""

from cexnet.http.answers import OrderBook, Response, Timings
from cexnet.http.manager import RestManager
from cexnet.http.strategies import (
    AuthStrategy,
    ExceptionHandlerStrategy,
    RateLimitStrategy,
    RequestStrategy,
    RestStrategySet,
    RetryStrategy,
)

__all__ = [
    "AuthStrategy",
    "ExceptionHandlerStrategy",
    "OrderBook",
    "RateLimitStrategy",
    "RequestStrategy",
    "Response",
    "RestManager",
    "RestStrategySet",
    "RetryStrategy",
    "Timings",
]
