# Control frames and close codes, as RFC 6455 has them.
from cexnet_core.errors import ConfigurationError

cdef enum:
    MAX_CONTROL_PAYLOAD = 125   # bytes, section 5.5
    NO_CODE = 1005              # section 7.1.5: a close frame without a code


cdef inline bint may_be_on_the_wire(int code) noexcept nogil:
    # Section 7.4; 1012-1014 are registered with IANA since.
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


cdef inline bytes close_payload(int code, str reason):
    # What a user asks us to send; raises ConfigurationError for what may not be sent.
    cdef bytes words = reason.encode()
    if not may_be_on_the_wire(code):
        raise ConfigurationError(
            f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
    if len(words) > MAX_CONTROL_PAYLOAD - 2:
        raise ConfigurationError(
            f"close reason of {len(words)} bytes: at most {MAX_CONTROL_PAYLOAD - 2}")
    return code.to_bytes(2, "big") + words
