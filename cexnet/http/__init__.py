"""REST: ``request -> limit -> sign -> send -> classify -> retry?`` in one coroutine.

``line`` holds that line, ``manager`` is what an engine uses of it, ``strategies`` the five
slots it runs through, and the other modules one strategy or one idea each.
"""

from cexnet.http.answers import NeverArrived, OrderBook, Response, Timings
from cexnet.http.breaker import BreakerPolicy, BreakerState
from cexnet.http.breakers import BreakerChange, BreakerMetrics
from cexnet.http.budget import BudgetMetrics, RetryBudget
from cexnet.http.clock_sync import ClockMetrics
from cexnet.http.hedge import HedgeMetrics, HedgePolicy
from cexnet.http.live import RestChanges
from cexnet.http.manager import RestManager
from cexnet.http.metrics import RestMetrics, RestVariantMetrics
from cexnet.http.slow import SlowCall
from cexnet.http.strategies import (
    AuthStrategy,
    ExceptionHandlerStrategy,
    RateLimitStrategy,
    RequestStrategy,
    RestStrategySet,
    RetryStrategy,
)
from cexnet.http.trace import CallTrace, CallTracer, TracedCall, TryTrace
from cexnet_core.meter import MetricsPolicy
from cexnet_core.summary import LatencySummary, Rate, StageMetrics

__all__ = [
    "AuthStrategy",
    "BreakerChange",
    "BreakerMetrics",
    "BreakerPolicy",
    "BreakerState",
    "BudgetMetrics",
    "CallTrace",
    "CallTracer",
    "ClockMetrics",
    "ExceptionHandlerStrategy",
    "HedgeMetrics",
    "HedgePolicy",
    "LatencySummary",
    "MetricsPolicy",
    "NeverArrived",
    "OrderBook",
    "Rate",
    "RateLimitStrategy",
    "RequestStrategy",
    "Response",
    "RestChanges",
    "RestManager",
    "RestMetrics",
    "RestStrategySet",
    "RestVariantMetrics",
    "RetryBudget",
    "RetryStrategy",
    "SlowCall",
    "StageMetrics",
    "Timings",
    "TracedCall",
    "TryTrace",
]
