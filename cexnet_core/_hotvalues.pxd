# Python values into the hot log's ring and out of it.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_Check
from cpython.number cimport PyIndex_Check, PyNumber_Index
from cpython.ref cimport Py_DECREF
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t

from cexnet_core.hotring cimport (
    BOOL, BYTES, EXCEPTION, FLOAT, INT, NONE, OBJECT, TEXT,
    Argument, Record, Stored, hot_bytes, hot_float, hot_int, hot_text,
)

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL


cdef inline bint take_value(Argument* to, object value) except -1:
    """Describe ``value``, whose memory must outlive ``to``. False: take ``as_plain`` of it."""
    cdef int overflow = 0
    cdef Py_ssize_t size = 0
    cdef const char* data
    if PyUnicode_CheckExact(value):
        try:
            data = PyUnicode_AsUTF8AndSize(value, &size)
        except UnicodeEncodeError:  # a lone surrogate
            return False
        to[0] = hot_text(data, size)
    elif PyFloat_Check(value):
        to[0] = hot_float(PyFloat_AS_DOUBLE(value))
    elif value is True or value is False:
        to[0] = hot_int(value is True)
        to.kind = BOOL
    elif PyLong_Check(value):
        to[0] = hot_int(PyLong_AsLongLongAndOverflow(value, &overflow))
        if overflow:
            to.kind = OBJECT
            to.value.object = <void*>value
    elif PyBytes_CheckExact(value):
        to[0] = hot_bytes(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    elif value is None:
        to[0] = hot_int(0)
        to.kind = NONE
    else:
        return False
    return True


cdef inline object as_plain(object value):
    """The integer that ``value`` stands for, or else its text."""
    try:
        if PyIndex_Check(value):
            return PyNumber_Index(value)
        return str(value).encode("utf-8", "backslashreplace").decode()
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


cdef inline object restored(Stored* stored):
    """The argument, with the ring's reference given up."""
    cdef const char* data = <const char*>stored + sizeof(Stored)
    cdef int64_t more
    cdef object value
    if stored.kind == INT:
        return stored.value.integer
    if stored.kind == FLOAT:
        return stored.value.real
    if stored.kind == TEXT:
        more = stored.value.integer - stored.kept
        value = PyUnicode_DecodeUTF8(data, stored.kept, "replace")
        return f"{value}… (+{more} bytes)" if more else value
    if stored.kind == BYTES:
        more = stored.value.integer - stored.kept
        value = PyBytes_FromStringAndSize(data, stored.kept)
        return value + b"... (+%d bytes)" % more if more else value
    if stored.kind == BOOL:
        return stored.value.integer != 0
    if stored.kind == NONE:
        return None
    value = <object>stored.value.object
    Py_DECREF(value)
    return value


cdef inline tuple restored_arguments(Record* record):
    """The arguments of a record, and its exception or None."""
    cdef char* at = <char*>record + sizeof(Record)
    cdef Stored* stored
    cdef list arguments = []
    cdef object exception = None
    for _ in range(record.count):
        stored = <Stored*>at
        if stored.kind == EXCEPTION:
            exception = restored(stored)
        else:
            arguments.append(restored(stored))
        at += sizeof(Stored) + ((stored.kept + 7) & ~7)
    return tuple(arguments), exception
