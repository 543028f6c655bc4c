"""permessage-deflate on the wire: what a raw peer sends compressed, and what is refused."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.websocket.connect import connect
from cexnet.websocket.deflate import Agreed, DeflateOffer
from cexnet_core.deflate import Deflater, Inflater
from cexnet_core.errors import ConfigurationError, HandshakeError, ProtocolError
from cexnet_core.messages import PyMessageSink
from tests.websocket.conftest import Join, Joined
from tests.websocket.peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Peer, frame

RSV1 = 4
GRANTED = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Packer:
    """A server's compressor, as RFC 7692 section 7.2.1 has it."""

    def __init__(self, bits: int = 15) -> None:
        self._bits = bits
        self.forget()

    def forget(self) -> None:
        self._stream = zlib.compressobj(wbits=-self._bits)

    def __call__(self, data: bytes) -> bytes:
        packed = self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)
        return packed.removesuffix(b"\x00\x00\xff\xff")


async def joined_compressed(join: Join, granted: str = GRANTED, **arguments: Any) -> Joined:
    offer = arguments.pop("deflate", DeflateOffer())
    joined: Joined = await join(deflate=offer, extra=granted, **arguments)
    return joined


async def failed_with(joined: Joined, code: int) -> None:
    answer = await joined.peer.read_frame()
    assert (answer.opcode, answer.close_code) == (CLOSE, code)
    async with asyncio.timeout(20):
        error = (await joined.client.wait_closed()).error
    assert isinstance(error, ProtocolError)
    assert error.code == code


async def test_compressed_and_plain_messages_in_turn(join: Join) -> None:
    joined, pack = await joined_compressed(join), Packer()
    texts = [b'{"a":1}', b'{"a":2}' * 1000, b"", b'{"a":2}' * 1000, b"", b""]
    for text in texts:
        await joined.peer.write(frame(TEXT, pack(text), rsv=RSV1) + frame(BINARY, b"plain"))
    for text in texts:
        assert await joined.inbox.take() == text
        assert await joined.inbox.take() == b"plain"
    assert joined.inbox.messages[0] == (texts[0], True)
    assert joined.client.reader.bytes_received == sum(map(len, texts)) + 5 * len(texts)


async def test_example_of_the_standard(join: Join) -> None:
    """RFC 7692 section 7.2.3, with and without a shared window, stored, final, and in two blocks."""
    joined = await joined_compressed(join)
    for packed in (
        "f248cdc9c90700",
        "f200110000",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f248050000 00ffff cac9c90700".replace(" ", ""),
    ):
        await joined.peer.write(frame(TEXT, bytes.fromhex(packed), rsv=RSV1))
        assert await joined.inbox.take() == b"Hello"


async def test_fragments_of_a_compressed_message(join: Join) -> None:
    joined, pack = await joined_compressed(join), Packer()
    text = "zw\u00f6lf \U0001f600".encode() * 300
    for _ in range(2):
        packed = pack(text)
        await joined.peer.write(
            frame(TEXT, packed[:1], fin=False, rsv=RSV1)
            + frame(PING, b"between")
            + frame(CONTINUATION, b"", fin=False)
            + b"".join(frame(CONTINUATION, packed[i : i + 1], fin=False) for i in range(1, len(packed)))
            + frame(CONTINUATION)
        )
        assert await joined.inbox.take() == text
        assert (await joined.peer.read_frame()).opcode == PONG


async def test_compressed_message_without_a_byte_is_empty(join: Join) -> None:
    joined = await joined_compressed(join)
    await joined.peer.write(frame(TEXT, rsv=RSV1) + frame(TEXT, Packer()(b"on"), rsv=RSV1))
    assert await joined.inbox.take() == b""
    assert await joined.inbox.take() == b"on"


async def test_server_without_context(join: Join) -> None:
    granted = GRANTED.replace("\r", "; server_no_context_takeover\r")
    joined, pack = await joined_compressed(join, granted), Packer()
    for _ in range(3):
        pack.forget()
        await joined.peer.write(frame(TEXT, pack(b"same again"), rsv=RSV1))
        assert await joined.inbox.take() == b"same again"


