from typing import final

@final
class FrameWriter: ...
