from collections.abc import Iterable

from cexnet_core.events import DepthSnapshot, SymbolTable

def depth_snapshot(
    symbols: SymbolTable,
    symbol: str,
    sequence: int,
    bids: Iterable[tuple[float | str, float | str]],
    asks: Iterable[tuple[float | str, float | str]],
    *,
    exchange_ts_ns: int = -1,
    receive_ts_ns: int = -1,
) -> DepthSnapshot: ...
