"""Recorded traffic: text captures read, raw frames recorded to MCAP files, both replayed.

``Recorder`` writes what a ``WebSocketManager``'s tap copies, ``Recording`` reads it back, and
``Replay`` feeds it through the receive line. MCAP files need the ``recording`` extra.
"""

from cexnet.recording.capture import Capture, read_capture, resolve_exchange
from cexnet.recording.container import Frame, RecordingWriter
from cexnet.recording.recorder import Recorder
from cexnet.recording.recording import Recording, open_recording
from cexnet.recording.replay import Replay

__all__ = [
    "Capture",
    "Frame",
    "Recorder",
    "Recording",
    "RecordingWriter",
    "Replay",
    "open_recording",
    "read_capture",
    "resolve_exchange",
]
