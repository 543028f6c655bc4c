# The hot log's ring (hotring.h), and the arguments of a record for ``Template.append``.
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "hotring.h" nogil:
    enum:
        NONE "CEXNET_NONE"
        BOOL "CEXNET_BOOL"
        INT "CEXNET_INT"
        FLOAT "CEXNET_FLOAT"
        TEXT "CEXNET_TEXT"
        BYTES "CEXNET_BYTES"
        OBJECT "CEXNET_OBJECT"
        EXCEPTION "CEXNET_EXCEPTION"
        MAX_TEXT_BYTES "CEXNET_TEXT_BYTES"

    ctypedef union Value "cexnet_value":
        int64_t integer
        double real
        void* object

    ctypedef struct Argument "cexnet_argument":
        int32_t kind
        int32_t kept
        Value value
        const char* data

    ctypedef struct Stored "cexnet_stored":
        int32_t kind
        int32_t kept
        Value value

    ctypedef struct Record "cexnet_record":
        int64_t length
        int64_t ticks_ns
        uint64_t lost
        uint64_t thread
        int32_t template_id
        int32_t count

    ctypedef struct Ring "cexnet_ring":
        char* bytes
        int64_t capacity
        int32_t level
        int32_t is_open
        int32_t stop
        int64_t tail
        uint64_t lost
        uint64_t held_back
        int64_t head
        uint64_t reported_lost
        uint64_t reported_held_back
        int64_t report_after_ticks_ns

    ctypedef struct Bound "cexnet_bound":
        int64_t per_second
        uint64_t held_back
        uint64_t reported

    bint ring_append "cexnet_ring_append"(Ring*, int32_t, int64_t, uint64_t, const Argument*, int)
    Record* ring_peek "cexnet_ring_peek"(Ring*)
    void ring_release "cexnet_ring_release"(Ring*, Record*)
    bint ring_has_news "cexnet_ring_has_news"(Ring*, int64_t)
    bint bound_admits "cexnet_bound_admits"(Bound*, Ring*, int64_t)
    void sleep_for "cexnet_sleep_ns"(int64_t)
    int64_t load "CEXNET_LOAD"(void*)


# The arguments of a record, for ``Template.append``. Texts are copied by it, not before.
cdef inline Argument hot_int(int64_t value) noexcept nogil:  # hot
    cdef Argument argument
    argument.kind = INT
    argument.kept = 0
    argument.value.integer = value
    return argument


cdef inline Argument hot_float(double value) noexcept nogil:  # hot
    cdef Argument argument
    argument.kind = FLOAT
    argument.kept = 0
    argument.value.real = value
    return argument


cdef inline Argument hot_bytes(const char* data, int64_t size) noexcept nogil:  # hot
    cdef Argument argument
    argument.kind = BYTES
    argument.kept = <int32_t>(size if size <= MAX_TEXT_BYTES else MAX_TEXT_BYTES)
    argument.value.integer = size
    argument.data = data
    return argument


# UTF-8; a cut falls between two characters.
cdef inline Argument hot_text(const char* data, int64_t size) noexcept nogil:  # hot
    cdef Argument argument = hot_bytes(data, size)
    argument.kind = TEXT
    if size > MAX_TEXT_BYTES:
        while argument.kept > MAX_TEXT_BYTES - 4 and (data[argument.kept] & 0xC0) == 0x80:
            argument.kept -= 1
    return argument