@pytest.mark.parametrize("bits", range(9, 16))
async def test_every_window_of_the_server(join: Join, bits: int) -> None:
    granted = GRANTED.replace("\r", f"; server_max_window_bits={bits}\r")
    joined, pack = await joined_compressed(join, granted), Packer(bits)
    block = bytes(i * i % 251 for i in range(3000))
    for _ in range(3):
        await joined.peer.write(frame(BINARY, pack(block * 20), rsv=RSV1))
        assert await joined.inbox.take() == block * 20


WHOLE = Packer()(b"x" * 100)
LARGE = Packer()(bytes(3 * 2**20 + 1))
BROKEN = {
    "rsv1 on a ping": (frame(PING, b"x", rsv=RSV1), 1002),
    "rsv1 on a close": (frame(CLOSE, b"\x03\xe8", rsv=RSV1), 1002),
    "rsv1 on a continuation": (
        frame(TEXT, WHOLE[:2], fin=False, rsv=RSV1) + frame(CONTINUATION, WHOLE[2:], rsv=RSV1),
        1002,
    ),
    "rsv1 on a continuation of a plain message": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, WHOLE, rsv=RSV1),
        1002,
    ),
    "rsv2": (frame(TEXT, WHOLE, rsv=RSV1 | 2), 1002),
    "rsv3": (frame(TEXT, b"x", rsv=1), 1002),
    "message in a compressed message": (
        frame(TEXT, WHOLE[:2], fin=False, rsv=RSV1) + frame(TEXT, WHOLE, rsv=RSV1),
        1002,
    ),
    "not deflate": (frame(TEXT, b"\xff\xff\xff\xff", rsv=RSV1), 1007),
    "a distance before the first byte": (frame(BINARY, bytes.fromhex("f200110000"), rsv=RSV1), 1007),
    "bad UTF-8 inside": (frame(TEXT, Packer()(b"\xc3\x28"), rsv=RSV1), 1007),
    "truncated UTF-8 inside": (frame(TEXT, Packer()(b"\xe2\x82"), rsv=RSV1), 1007),
    "too large": (frame(BINARY, LARGE, rsv=RSV1), 1009),
    "too large in fragments": (
        frame(BINARY, LARGE[:100], fin=False, rsv=RSV1) + frame(CONTINUATION, LARGE[100:]),
        1009,
    ),
    "endless final blocks": (frame(BINARY, b"\x03\x00" * 1000, rsv=RSV1), 1009),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
async def test_what_fails_a_compressed_connection(join: Join, sent: bytes, code: int) -> None:
    offer = DeflateOffer(max_ratio=10_000)
    joined = await joined_compressed(join, deflate=offer, max_message_bytes=3 * 2**20)
    await joined.peer.write(frame(TEXT, b"good") + sent + frame(TEXT, b"never"))
    await failed_with(joined, code)
    assert joined.inbox.payloads == [b"good"]


async def test_bomb_is_refused_by_its_ratio(join: Join) -> None:
    joined, pack = await joined_compressed(join, deflate=DeflateOffer(max_ratio=20)), Packer()
    free = pack(bytes(2**20))
    assert len(free) * 20 < 2**20
    await joined.peer.write(frame(BINARY, free, rsv=RSV1) + frame(BINARY, pack(bytes(2**20 + 1)), rsv=RSV1))
    await failed_with(joined, 1009)
    assert joined.inbox.payloads == [bytes(2**20)]


async def test_sending_is_uncompressed_unless_asked_for(join: Join) -> None:
    joined = await joined_compressed(join)
    joined.client.send_text("a" * 1000)
    sent = await joined.peer.read_frame()
    assert (sent.rsv, sent.payload) == (0, b"a" * 1000)


