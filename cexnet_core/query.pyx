"""Query strings in the caller's order, escaped once: what is signed is what is sent.

A value is text, an int, a bool (``true``, ``false``), a Decimal or a float (the shortest
digits that read back as the same number, never with an exponent), a Secret, or a list or
tuple of these. ``None`` leaves the parameter out, an empty text leaves ``name=``. Lists
follow the exchange's rule: ``repeat`` writes ``name=a&name=b``, ``comma`` ``name=a,b``,
``json`` ``name=["a","b"]`` without spaces, text quoted and numbers bare.

Escaping is RFC 3986 (section 2.3): letters, digits and ``-._~`` stay, every other byte of
the UTF-8 text becomes ``%XX`` in upper case, as MEXC demands of signed text.
"""

from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_New

from collections.abc import Mapping
from decimal import Decimal
from json import dumps

from cexnet_core.errors import ConfigurationError
from cexnet_core.secret import Secret

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef bint[256] _unreserved
cdef int _byte
for _byte in range(256):
    _unreserved[_byte] = chr(_byte) in (
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    )
cdef const char* _HEX = b"0123456789ABCDEF"


cdef Py_ssize_t escaped_size(const unsigned char* text, Py_ssize_t size) noexcept nogil:  # hot
    cdef Py_ssize_t i, total = size
    for i in range(size):
        if not _unreserved[text[i]]:
            total += 2
    return total


cdef unsigned char* escape_into(
    const unsigned char* text, Py_ssize_t size, unsigned char* out
) noexcept nogil:  # hot
    cdef Py_ssize_t i
    cdef unsigned char byte
    for i in range(size):
        byte = text[i]
        if _unreserved[byte]:
            out[0] = byte
            out += 1
        else:
            out[0] = c"%"
            out[1] = _HEX[byte >> 4]
            out[2] = _HEX[byte & 15]
            out += 3
    return out


cdef const unsigned char* _utf8(str text, Py_ssize_t* size) except NULL:
    """The bytes of ``text``, which lives as long as they do."""
    try:
        return <const unsigned char*>PyUnicode_AsUTF8AndSize(text, size)
    except UnicodeEncodeError:
        raise ConfigurationError(
            "a request parameter holds half of a character (a lone surrogate): it has no UTF-8 form"
        ) from None


def escape(text):
    """``text`` percent-encoded, as UTF-8. Raises ConfigurationError for a lone surrogate."""
    text = str.__str__(text)
    cdef Py_ssize_t size = 0
    cdef const unsigned char* data = _utf8(text, &size)
    cdef Py_ssize_t total = escaped_size(data, size)
    if total == size:
        return text
    escaped = PyUnicode_New(total, 127)
    escape_into(data, size, <unsigned char*>PyUnicode_1BYTE_DATA(escaped))
    return escaped


cdef str _number(str name, object value):
    """Decimal text without an exponent."""
    if isinstance(value, float):
        value = Decimal(float.__repr__(value))
    if not value.is_finite():
        raise ConfigurationError(f"parameter {name!r} is {value}: give a finite number")
    return format(value, "f")


cdef str _text(str name, object value):
    """The text of one value that is not ``None``."""
    if type(value) is str:
        return <str>value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, (float, Decimal)):
        return _number(name, value)
    if isinstance(value, Secret):
        return value.text()
    raise ConfigurationError(
        f"parameter {name!r} is a {type(value).__name__}: give text, int, bool, Decimal, float,"
        " Secret, None, or a list of them"
    )


cdef str _json(str name, object value):
    """One element of a JSON list; non-ASCII text stays as it is."""
    if value is None:
        return "null"
    cdef str text = _text(name, value)
    return dumps(text, ensure_ascii=False) if isinstance(value, (str, Secret)) else text


cdef int _add(list found, object name, object value, str arrays) except -1:
    if value is None:
        return 0
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"a request parameter is named {name!r}: a name is text and not empty")
    name = str.__str__(name)
    if not isinstance(value, (list, tuple)):
        found.append((name, _text(name, value)))
    elif arrays == "repeat":
        for each in value:
            if each is not None:
                found.append((name, _text(name, each)))
    elif arrays == "comma":
        found.append((name, ",".join([_text(name, each) for each in value if each is not None])))
    else:
        found.append((name, "[" + ",".join([_json(name, each) for each in value]) + "]"))
    return 0


def pairs(params, str arrays not None="repeat"):
    """The parameters as text, in the order given; those that are ``None`` are left out.

    ``params`` is a mapping or a sequence of (name, value). Raises ConfigurationError naming
    the parameter whose value is of another type, infinite or not a number.
    """
    if arrays not in ("repeat", "comma", "json"):
        raise ConfigurationError(f"arrays is {arrays!r}, it must be repeat, comma or json")
    cdef list found = []
    for name, value in params.items() if isinstance(params, (dict, Mapping)) else params:
        _add(found, name, value, arrays)
    return found


def encode(params, str arrays not None="repeat"):
    """``name=value`` joined by ``&``, percent-encoded. Raises as ``pairs`` and ``escape`` do."""
    return encode_pairs(pairs(params, arrays)) if params else ""


def encode_pairs(given):
    """What ``pairs`` returned, or a reordering of it, percent-encoded."""
    cdef list kept = list(given)
    cdef Py_ssize_t total = 0, size = 0
    cdef const unsigned char* data
    for name, value in kept:
        data = _utf8(name, &size)
        total += escaped_size(data, size) + 1
        data = _utf8(value, &size)
        total += escaped_size(data, size) + 1
    if not total:
        return ""
    query = PyUnicode_New(total - 1, 127)
    cdef unsigned char* start = <unsigned char*>PyUnicode_1BYTE_DATA(query)
    cdef unsigned char* out = start
    for name, value in kept:
        if out != start:
            out[0] = c"&"
            out += 1
        data = _utf8(name, &size)
        out = escape_into(data, size, out)
        out[0] = c"="
        data = _utf8(value, &size)
        out = escape_into(data, size, out + 1)
    return query


def plain(given):
    """What ``pairs`` returned as ``name=value`` joined by ``&``, for exchanges that sign that form."""
    return "&".join([f"{name}={value}" for name, value in given])
