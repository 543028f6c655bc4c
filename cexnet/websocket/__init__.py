"""WebSocket side: ``socket -> frame -> message -> event -> route -> handler``.

``strategies`` says what an exchange must supply, ``session`` lives one connection,
``manager`` is what an application touches, ``connect`` opens sockets.
"""

from cexnet.websocket.manager import WebSocketManager
from cexnet.websocket.metrics import StreamMetrics, WebSocketMetrics
from cexnet.websocket.strategies import (
    ConnectionStrategy,
    ControlRequest,
    Endpoint,
    Heartbeat,
    MessageParser,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)

__all__ = [
    "ConnectionStrategy",
    "ControlRequest",
    "Endpoint",
    "Heartbeat",
    "MessageParser",
    "Settlement",
    "StreamMetrics",
    "SubscriptionStrategy",
    "WebSocketManager",
    "WebSocketMetrics",
    "WebSocketStrategySet",
]