@pytest.mark.parametrize(
    ("granted", "bits", "context"),
    [("", 15, True), ("; client_max_window_bits=9", 9, True), ("; client_no_context_takeover", 15, False)],
)
async def test_sending_compressed(join: Join, granted: str, bits: int, context: bool) -> None:
    offer = DeflateOffer(compress_from_bytes=10)
    joined = await joined_compressed(join, GRANTED.replace("\r", granted + "\r"), deflate=offer)
    unpack = zlib.decompressobj(-bits)
    for text in ("\u20ac" * 1000, "\u20ac" * 1000, "123456789!"):
        joined.client.send_text(text)
        sent = await joined.peer.read_frame()
        assert (sent.rsv, sent.opcode) == (RSV1, TEXT)
        if not context:
            unpack = zlib.decompressobj(-bits)
        assert unpack.decompress(sent.payload + b"\x00\x00\xff\xff").decode() == text
    joined.client.send_text("short")
    joined.client.reader.ping(b"ping of more than ten")
    assert [(await joined.peer.read_frame()).rsv for _ in range(2)] == [0, 0]
    joined.client.send_binary(bytearray(100))
    sent = await joined.peer.read_frame()
    assert unpack.decompress(sent.payload + b"\x00\x00\xff\xff") == bytes(100) if context else sent.rsv


async def test_empty_messages_compressed(join: Join) -> None:
    joined = await joined_compressed(join, deflate=DeflateOffer(compress_from_bytes=0))
    for _ in range(3):
        joined.client.send_text("")
        sent = await joined.peer.read_frame()
        assert (sent.rsv, sent.payload) == (RSV1, b"\x00")


async def test_window_of_8_bits_for_us_means_uncompressed(join: Join) -> None:
    granted = GRANTED.replace("\r", "; client_max_window_bits=8\r")
    joined = await joined_compressed(join, granted, deflate=DeflateOffer(compress_from_bytes=0))
    joined.client.send_text("plain")
    assert (await joined.peer.read_frame()).payload == b"plain"


async def test_peer_that_declines(join: Join) -> None:
    joined = await joined_compressed(join, "", deflate=DeflateOffer(compress_from_bytes=0))
    joined.client.send_text("plain")
    assert (await joined.peer.read_frame()).payload == b"plain"
    await joined.peer.write(frame(TEXT, WHOLE, rsv=RSV1))
    await failed_with(joined, 1002)


# The negotiation


@pytest.mark.parametrize(
    ("offer", "header"),
    [
        (DeflateOffer(), "permessage-deflate; client_max_window_bits"),
        (DeflateOffer(client_max_window_bits=None), "permessage-deflate"),
        (
            DeflateOffer(True, True, 10, 11),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=10; client_max_window_bits=11",
        ),
    ],
)
async def test_the_offer_on_the_wire(join: Join, offer: DeflateOffer, header: str) -> None:
    joined = await joined_compressed(join, "", deflate=offer)
    assert joined.peer.headers["sec-websocket-extensions"] == header


D = "permessage-deflate"


