"""The content codings that we accept, undone (RFC 9110 section 8.4.1): gzip and deflate."""

from __future__ import annotations

import zlib

from cexnet_core.headers import MalformedResponse

_GZIP = 16 + zlib.MAX_WBITS
_MAX_CODINGS = 5  # one on the other; nobody uses two, and each may come to as much as is allowed
_MAX_MEMBERS = 100  # of a gzip file; each costs a copy of what follows it


class BodyTooLarge(MalformedResponse):
    """A body of more bytes than were allowed."""


def decode_body(body: bytes, codings: str, max_bytes: int) -> bytes:
    """``body`` without its ``codings``, a comma-separated list in the order of their application.

    From a coding on that we do not know it is left as it is: nobody asked for that one, and
    what was sent may say more than an error of ours. Raises BodyTooLarge when more than
    ``max_bytes`` would come out, MalformedResponse for damaged or truncated data.
    """
    names = [name.strip().lower() for name in codings.split(",")]
    if len(names) > _MAX_CODINGS:
        raise MalformedResponse(f"the response's body has more than {_MAX_CODINGS} codings")
    for coding in reversed(names):
        try:
            if coding in ("gzip", "x-gzip"):
                body = _gunzip(body, max_bytes)
            elif coding == "deflate":
                body = _inflate(body, max_bytes)
            elif coding not in ("", "identity"):
                return body
        except zlib.error:
            raise MalformedResponse(f"the response's body is no proper {coding} data") from None
    return body


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    """All members of a gzip file (RFC 1952 section 2.2), and perhaps zeros that pad it."""
    plain = b""
    for _ in range(_MAX_MEMBERS):
        member = zlib.decompressobj(_GZIP)
        plain += _whole(member, body, max_bytes - len(plain), max_bytes)
        body = member.unused_data.lstrip(b"\0")
        if not body:
            return plain
    raise MalformedResponse("the response's body is too many gzip files in one")


def _inflate(body: bytes, max_bytes: int) -> bytes:
    """A zlib stream, as it should be, or the bare data that some servers send instead."""
    has_header = len(body) >= 2 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
    stream = zlib.decompressobj(zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS)
    plain = _whole(stream, body, max_bytes, max_bytes)
    if stream.unused_data:
        raise MalformedResponse("bytes follow the response's compressed body")
    return plain


def _whole(stream: zlib._Decompress, body: bytes, room: int, max_bytes: int) -> bytes:
    plain = stream.decompress(body, room + 1)
    if len(plain) > room:
        raise BodyTooLarge(f"the body exceeds {max_bytes} bytes after decompression")
    if not stream.eof:
        raise MalformedResponse("the response's compressed body is truncated")
    return plain
