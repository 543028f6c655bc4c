"""Commands that look at this machine."""

from __future__ import annotations

from cexnet.cli.commands.options import AsJson
from cexnet.cli.doctor import print_doctor


def doctor(*, json: AsJson = False) -> None:
    """Say what this machine gives cexnet: build, libcrypto, SIMD, clocks, limits; with advice."""
    print_doctor(as_json=json)
