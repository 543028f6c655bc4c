from typing import Final, NoReturn, final

from cexnet_core.hotdrain import Drain, Label

process_log: Final[HotLog]

@final
class Template(Label):
    def __init__(self) -> NoReturn: ...
    @property
    def per_second(self) -> int: ...
    @property
    def held_back(self) -> int: ...
    @property
    def is_enabled(self) -> bool: ...
    def log(
        self,
        a: object = ...,
        b: object = ...,
        c: object = ...,
        d: object = ...,
        e: object = ...,
        f: object = ...,
        g: object = ...,
        h: object = ...,
        /,
        *,
        exception: BaseException | None = None,
    ) -> None: ...

class HotLog(Drain):
    def __init__(self, capacity: int = 1048576, *, level: int = 20, poll_s: float | None = 0.01) -> None: ...
    def template(self, name: str, level: int, text: str, *, per_second: int = 0) -> Template: ...

def append_cost_ns(rounds: int = 100000) -> float: ...
