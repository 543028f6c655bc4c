# UTF-8 validation that can stop and go on at any byte (RFC 3629, table in section 4).
#
# A text message may be cut into fragments in the middle of a character, and RFC 6455
# (section 8.1) wants the connection failed as soon as the text can no longer be valid.
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy


cdef struct Utf8State:
    uint8_t missing         # continuation bytes that the current character still needs
    uint8_t low             # allowed range of the next continuation byte
    uint8_t high


cdef inline void utf8_start(Utf8State* state) noexcept nogil:
    state.missing = 0
    state.low = 0x80
    state.high = 0xBF


cdef inline const uint8_t* utf8_skip_ascii(
        const uint8_t* at, const uint8_t* end) noexcept nogil:  # hot
    # Market data is ASCII nearly always; blocks of 64 become a few SIMD instructions.
    cdef uint64_t[8] block
    cdef uint64_t word
    while end - at >= 64:
        memcpy(block, at, 64)
        word = (block[0] | block[1] | block[2] | block[3]
                | block[4] | block[5] | block[6] | block[7])
        if word & <uint64_t>0x8080808080808080:
            break
        at += 64
    while end - at >= 8:
        memcpy(&word, at, 8)
        if word & <uint64_t>0x8080808080808080:
            break
        at += 8
    while at < end and at[0] < 0x80:
        at += 1
    return at


cdef inline bint utf8_lead(Utf8State* state, uint8_t byte) noexcept nogil:
    # The narrowed ranges keep out overlong forms, surrogates and anything past U+10FFFF.
    state.low = 0x80
    state.high = 0xBF
    if 0xC2 <= byte <= 0xDF:
        state.missing = 1
    elif 0xE0 <= byte <= 0xEF:
        state.missing = 2
        if byte == 0xE0:
            state.low = 0xA0
        elif byte == 0xED:
            state.high = 0x9F
    elif 0xF0 <= byte <= 0xF4:
        state.missing = 3
        if byte == 0xF0:
            state.low = 0x90
        elif byte == 0xF4:
            state.high = 0x8F
    else:
        return False
    return True


cdef inline bint utf8_feed(
        Utf8State* state, const char* data, Py_ssize_t size) noexcept nogil:  # hot
    # False as soon as no continuation could make the text valid. The text is whole when
    # True came back and ``state.missing`` is 0.
    cdef const uint8_t* at = <const uint8_t*>data
    cdef const uint8_t* end = at + size
    while at < end:
        if state.missing == 0:
            at = utf8_skip_ascii(at, end)
            if at == end:
                break
            if not utf8_lead(state, at[0]):
                return False
        else:
            if at[0] < state.low or at[0] > state.high:
                return False
            state.low = 0x80
            state.high = 0xBF
            state.missing -= 1
        at += 1
    return True


cdef inline bint utf8_valid(const char* data, Py_ssize_t size) noexcept nogil:  # hot
    cdef Utf8State state
    utf8_start(&state)
    return utf8_feed(&state, data, size) and state.missing == 0
