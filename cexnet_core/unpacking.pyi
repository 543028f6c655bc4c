from typing import Literal, final

from cexnet_core.messages import MessageSink

@final
class InflatingSink(MessageSink):
    def __init__(
        self,
        sink: MessageSink,
        *,
        packing: Literal["gzip", "zlib", "deflate"] = ...,
        max_bytes: int = ...,
        max_ratio: int = ...,
        validate_utf8: bool = ...,
    ) -> None: ...
    @property
    def sink(self) -> MessageSink: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def max_ratio(self) -> int: ...
    @property
    def unpacked(self) -> int: ...
