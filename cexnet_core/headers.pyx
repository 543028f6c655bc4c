"""Header fields of a response (RFC 9110 section 5, RFC 9112 section 5), found once, read when asked for.

An answer brings ten to thirty of them, of which a trading engine reads two or three: here
their places are noted, and text is made of those that somebody asks for.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr

from collections.abc import ItemsView, KeysView, Mapping, ValuesView

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    FIELDS_AT_ONCE = 32
    MAX_FIELDS = 1024
    MAX_BYTES = 1 << 24

# Letters in lower case, and 0 for what no name may hold (RFC 9110 section 5.6.2).
cdef unsigned char[256] _letter
cdef int _byte
for _byte in range(256):
    _letter[_byte] = ord(chr(_byte).lower()) if chr(_byte) in (
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    ) else 0


class MalformedResponse(ValueError):
    """Bytes that are no HTTP response. Says what is wrong with them and quotes none."""


cdef bint same_letters(const char* one, const char* other, Py_ssize_t size) noexcept nogil:  # hot
    """Whether both name the same header, whatever the case of their letters."""
    cdef Py_ssize_t i
    for i in range(size):
        if _letter[<unsigned char>one[i]] != _letter[<unsigned char>other[i]]:
            return False
    return True


cdef ResponseHeaders read_headers(const char* lines, Py_ssize_t size):
    """The fields of ``lines``, each of which has its line end. Raises MalformedResponse."""
    cdef ResponseHeaders headers = ResponseHeaders.__new__(ResponseHeaders)
    headers._lines = PyBytes_FromStringAndSize(lines, size)
    _note_fields(headers)
    return headers


cdef int _note_fields(ResponseHeaders headers) except -1:
    """Note where names and values are; a value on several lines becomes one of spaces."""
    cdef char* text = PyBytes_AS_STRING(headers._lines)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(headers._lines)
    cdef Py_ssize_t at = 0, end, stop, colon
    cdef char* line_end
    cdef Field* field = NULL
    if size > MAX_BYTES:
        raise MalformedResponse("the response's headers are too long")
    while at < size:
        line_end = <char*>memchr(text + at, c"\n", size - at)
        if line_end == NULL:
            raise MalformedResponse("a header line of the response has no end")
        stop = line_end - text
        end = stop - 1 if stop > at and text[stop - 1] == c"\r" else stop
        if memchr(text + at, 0, end - at) != NULL or memchr(text + at, c"\r", end - at) != NULL:
            raise MalformedResponse("a header line of the response holds a control character")
        if text[at] == c" " or text[at] == c"\t":
            if field == NULL:
                raise MalformedResponse("the response's headers begin with a continuation line")
            # RFC 9112 section 5.2: the line end becomes spaces. It lies between value and here.
            for colon in range(field.value + field.value_size, at):
                text[colon] = c" "
            while field.value < end and field.value_size == 0 and text[field.value] in (c" ", c"\t"):
                field.value += 1  # nothing but blanks so far
            field.value_size = <int>(_stripped(text, field.value, end) - field.value)
        else:
            colon = at
            while colon < end and _letter[<unsigned char>text[colon]]:
                colon += 1
            if colon == at or colon == end or text[colon] != c":":
                raise MalformedResponse("a header line of the response has no proper name")
            field = _another(headers)
            field.name = <int>at
            field.name_size = <int>(colon - at)
            colon += 1
            while colon < end and (text[colon] == c" " or text[colon] == c"\t"):
                colon += 1
            field.value = <int>colon
            field.value_size = <int>(_stripped(text, colon, end) - colon)
        at = stop + 1
    return 0


cdef inline Py_ssize_t _stripped(const char* text, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """Where the text from ``start`` ends when blanks behind it are left out."""
    while end > start and (text[end - 1] == c" " or text[end - 1] == c"\t"):
        end -= 1
    return end


cdef Field* _another(ResponseHeaders headers) except NULL:
    cdef Field* fields
    if headers._count % FIELDS_AT_ONCE == 0:
        if headers._count >= MAX_FIELDS:
            raise MalformedResponse(f"the response has more than {MAX_FIELDS} headers")
        fields = <Field*>PyMem_Realloc(
            headers._fields, (headers._count + FIELDS_AT_ONCE) * sizeof(Field)
        )
        if fields == NULL:
            raise MemoryError
        headers._fields = fields
    headers._count += 1
    return &headers._fields[headers._count - 1]


@cython.final
cdef class ResponseHeaders:
    """The header fields of one response; a mapping that looks names up without regard to case.

    Of a name that is there several times, ``[name]`` and ``get`` give the first value,
    ``get_all`` all of them; iteration gives each name once, as it was first spelled. Values
    are decoded as UTF-8, other bytes as surrogates (PEP 383). Its repr leaves the values out:
    some are secret. ``lines`` are the field lines with their line ends, without the status
    line and the empty one; raises MalformedResponse. Immutable, so any thread may read it.
    """

    def __init__(self, bytes lines not None):
        if self._lines is not None:
            raise TypeError("these ResponseHeaders have been read already")
        self._lines = PyBytes_FromStringAndSize(PyBytes_AS_STRING(lines), PyBytes_GET_SIZE(lines))
        try:
            _note_fields(self)
        except BaseException:
            self._count = 0
            raise

    def __dealloc__(self):
        PyMem_Free(self._fields)

    cdef const char* text(self) noexcept:
        return PyBytes_AS_STRING(self._lines)

    cdef Field* find(self, const char* name, Py_ssize_t size, int first) noexcept:
        """The next field of that name, from number ``first`` on; NULL when there is none."""
        cdef const char* text
        cdef int i
        if self._count:
            text = PyBytes_AS_STRING(self._lines)
            for i in range(first, self._count):
                if self._fields[i].name_size == size and same_letters(
                    text + self._fields[i].name, name, size
                ):
                    return &self._fields[i]
        return NULL

    cdef int after(self, const Field* field) noexcept:
        """The number of the field behind ``field``."""
        return <int>(field - self._fields) + 1

    cdef bint has_token(self, bytes name, bytes token) except -1:
        """Whether a header that is a list of words has this one."""
        cdef Py_ssize_t name_size = len(name), token_size = len(token)
        cdef const char* at
        cdef const char* end
        cdef const char* stop
        cdef Field* field = self.find(name, name_size, 0)
        while field != NULL:
            at = self.text() + field.value
            end = at + field.value_size
            while at < end:
                while at < end and (at[0] == c" " or at[0] == c"\t" or at[0] == c","):
                    at += 1
                stop = at
                while stop < end and stop[0] not in (c" ", c"\t", c",", c";"):
                    stop += 1
                if stop - at == token_size and same_letters(at, token, token_size):
                    return True
                while stop < end and stop[0] != c",":
                    stop += 1
                at = stop
            field = self.find(name, name_size, self.after(field))
        return False

    cdef Field* _named(self, object name) except? NULL:
        cdef Py_ssize_t size
        cdef const char* letters
        if not isinstance(name, str) or not name.isascii():
            return NULL
        letters = PyUnicode_AsUTF8AndSize(name, &size)
        return self.find(letters, size, 0)

    cdef str _name(self, const Field* field):
        return PyUnicode_DecodeUTF8(self.text() + field.name, field.name_size, NULL)

    cdef str _value(self, const Field* field):
        return PyUnicode_DecodeUTF8(self.text() + field.value, field.value_size, "surrogateescape")

    def __getitem__(self, name):
        cdef Field* field = self._named(name)
        if field == NULL:
            raise KeyError(name)
        return self._value(field)

    def get(self, key, default=None, /):
        """The first value of the name ``key``, else ``default``."""
        cdef Field* field = self._named(key)
        return default if field == NULL else self._value(field)

    def get_all(self, str name not None):
        """Every value of ``name``, in the order of the response."""
        cdef Py_ssize_t size
        cdef const char* letters = PyUnicode_AsUTF8AndSize(name, &size)
        cdef list values = []
        cdef Field* field = self.find(letters, size, 0)
        while field != NULL:
            values.append(self._value(field))
            field = self.find(letters, size, self.after(field))
        return values

    def __contains__(self, name):
        return self._named(name) != NULL

    def __iter__(self):
        cdef int i
        cdef list names = []
        for i in range(self._count):
            if self.find(
                self.text() + self._fields[i].name, self._fields[i].name_size, 0
            ) == &self._fields[i]:
                names.append(self._name(&self._fields[i]))
        return iter(names)

    def __len__(self):
        return sum(1 for _ in self)

    def keys(self):
        """The names, each once."""
        return KeysView(self)

    def values(self):
        """The first value of each name."""
        return ValuesView(self)

    def items(self):
        """Names with their first values."""
        return ItemsView(self)

    def __eq__(self, other):
        if not isinstance(other, Mapping):
            return NotImplemented
        return _folded(self) == _folded(other)

    __hash__ = None

    def __reduce__(self):
        return ResponseHeaders, (self._lines or b"",)

    def __repr__(self):
        return f"ResponseHeaders({', '.join(self)})"


def _folded(headers):
    return {str(name).lower(): value for name, value in headers.items()}


Mapping.register(ResponseHeaders)
