"""HTTP/1.1 responses (RFC 9112), out of the buffer that the socket is read into.

The buffer holds one response. Its body is joined in place as chunks arrive, so that it is
copied once, when it is whole. Strict where being kind would be a guess: a response that could
be read in two ways, or ends before its end, is none, for it may be about an order.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memchr, memcmp, memmove

from cexnet_core.headers cimport Field, ResponseHeaders, read_headers, same_letters

from cexnet_core.content_coding import BodyTooLarge, decode_body
from cexnet_core.errors import ConfigurationError
from cexnet_core.headers import MalformedResponse

cdef enum:
    BUFFER_BYTES = 16 * 1024
    KEPT_BYTES = 64 * 1024      # a larger buffer is given back before the next response
    LEAST_ROOM = 2048           # what is worth a call of the kernel
    TLS_RECORD = 17 * 1024      # of which OpenSSL may hold a part that nobody counts
    TRUSTED_BYTES = 1024 * 1024  # so much is set aside for a length that is only announced
    MAX_CHUNK_LINE = 4096
    MAX_DIGITS = 18             # of a size; more do not fit 64 bits
    SWITCHING_PROTOCOLS = 101
    NO_CONTENT = 204
    NOT_MODIFIED = 304

cdef enum State:
    IDLE
    HEAD
    LENGTH
    UNTIL_CLOSE
    CHUNK_SIZE
    CHUNK
    CHUNK_END
    TRAILERS
    BROKEN

cdef ResponseHeaders _NO_HEADERS = ResponseHeaders(b"")


@cython.final
cdef class ResponseParser:
    """Reads the responses of one connection, one after another.

    ``begin()`` says that one is awaited. Bytes are received into ``get_buffer()`` and told to
    ``advance()``, which is True when the response is whole: then ``status``, ``headers``,
    ``body`` (without its content coding) and ``keep_alive`` (whether the connection may serve
    again) are its own until the next ``begin()`` or ``forget()``. ``status`` is set as soon as the head is
    there; interim responses are passed over, but for 101, which ends what HTTP can read.

    ``spoke_unasked`` is whether bytes came that belong to no response: the connection must
    not be used again, for they would be taken for the next one. A body larger than
    ``max_body_bytes``, as sent or decoded, raises BodyTooLarge; a head of more than
    ``max_head_bytes``, and whatever is no response, MalformedResponse. Not for several threads.
    """

    def __cinit__(self):
        self.headers = _NO_HEADERS
        self.body = b""
        self._take_buffer(bytearray(BUFFER_BYTES))

    def __init__(self, Py_ssize_t max_body_bytes, Py_ssize_t max_head_bytes=65536):
        """Raises ConfigurationError for a bound that no response could keep."""
        if max_body_bytes < 1 or not 64 <= max_head_bytes <= 1 << 24:
            raise ConfigurationError(
                f"max_body_bytes={max_body_bytes} must be above 0,"
                f" max_head_bytes={max_head_bytes} 64 to 2**24"
            )
        self.max_body_bytes = max_body_bytes
        self.max_head_bytes = max_head_bytes

    @property
    def buffer_bytes(self):
        """How much memory the buffer has at the moment."""
        return self._room

    def begin(self, bint head_only=False):
        """A response is awaited from now on; ``head_only`` when it answers HEAD."""
        self._forget()
        self._head_only = head_only
        if self._state != BROKEN:
            self._state = HEAD

    def forget(self):
        """Let go of the last response: until the next, which may be long, it is not kept in memory."""
        if self._state == IDLE:
            self._forget()

    cdef int _forget(self) except -1:
        if self._room > KEPT_BYTES:
            self._take_buffer(bytearray(BUFFER_BYTES))
        self.status = 0
        self.headers = _NO_HEADERS
        self.body = b""
        self.keep_alive = False
        self._filled = self._taken = self._head = self._body = self._body_end = self._missing = 0
        return 0

    def get_buffer(self, Py_ssize_t sizehint=-1):
        """Where to receive the next bytes; the memory is good until ``advance()``."""
        return self._room_for(LEAST_ROOM)

    def get_tls_buffer(self, Py_ssize_t pending):
        """The same for a TLS transport, which holds ``pending`` bytes and has to get rid of all.

        What does not fit it would bring a turn later; and never, if the peer's FIN comes before.
        """
        return self._room_for(max(pending, 0) + TLS_RECORD)

    cdef object _room_for(self, Py_ssize_t wanted):
        if self._state == LENGTH or self._state == CHUNK:
            wanted = max(wanted, min(self._missing, <Py_ssize_t>TRUSTED_BYTES))
        if self._room - self._filled < wanted:
            # A new one: whoever received last may still hold a view of the old.
            larger = bytearray(max(self._filled + wanted, 2 * self._room))
            larger[:self._filled] = self._view[:self._filled]
            self._take_buffer(larger)
        return self._view[self._filled:]  # never the view itself, which the caller could release

    def advance(self, Py_ssize_t received):
        """``received`` more bytes are in the buffer; True when they make the response whole."""
        if received < 0 or received > self._room - self._filled:
            raise ValueError(f"{received} bytes are not what the buffer had room for")
        if self._state == IDLE or self._state == BROKEN:
            self.spoke_unasked = self.spoke_unasked or received > 0
            return False
        self._filled += received
        try:
            if self._state == HEAD:
                self._read_head()
            if self._state == LENGTH:
                self._read_length()
            elif self._state == UNTIL_CLOSE:
                self._body_end = self._taken = self._filled
                self._check_size(self._body_end - self._body)
            elif self._state != HEAD and self._state != IDLE:
                self._read_chunks()
        except BaseException:
            self._state = BROKEN
            raise
        return self._state == IDLE

    def end(self):
        """The peer sends no more; True when that makes the response whole.

        False when nothing was awaited or no head had come. Raises MalformedResponse in the
        middle of a body.
        """
        cdef int state = self._state
        if state == IDLE or state == BROKEN:
            return False
        self._state = BROKEN
        if state == UNTIL_CLOSE:
            self._finish()
            self._state = BROKEN  # nothing can follow
            return True
        if state == HEAD:
            return False
        raise MalformedResponse("the connection ended in the middle of the response's body")

    cdef int _take_buffer(self, bytearray buffer) except -1:
        self._view = memoryview(buffer)
        self._buffer = buffer
        self._room = len(buffer)
        return 0

    cdef char* _text(self) noexcept:
        return PyByteArray_AS_STRING(self._buffer)

    cdef int _read_head(self) except -1:
        """Look for the end of the head line by line; interim heads are skipped."""
        cdef char* text = self._text()
        cdef char* found
        cdef Py_ssize_t line, line_end
        while self._state == HEAD:
            found = <char*>memchr(text + self._taken, c"\n", self._filled - self._taken)
            if found == NULL or found - text >= self.max_head_bytes:
                if self._filled >= self.max_head_bytes:
                    raise MalformedResponse(f"the response's head exceeds {self.max_head_bytes} bytes")
                return 0
            line = self._taken
            line_end = found - text
            self._taken = line_end + 1
            if line == self._head:
                self._read_status(text + line, line_end - line)
            elif line_end == line or (line_end == line + 1 and text[line] == c"\r"):
                self._end_head(line)
        return 0

    cdef int _read_status(self, const char* line, Py_ssize_t size) except -1:
        """``HTTP/1.1 200 OK``, of which the reason may be left out (RFC 9112 section 4)."""
        if size and line[size - 1] == c"\r":
            size -= 1
        if not (
            size >= 12 and memcmp(line, b"HTTP/1.", 7) == 0 and c"0" <= line[7] <= c"9"
            and line[8] == c" " and c"1" <= line[9] <= c"9" and c"0" <= line[10] <= c"9"
            and c"0" <= line[11] <= c"9" and (size == 12 or line[12] == c" ")
        ) or memchr(line, c"\r", size) != NULL or memchr(line, 0, size) != NULL:
            raise MalformedResponse("the response has no proper status line")
        return 0

    cdef int _end_head(self, Py_ssize_t blank) except -1:
        """The head ends at the empty line: what it says of the body."""
        cdef const char* head = self._text() + self._head
        cdef int status = (head[9] - c"0") * 100 + (head[10] - c"0") * 10 + (head[11] - c"0")
        cdef const char* fields = <const char*>memchr(head, c"\n", self._taken - self._head) + 1
        cdef ResponseHeaders headers = read_headers(fields, self._text() + blank - fields)
        if status < 200 and status != SWITCHING_PROTOCOLS:
            self._head = self._taken
            return 0
        self.status = status
        self.headers = headers
        self._body = self._body_end = self._taken
        self._choose_framing(head[7] - c"0")
        return 0

    cdef int _choose_framing(self, int minor) except -1:
        """Where the body ends (RFC 9112 section 6.3), and whether another may follow."""
        cdef bint chunked = False, has_length = False
        cdef const char* text = self.headers.text()
        cdef Field* field
        self.keep_alive = self.headers.has_token(b"connection", b"keep-alive") or minor > 0
        if self.headers.has_token(b"connection", b"close"):
            self.keep_alive = False
        if self.status == SWITCHING_PROTOCOLS:
            self.keep_alive = False
        if self._head_only or self.status in (SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED):
            self._finish()
            return 0
        field = self.headers.find(b"transfer-encoding", 17, 0)
        if field != NULL:
            chunked = field.value_size == 7 and same_letters(text + field.value, b"chunked", 7)
            if (
                not chunked or minor == 0
                or self.headers.find(b"transfer-encoding", 17, self.headers.after(field)) != NULL
            ):
                raise MalformedResponse("the response has a transfer encoding that is not just 'chunked'")
        field = self.headers.find(b"content-length", 14, 0)
        while field != NULL:
            self._read_content_length(text + field.value, field.value_size, has_length)
            has_length = True
            field = self.headers.find(b"content-length", 14, self.headers.after(field))
        if chunked and has_length:
            raise MalformedResponse("the response has both a length and a transfer encoding")
        if chunked:
            self._state = CHUNK_SIZE
        elif has_length:
            self._check_size(self._missing)
            self._state = LENGTH
        else:
            self.keep_alive = False
            self._state = UNTIL_CLOSE
        return 0

    cdef int _read_content_length(self, const char* text, Py_ssize_t size, bint again) except -1:
        """Digits, or the same digits several times between commas (RFC 9110 section 8.6)."""
        cdef Py_ssize_t at = 0, number, digits
        while True:
            while at < size and (text[at] == c" " or text[at] == c"\t"):
                at += 1
            number = digits = 0
            while at < size and c"0" <= text[at] <= c"9":
                digits += number > 0
                if digits == MAX_DIGITS:
                    raise BodyTooLarge(f"the body exceeds {self.max_body_bytes} bytes")
                number = number * 10 + (text[at] - c"0")
                at += 1
            if at == 0 or not c"0" <= text[at - 1] <= c"9" or (again and number != self._missing):
                raise MalformedResponse("the response has no proper length")
            self._missing = number
            again = True
            while at < size and (text[at] == c" " or text[at] == c"\t"):
                at += 1
            if at == size:
                return 0
            if text[at] != c",":
                raise MalformedResponse("the response has no proper length")
            at += 1

    cdef int _read_length(self) except -1:
        """A body of announced length."""
        cdef Py_ssize_t come = min(self._filled - self._taken, self._missing)
        self._taken += come
        self._missing -= come
        self._body_end = self._taken
        if self._missing == 0:
            self._finish()
        return 0

    cdef int _read_chunks(self) except -1:
        """Chunks (RFC 9112 section 7.1), moved together as they come."""
        cdef char* text = self._text()
        cdef char* found
        cdef Py_ssize_t come
        while self._state != IDLE:
            if self._state == CHUNK:
                come = min(self._filled - self._taken, self._missing)
                memmove(text + self._body_end, text + self._taken, come)
                self._body_end += come
                self._taken += come
                self._missing -= come
                if self._missing:
                    break
                self._state = CHUNK_END
            elif self._state == CHUNK_END:
                if self._filled - self._taken < 2:
                    break
                if text[self._taken] != c"\r" or text[self._taken + 1] != c"\n":
                    raise MalformedResponse("a chunk of the response is longer than it said")
                self._taken += 2
                self._state = CHUNK_SIZE
            elif self._state == TRAILERS:
                if self._read_trailers() == 0:
                    break
            else:
                found = <char*>memchr(text + self._taken, c"\n", self._filled - self._taken)
                come = (found - text if found != NULL else self._filled) - self._taken
                if come > MAX_CHUNK_LINE:
                    raise MalformedResponse("a chunk of the response has no end to its size line")
                if found == NULL:
                    break
                self._read_chunk_size(text + self._taken, come)
                self._taken += come + 1
                self._head = self._taken
        # What is understood is not needed any more: the next bytes come right behind the body.
        if self._state != IDLE and self._state != TRAILERS and self._taken > self._body_end:
            memmove(text + self._body_end, text + self._taken, self._filled - self._taken)
            self._filled -= self._taken - self._body_end
            self._taken = self._body_end
        return 0

    cdef int _read_chunk_size(self, const char* line, Py_ssize_t size) except -1:
        """Hexadecimal digits and perhaps extensions, which nobody uses; ``line`` without its LF."""
        cdef Py_ssize_t at = 0, number = 0
        cdef int digit
        if size == 0 or line[size - 1] != c"\r" or memchr(line, c"\r", size - 1) != NULL:
            raise MalformedResponse("a chunk of the response has no proper size")
        while at < size:
            digit = _hex_digit(line[at])
            if digit < 0:
                break
            if number >> 56:
                raise BodyTooLarge(f"the body exceeds {self.max_body_bytes} bytes")
            number = number << 4 | digit
            at += 1
        if at == 0:
            raise MalformedResponse("a chunk of the response has no proper size")
        while line[at] == c" " or line[at] == c"\t":
            at += 1  # ends at the CR
        if line[at] != c"\r" and line[at] != c";":
            raise MalformedResponse("a chunk of the response has no proper size")
        self._missing = number
        if number:
            self._check_size(self._body_end - self._body + number)
        self._state = CHUNK if number else TRAILERS
        return 0

    cdef int _read_trailers(self) except -1:
        """Fields behind the last chunk, read over; 1 when they ended."""
        cdef char* text = self._text()
        cdef char* found
        cdef Py_ssize_t line
        while True:
            found = <char*>memchr(text + self._taken, c"\n", self._filled - self._taken)
            if (self._filled if found == NULL else found - text) - self._head > self.max_head_bytes:
                raise MalformedResponse(f"the response's trailers exceed {self.max_head_bytes} bytes")
            if found == NULL:
                return 0
            line = self._taken
            self._taken = found - text + 1
            if found - text == line or (found - text == line + 1 and text[line] == c"\r"):
                read_headers(text + self._head, line - self._head)
                self._finish()
                return 1

    cdef int _check_size(self, Py_ssize_t size) except -1:
        if size > self.max_body_bytes:
            raise BodyTooLarge(f"the body exceeds {self.max_body_bytes} bytes")
        return 0

    cdef int _finish(self) except -1:
        """The response is whole; whatever came behind it was not asked for."""
        cdef Field* coding = self.headers.find(b"content-encoding", 16, 0)
        cdef bytes body
        if self._filled > self._taken:
            self.spoke_unasked = True
        if self._body_end > self._body:
            body = PyBytes_FromStringAndSize(self._text() + self._body, self._body_end - self._body)
            if coding != NULL:
                body = decode_body(
                    body, ",".join(self.headers.get_all("content-encoding")), self.max_body_bytes
                )
            self.body = body
        self._state = IDLE
        return 0


cdef inline int _hex_digit(char letter) noexcept nogil:
    if c"0" <= letter <= c"9":
        return letter - c"0"
    if c"a" <= letter <= c"f":
        return letter - c"a" + 10
    if c"A" <= letter <= c"F":
        return letter - c"A" + 10
    return -1
