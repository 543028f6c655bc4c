"""The UTF-8 check against Python's own decoder, whole and cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.messages import CloseInfo, PyMessageSink, valid_utf8

# Ends of the ranges in RFC 3629's table.
INTERESTING = bytes.fromhex("007f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff")

pieces = st.one_of(
    st.text(max_size=100).map(str.encode),
    st.binary(max_size=6),
    st.lists(st.sampled_from(INTERESTING), max_size=5).map(bytes),
    st.integers(0, 200).map(lambda size: b"a" * size),
)


def oracle(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(pieces, max_size=6).map(b"".join), st.data())
def test_agrees_with_python_however_the_text_is_cut(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert valid_utf8(*chunks) == valid_utf8(data) == oracle(data)


def test_every_sequence_of_interesting_bytes() -> None:
    for first in INTERESTING:
        for second in INTERESTING:
            for tail in (b"", b"\x80", b"\xbf", b"\x80\x80", b"\xbf\xbf", b"a"):
                data = bytes([first, second]) + tail
                assert valid_utf8(data) == oracle(data), data


@pytest.mark.parametrize("at", range(140))
def test_a_bad_byte_is_seen_wherever_it_stands(at: int) -> None:
    text = bytearray(b"a" * 140)
    text[at] = 0xFF
    assert not valid_utf8(bytes(text))


def test_a_sink_needs_a_callable() -> None:
    with pytest.raises(ConfigurationError, match="callable, not NoneType"):
        PyMessageSink(None)  # type: ignore[arg-type]


def test_close_info_shows_everything() -> None:
    info = CloseInfo(1006, "", False, True, None)
    assert repr(info) == ("CloseInfo(code=1006, reason='', was_clean=False, unfinished=True, error=None)")