@pytest.mark.parametrize(
    ("offer", "answer", "agreed"),
    [
        (DeflateOffer(), D, Agreed()),
        (DeflateOffer(), "Permessage-Deflate ;Server_No_Context_Takeover", Agreed(False)),
        (DeflateOffer(), f"{D}; client_no_context_takeover", Agreed(client_keeps_context=False)),
        (DeflateOffer(), f'{D}; server_max_window_bits="8"', Agreed(server_window_bits=8)),
        (DeflateOffer(), f"{D}; client_max_window_bits = 12", Agreed(client_window_bits=12)),
        (DeflateOffer(server_max_window_bits=12), f"{D}; server_max_window_bits=9", Agreed(True, 9)),
        (DeflateOffer(client_no_context_takeover=True), D, Agreed(client_keeps_context=False)),
        (DeflateOffer(client_max_window_bits=9), D, Agreed(client_window_bits=9)),
    ],
)
def test_answers_that_accept(offer: DeflateOffer, answer: str, agreed: Agreed) -> None:
    assert offer.accept(answer) == agreed


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        (DeflateOffer(), ""),
        (DeflateOffer(), "x-webkit-deflate-frame"),
        (DeflateOffer(), f"{D}, {D}"),
        (DeflateOffer(), f"{D};"),
        (DeflateOffer(), f"{D}; unknown"),
        (DeflateOffer(), f"{D}; server_no_context_takeover=1"),
        (DeflateOffer(), f"{D}; server_no_context_takeover="),
        (DeflateOffer(), f"{D}; server_no_context_takeover; server_no_context_takeover"),
        (DeflateOffer(), f"{D}; server_max_window_bits"),
        (DeflateOffer(), f"{D}; server_max_window_bits=7"),
        (DeflateOffer(), f"{D}; server_max_window_bits=16"),
        (DeflateOffer(), f"{D}; server_max_window_bits=010"),
        (DeflateOffer(), f"{D}; server_max_window_bits=+9"),
        (DeflateOffer(), f"{D}; client_max_window_bits"),
        (DeflateOffer(client_max_window_bits=None), f"{D}; client_max_window_bits=15"),
        (DeflateOffer(client_max_window_bits=10), f"{D}; client_max_window_bits=11"),
        (DeflateOffer(server_max_window_bits=10), D),
        (DeflateOffer(server_max_window_bits=10), f"{D}; server_max_window_bits=11"),
        (DeflateOffer(server_no_context_takeover=True), D),
    ],
)
async def test_answers_that_are_refused(peer: Peer, offer: DeflateOffer, answer: str) -> None:
    sink = PyMessageSink(lambda payload, is_text, at_ns: None)
    attempt = asyncio.create_task(connect(peer.url, sink, deflate=offer))
    other = await peer.accept()
    await other.upgrade(extra=f"Sec-WebSocket-Extensions: {answer}\r\n")
    with pytest.raises(HandshakeError, match="not what we offered") as caught:
        await attempt
    assert caught.value.status == 101


@pytest.mark.parametrize(
    "arguments",
    [
        {"server_max_window_bits": 7},
        {"client_max_window_bits": 16},
        {"max_ratio": 0},
        {"compress_from_bytes": -1},
    ],
)
def test_offers_that_are_wrong(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError):
        DeflateOffer(**arguments)  # type: ignore[arg-type]


def test_parts_that_are_wrong() -> None:
    for arguments in ({"window_bits": 7}, {"window_bits": 16}, {"max_ratio": 0}):
        with pytest.raises(ConfigurationError):
            Inflater(**arguments)
    for arguments in ({"window_bits": 8}, {"from_bytes": -1}):
        with pytest.raises(ConfigurationError):
            Deflater(**{"from_bytes": 0, **arguments})


@given(st.lists(st.tuples(st.binary(max_size=300), st.integers(1, 5)), max_size=6), st.randoms())
def test_any_messages_in_any_fragments(messages: list[tuple[bytes, int]], random: Any) -> None:
    """Against the plain text itself, through real sockets, one loop an example."""

    async def play() -> None:
        async with Peer() as peer:
            got: list[bytes] = []
            sink = PyMessageSink(lambda payload, is_text, at_ns: got.append(payload))
            attempt = asyncio.create_task(connect(peer.url, sink, deflate=DeflateOffer()))
            other = await peer.accept()
            pack, sent = Packer(), b""
            for data, parts in messages:
                packed = pack(data)
                cuts = [0, *sorted(random.randint(0, len(packed)) for _ in range(parts - 1)), len(packed)]
                for at in range(parts):
                    sent += frame(
                        CONTINUATION if at else BINARY,
                        packed[cuts[at] : cuts[at + 1]],
                        fin=at == parts - 1,
                        rsv=0 if at else RSV1,
                    )
            await other.upgrade(sent + frame(CLOSE, b"\x03\xe8"), extra=GRANTED)
            client = await attempt
            assert (await client.wait_closed()).was_clean
            assert got == [data for data, _ in messages]

    asyncio.run(play())
