"""WebSocket side: ``socket -> frame -> message -> event -> route -> handler``.

That line itself is compiled (``cexnet_core``: ``frames``, ``decode``, ``route``). Here is what
makes connections and keeps them.

``manager`` is what an application touches. It spreads topics over ``bundle`` s of
``session`` s; a session does what ``lifecycle`` decides, on its ``link``, for its
``topics``; ``reconnect`` and ``liveness`` judge without I/O. ``strategies`` says what an
exchange must supply, ``connect`` opens sockets.
"""

from cexnet.websocket.delivery import Delivery
from cexnet.websocket.lifecycle import SessionState, StateChange
from cexnet.websocket.live import Restored, Standing, StreamChanges
from cexnet.websocket.liveness import LivenessPolicy
from cexnet.websocket.manager import WebSocketManager
from cexnet.websocket.metrics import (
    DeliveryMetrics,
    LatencySummary,
    StreamMetrics,
    VariantMetrics,
    WebSocketLatency,
    WebSocketMetrics,
)
from cexnet.websocket.reconnect import Fault, Loss, ReconnectPolicy
from cexnet.websocket.strategies import (
    ConnectionStrategy,
    ControlRequest,
    Endpoint,
    Heartbeat,
    MessageParser,
    Network,
    Renewal,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet.websocket.topics import TopicEvent, TopicReport
from cexnet_core.meter import MetricsPolicy
from cexnet_core.slow import SlowMessage
from cexnet_core.summary import Rate, StageMetrics

__all__ = [
    "ConnectionStrategy",
    "ControlRequest",
    "Delivery",
    "DeliveryMetrics",
    "Endpoint",
    "Fault",
    "Heartbeat",
    "LatencySummary",
    "LivenessPolicy",
    "Loss",
    "MessageParser",
    "MetricsPolicy",
    "Network",
    "Rate",
    "ReconnectPolicy",
    "Renewal",
    "Restored",
    "SessionState",
    "Settlement",
    "SlowMessage",
    "StageMetrics",
    "Standing",
    "StateChange",
    "StreamChanges",
    "StreamMetrics",
    "SubscriptionStrategy",
    "TopicEvent",
    "TopicReport",
    "VariantMetrics",
    "WebSocketLatency",
    "WebSocketManager",
    "WebSocketMetrics",
    "WebSocketStrategySet",
]
