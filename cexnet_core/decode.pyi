from collections.abc import Iterable
from typing import Final, Self, final

from cexnet_core.decoded import DecodeCounters as DecodeCounters
from cexnet_core.decoded import EventBatch as EventBatch
from cexnet_core.events import Event, SymbolTable
from cexnet_core.layout import COMMON as COMMON
from cexnet_core.layout import EVENTS as EVENTS
from cexnet_core.layout import KIND_NAMES as KIND_NAMES
from cexnet_core.plan import ANY_OTHER as ANY_OTHER
from cexnet_core.plan import SIDE_SIGNS as SIDE_SIGNS
from cexnet_core.schema import WireSchema

OTHER_CHANNELS: Final = "(others)"

def simd_path() -> str: ...
def ondemand_path() -> str: ...

@final
class Decoder:
    def __new__(
        cls,
        schema: WireSchema,
        *,
        symbols: SymbolTable | None = None,
        exact: bool = False,
        max_shapes: int = 64,
        simd: bool = True,
    ) -> Self: ...
    @property
    def schema(self) -> WireSchema: ...
    @property
    def symbols(self) -> SymbolTable: ...
    @property
    def exact(self) -> bool: ...
    @property
    def unknown_channels(self) -> dict[str, int]: ...
    @property
    def counters(self) -> DecodeCounters: ...
    def decode(
        self, payload: bytes | bytearray | memoryview | str, is_text: bool | None = None
    ) -> Event | EventBatch: ...
    def decode_all(
        self,
        payloads: Iterable[bytes | bytearray | memoryview | str],
        is_text: bool | None = None,
    ) -> list[Event]: ...
