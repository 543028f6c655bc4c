from libc.stdint cimport int64_t
from picows.picows cimport WSFrame, WSListener, WSTransport

from cexnet_core.assembly cimport Assembly
from cexnet_core.deflate cimport Deflater, Inflater
from cexnet_core.messages cimport MessageSink
from cexnet_core.writer cimport FrameWriter


cdef class FrameReader(WSListener):
    cdef readonly object closed                 # asyncio.Future[CloseInfo]
    cdef readonly bint write_paused
    cdef readonly int64_t frames
    cdef readonly int64_t messages
    cdef readonly int64_t bytes_received        # payload bytes of delivered messages
    cdef readonly int64_t pings
    cdef readonly int64_t pongs
    cdef readonly int64_t sink_errors
    cdef readonly int64_t discarded             # data frames that came after the end
    cdef readonly Py_ssize_t max_message_bytes
    cdef readonly double close_timeout_s

    cdef MessageSink _sink
    cdef WSTransport _transport
    cdef FrameWriter _writer
    cdef object _loop
    cdef object _on_sink_error
    cdef str _peer
    cdef bint _validate_utf8
    cdef bint _ended                # nothing more is delivered, nothing more may be sent
    cdef bint _at_read_start
    cdef int64_t _read_ts_ns

    cdef Assembly _message
    cdef Inflater _inflater         # None: compression was not agreed
    cdef Deflater _deflater         # None: we send nothing compressed
    cdef bint _is_compressed        # the message that is open

    cdef object _ending             # Ending
    cdef bint _close_sent
    cdef int _breach_code           # of a frame that picows could not parse
    cdef str _breach_text
    cdef object _timer
    cdef object _pings              # WaitingPings
    cdef bytes _owed_pong
    cdef Py_ssize_t _lookahead_room

    cdef int send(self, bint is_text, object payload) except -1

    cdef int _on_data(self, WSFrame frame) except -1
    cdef int _deliver(self, const char* data, Py_ssize_t size, bint is_text) except -1
    cdef int _sink_failed(self) except -1
    cdef int _on_frame_after_end(self, WSFrame frame) except -1
    cdef int _on_other(self, WSFrame frame) except -1
    cdef int _on_fragment(self, WSFrame frame) except -1
    cdef int _add_inflated(self, WSFrame frame) except -1
    cdef int _add(self, const char* data, Py_ssize_t size, bint last) except -1
    cdef int _on_ping(self, bytes payload) except -1
    cdef int _answer_ping(self, bytes payload) except -1
    cdef int _on_pong(self, bytes payload) except -1
    cdef int _on_close(self, WSFrame frame) except -1
    cdef int _fail(self, int code, str text) except -1
    cdef int _send_close(self, bytes payload) except -1
    cdef int _arm(self, double delay_s, str text) except -1
    cdef int _check_open(self) except -1
    cdef Py_ssize_t _room(self) except -1
