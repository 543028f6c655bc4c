"""MEXC's schema: what it does not describe is counted by channel in both of its forms."""

from __future__ import annotations

from cexnet.exchanges import get_exchange
from cexnet_core.decode import Decoder
from cexnet_core.events import RawMessage


def test_an_unknown_protobuf_body_is_counted_under_its_channel() -> None:
    channel = b"spot@public.miniTicker.v3.api.pb@BTCUSDT@UTC+8"
    mini_ticker = b"\xaa\x13\x02\x0a\x00"  # publicMiniTicker, 309, which the schema leaves out
    wrapper = b"\x0a" + bytes((len(channel),)) + channel + b"\x1a\x07BTCUSDT" + mini_ticker
    decoder = Decoder(get_exchange("mexc").schema)
    event = decoder.decode(wrapper)
    assert isinstance(event, RawMessage)
    assert event.channel == channel.decode()
    assert decoder.unknown_channels == {channel.decode(): 1}
    assert decoder.counters.unknown == 1
