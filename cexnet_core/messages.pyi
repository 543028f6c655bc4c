from collections.abc import Callable
from typing import final

from cexnet_core.errors import CexnetError

class MessageSink: ...

class PyMessageSink(MessageSink):
    def __init__(self, callback: Callable[[bytes, bool, int], object]) -> None: ...

@final
class CloseInfo:
    def __init__(
        self,
        code: int,
        reason: str,
        was_clean: bool,
        unfinished: bool,
        error: CexnetError | None,
    ) -> None: ...
    @property
    def code(self) -> int: ...
    @property
    def reason(self) -> str: ...
    @property
    def was_clean(self) -> bool: ...
    @property
    def unfinished(self) -> bool: ...
    @property
    def error(self) -> CexnetError | None: ...

def valid_utf8(*chunks: bytes) -> bool: ...
