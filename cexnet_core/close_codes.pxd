# Control frames and close codes, as RFC 6455 has them.

cdef enum:
    MAX_CONTROL_PAYLOAD = 125   # bytes, section 5.5
    NO_CODE = 1005              # section 7.1.5: a close frame without a code
    ABNORMAL = 1006             # same: no close frame at all


cdef inline bint may_be_on_the_wire(int code) noexcept nogil:
    # Section 7.4; 1012-1014 are registered with IANA since.
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
