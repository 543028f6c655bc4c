from typing import NoReturn, final

@final
class Merge:
    def __init__(self) -> NoReturn: ...
