# distutils: language = c++
"""The decoder: bytes of one message in, typed events out.

A message takes the fastest path that can read it exactly; any doubt hands it to the
next one: shapes learned from earlier messages, simdjson On-Demand in any key order,
and at last a ``DecodeError`` event with the raw bytes. All paths give the same events.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free
from libcpp.string_view cimport string_view

from cexnet_core._fill cimport *
from cexnet_core._kernel cimport *
from cexnet_core._reuse cimport CHECKS_READS, is_free, may_read_on, padded_copy, release
from cexnet_core._load cimport MAX_TEXTS, load_defaults, load_message, load_nodes, load_target
from cexnet_core.events cimport *

from cexnet_core.decoded import DecodeCounters, EventBatch
from cexnet_core.errors import ConfigurationError, SchemaError
from cexnet_core.faults import describe
from cexnet_core.layout import COMMON, EVENTS, KIND_NAMES
from cexnet_core.plan import ANY_OTHER, SIDE_SIGNS, compile_plan
from cexnet_core.schema import WireSchema

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    PyObject* PyList_GET_ITEM(PyObject* items, Py_ssize_t index) nogil
    Py_ssize_t PyList_GET_SIZE(PyObject* items) nogil

cdef enum:
    HUGE_MESSAGE = 1 << 20          # bytes; scratch memory is given back after one
    MOST_SHAPES = 1024              # each costs at most 20 kB
    MAX_CHANNELS = 1024             # unknown channels that are counted by name
    MAX_CHANNEL_TEXT = 64           # characters of a channel's name that are kept

OTHER_CHANNELS = "(others)"


cdef inline Kernel* kernel_of(Decoder decoder) noexcept:
    return <Kernel*>decoder.kernel


cdef inline void delete_kernel(Kernel* kernel) noexcept:
    del kernel


cdef inline string_view view(bytes text) noexcept:
    return string_view(PyBytes_AS_STRING(text), <size_t>PyBytes_GET_SIZE(text))


def simd_path() -> str:
    """How shapes are matched on this processor: ``avx2`` or ``portable`` (64-bit registers)."""
    return "avx2" if has_avx2() else "portable"


def ondemand_path() -> str:
    """The implementation that simdjson chose for this processor, as ``haswell``."""
    return ondemand_implementation().decode()


@cython.final
cdef class Decoder:
    """Decodes the messages of one connection kind.

    ``symbols`` may be shared between decoders. ``exact`` also keeps each decimal as
    mantissa and scale. ``max_shapes`` bounds the shapes that are remembered; 0 sends
    every message down the On-Demand path. ``simd=False`` scans with 64-bit registers
    where AVX2 would serve. Raises ``SchemaError`` when the schema is wrong and
    ``ConfigurationError`` for other arguments. A decoder belongs to one thread.
    """

    # All in __cinit__: Decoder.__new__ must not make one that is half built.
    def __cinit__(
        self, schema, *, SymbolTable symbols=None, bint exact=False, int max_shapes=64, bint simd=True
    ):
        if not 0 <= max_shapes <= MOST_SHAPES:
            raise ConfigurationError(f"max_shapes must be 0 to {MOST_SHAPES}, not {max_shapes}")
        if not isinstance(schema, WireSchema):
            raise ConfigurationError(f"schema must be a WireSchema, not {type(schema).__name__}")
        self.kernel = new Kernel(exact, <size_t>max_shapes, simd)
        self.schema = schema
        self.symbols = SymbolTable() if symbols is None else symbols
        self.exact = exact
        self.unknown_channels = {}
        self.fields = []
        self.texts = []
        self.text_ids = {}
        self.passing = []
        self.tables = {}
        json = compile_plan(schema, schema.json, 0, False)
        protobuf = compile_plan(schema, schema.protobuf, len(schema.json), True)
        cdef size_t most = <size_t>len(json.messages) + <size_t>len(protobuf.messages) + 1
        self.kinds = <EventKind*>calloc(most, sizeof(EventKind))
        if self.kinds == NULL:
            raise MemoryError()
        self.load(&kernel_of(self).json, json)
        self.load(&kernel_of(self).protobuf, protobuf)
        self.has_protobuf = len(protobuf.messages) > 0
        kernel_of(self).finish()
        if schema.also:
            if self.has_protobuf:
                raise SchemaError(f"schema {schema.name!r}: also is for schemas without protobuf")
            beside = WireSchema(f"{schema.name}, also", json=schema.also)
            self.also = Decoder(beside, symbols=self.symbols, exact=exact, max_shapes=max_shapes, simd=simd)

    def __dealloc__(self):
        release(&self.scratch)
        free(self.kinds)
        delete_kernel(<Kernel*>self.kernel)

    cdef int load(self, void* into, object plan) except -1:
        cdef KernelSchema* schema = <KernelSchema*>into
        cdef KernelMessage* message
        cdef int slot
        load_nodes(schema, plan)
        for item in plan.messages:
            message = load_message(schema, len(self.fields), item)
            load_defaults(message, {**COMMON, **EVENTS[item.event]}.values())
            for slot, type_, value in item.constants:
                message.defaults[slot].integer = self.value_of(type_, value)
            for number, target in enumerate(item.targets):
                self.load_field(message, number, target)
            self.fields.append((item.event, [*item.targets, *item.levels]))
            self.kinds[len(self.fields) - 1] = <EventKind><int>KIND_NAMES.index(item.event)
        return 0

    cdef int load_field(self, void* message, int number, object item) except -1:
        cdef TextTable* table = NULL
        cdef bint interns = False
        cdef Type type
        if item.values is not None:
            type = Type.mapped
            table = kernel_of(self).new_table(len(item.values))
            for text, value in item.values.items():
                if text == ANY_OTHER:
                    table.other = self.value_of(item.type, value)
                else:
                    encoded = text.encode()
                    table.add(view(encoded), self.value_of(item.type, value))
        elif item.type in ("symbol", "name"):
            type = Type.interned
            interns = True
            key = (item.type, item.normalize)
            if key not in self.tables:
                self.tables[key] = <size_t>kernel_of(self).new_table(MAX_TEXTS)
            table = <TextTable*><size_t>self.tables[key]
        else:
            type = {
                "decimal": Type.decimal, "integer": Type.integer, "time": Type.time,
            }.get(item.type, Type.text)
        return load_target(<KernelMessage*>message, number, item, type, table, interns)

    cdef int64_t value_of(self, str type_, object value) except? -2:
        if type_ == "side":
            return SIDE_SIGNS[value]
        if type_ == "name":
            return self.text_id(value)
        if type_ == "symbol":
            return self.symbols.intern(value)
        return int(value)

    cdef int64_t text_id(self, str text) except -2:
        found = self.text_ids.get(text)
        if found is None:
            found = self.text_ids[text] = len(self.texts)
            self.texts.append(text)
        return found

    # ---- Python entry points

    @cython.binding(False)
    def decode(self, payload, is_text=None):
        """The event of one message, or an ``EventBatch`` when it carries several.

        ``payload`` is bytes, bytearray, memoryview or str. ``is_text`` tells a text
        frame from a binary one; by default bytes are JSON when they look like it or
        when the schema has no protobuf messages. Bad input gives a ``DecodeError``
        event. Raises ``TypeError`` for other types.
        """
        cdef Py_ssize_t size
        cdef const char* data
        cdef bint text = is_text is True
        if type(payload) is bytes:
            data = PyBytes_AS_STRING(payload)
            size = PyBytes_GET_SIZE(payload)
        elif isinstance(payload, str):
            try:
                data = PyUnicode_AsUTF8AndSize(payload, &size)
                text = True
            except UnicodeEncodeError:
                return self.decode(payload.encode("utf-8", "surrogatepass"), True)
        else:
            return self.decode(bytes(memoryview(payload)), is_text)
        if CHECKS_READS or not may_read_on(data, size):
            data = padded_copy(&self.scratch, data, size)
        cdef int count = self.resolve(data, size, text)
        cdef object decoded
        if count == 1 and self.also is None:
            decoded = self.event(0)
        elif count < 0:
            decoded = self.odd()
        else:
            decoded = self.batch(count, data, size)
            decoded = decoded[0] if len(decoded) == 1 else EventBatch(decoded)
        if size > HUGE_MESSAGE:
            self.trim()
        return decoded

    def decode_all(self, payloads, is_text=None):
        """The events of many messages, in order, as one list."""
        cdef list events = []
        for payload in payloads:
            decoded = self.decode(payload, is_text)
            if isinstance(decoded, EventBatch):
                events.extend(decoded)
            else:
                events.append(decoded)
        return events

    @property
    def counters(self):
        """A snapshot of what the decoder has seen, see ``DecodeCounters``."""
        return DecodeCounters(
            shape=self.shape_count,
            ondemand=self.ondemand_count,
            protobuf=self.protobuf_count,
            unknown=self.unknown_count,
            errors=self.error_count,
            text_overflow=self.overflow_count,
            events={name: self.kind_counts[kind] for kind, name in enumerate(KIND_NAMES)},
            shapes=kernel_of(self).shape_count(),
            shape_resets=kernel_of(self).shape_resets,
        )

    # ---- C entry point

    cdef int feed(
        self,
        const char* data,
        Py_ssize_t size,
        bint is_text,
        bint padded,
        int64_t receive_ts_ns,
        int32_t connection_id,
        EventSink sink,
    ) except -1:
        cdef int count
        cdef Event event
        cdef list batch = None
        if not padded and (CHECKS_READS or not may_read_on(data, size)):
            data = padded_copy(&self.scratch, data, size)
        count = self.resolve(data, size, is_text)
        if count == 1 and self.also is None:
            event = self.event(0)
        elif count < 0:
            event = self.odd()
        else:
            # The sink may feed this decoder again: all events are taken out first.
            batch = self.batch(count, data, size)
        if size > HUGE_MESSAGE:
            self.trim()
        if batch is not None:
            for event in batch:
                event.receive_ts_ns = receive_ts_ns
                event.connection_id = connection_id
                sink.on_event(event)
            return 0
        event.receive_ts_ns = receive_ts_ns
        event.connection_id = connection_id
        return sink.on_event(event)

    cdef int trim(self) except -1:
        # Gives back the memory that a huge message took.
        kernel_of(self).trim()
        release(&self.scratch)
        return 0

    cdef int resolve(self, const char* data, Py_ssize_t size, bint is_text) except -2:
        # Number of events in the records, or -1: odd() has the one event to deliver.
        cdef Kernel* kernel = kernel_of(self)
        cdef bint is_protobuf = self.has_protobuf and not is_text
        if is_protobuf and size > 0 and (data[0] == c"{" or data[0] == c"["):
            is_protobuf = False     # as protobuf these would be groups, which nobody sends
        self.data = data
        self.size = size
        cdef Outcome outcome = Outcome.unknown
        if not is_protobuf:
            outcome = kernel.match(data, <size_t>size)
            while outcome == Outcome.new_text and self.intern(&kernel.records.missing, False):
                outcome = kernel.match(data, <size_t>size)
            if outcome == Outcome.decoded:
                self.shape_count += 1
                return kernel.records.count
        return self.resolve_slowly(data, size, is_protobuf)

    cdef int resolve_slowly(self, const char* data, Py_ssize_t size, bint is_protobuf) except -2:
        cdef Kernel* kernel = kernel_of(self)
        self.passing.clear()
        self.trouble = None
        cdef Outcome outcome = kernel.walk(data, <size_t>size, is_protobuf)
        while outcome == Outcome.new_text:
            if not self.intern(kernel.missing(), True):
                outcome = Outcome.failed
                break
            outcome = kernel.resume()
        self.outcome = <int>outcome
        if outcome != Outcome.decoded:
            return -1
        if is_protobuf:
            self.protobuf_count += 1
        else:
            self.ondemand_count += 1
            kernel.learn(data, <size_t>size)
        return kernel.records.count

    cdef int intern(self, const void* what, bint may_pass) except -1:
        # Gives a new text its id; `may_pass` also one for this message alone. Returns 0 when
        # it got none: no room, or the schema's normalize failed (then self.trouble says why).
        cdef const MissingText* missing = <const MissingText*>what
        cdef TextTable* table = missing.target.table
        cdef string_view wire = missing.text
        cdef bint is_kept = wire.size() <= MAX_INTERNED_TEXT and not table.full()
        cdef int64_t value
        if not is_kept and not may_pass:
            return 0
        item = self.fields[missing.message][1][missing.target.field]
        cdef str text = PyUnicode_DecodeUTF8(wire.data(), <Py_ssize_t>wire.size(), NULL)
        if item.normalize is not None:
            try:
                text = item.normalize(text)
            except Exception as error:
                self.trouble = f"normalize of {item.into!r} failed on {text[:40]!r}: {error!r}"
                return 0
        if is_kept:
            value = self.symbols.intern(text) if item.type == "symbol" else self.text_id(text)
            if value >= 0:
                table.add(wire, value)
                return 1
        if not may_pass:
            return 0
        self.overflow_count += 1
        self.passing.append(text)
        table.add_passing(wire, -1 - <int64_t>len(self.passing))
        return 1

    cdef list batch(self, int count, const char* data, Py_ssize_t size):
        # The events of a decoded message, and those that a second reading finds in it.
        cdef list events = [self.event(i) for i in range(count)]
        cdef Event event
        if self.also is None:
            return events
        count = self.also.resolve(data, size, True)
        cdef list more = [self.also.event(i) for i in range(count)]
        if count < 0 and self.also.outcome != <int>Outcome.unknown:
            more.append(self.also.odd())
            self.error_count += 1
        for event in more:
            event.message_id += <int>len(self.fields) if event.message_id >= 0 else 0
            self.kind_counts[<int>event.kind] += 1
        return events + more

    cdef Event event(self, int index):
        cdef Kernel* kernel = kernel_of(self)
        cdef Record* record = &kernel.records.data()[index]
        cdef const Slot* slots = record.slots
        cdef int message_id = kernel.records.id
        cdef EventKind kind = self.kinds[message_id]
        cdef Event event
        if kind == BOOK_TICKER:
            if not is_free(<PyObject*>self.ticker):
                self.ticker = blank(BookTicker.__new__(BookTicker), kind)
            fill_ticker(self.ticker, slots)
            event = self.ticker
        elif kind == TRADE:
            if not is_free(<PyObject*>self.trade):
                self.trade = blank(Trade.__new__(Trade), kind)
            fill_trade(self.trade, slots)
            self.trade.long_id = None
            if slots[FIRST + 3].extra > INLINE_ID:
                self.trade.long_id = slot_text(&slots[FIRST + 3])
            event = self.trade
        elif kind == DEPTH_UPDATE:
            if not is_free(<PyObject*>self.update):
                self.update = blank(DepthUpdate.__new__(DepthUpdate), kind)
            fill_depth(self.update, record)
            event = self.update
        elif kind == DEPTH_SNAPSHOT:
            if not is_free(<PyObject*>self.snapshot):
                self.snapshot = blank(DepthSnapshot.__new__(DepthSnapshot), kind)
            fill_depth(self.snapshot, record)
            event = self.snapshot
        elif kind == CANDLE:
            if not is_free(<PyObject*>self.candle):
                self.candle = blank(Candle.__new__(Candle), kind)
            fill_candle(self.candle, slots)
            self.candle.interval = text_of(slots[FIRST + 8].integer, self.texts, self.passing)
            event = self.candle
        else:
            event = self.rare_event(kind, slots)
        if self.exact:
            if event.exact_fields is None:
                event.exact_fields = ExactFields.__new__(ExactFields)
            fill_exact(event.exact_fields, slots)
        cdef int64_t symbol_id = slots[0].integer
        if 0 <= symbol_id < PyList_GET_SIZE(<PyObject*>self.symbols.names):
            event.symbol_id = <int32_t>symbol_id
            event.symbol = <str>PyList_GET_ITEM(<PyObject*>self.symbols.names, symbol_id)
        else:
            event.symbol_id = -1
            event.symbol = <str>self.passing[-2 - symbol_id] if symbol_id < -1 else ""
        event.message_id = message_id
        event.exchange_ts_ns = slots[1].integer
        event.sequence = slots[2].integer
        event.receive_ts_ns = -1
        event.connection_id = -1
        self.kind_counts[<int>kind] += 1
        return event

    cdef Event rare_event(self, EventKind kind, const void* record_slots):
        cdef const Slot* slots = <const Slot*>record_slots
        if kind == ORDER_UPDATE:
            return make_order(slots, self.texts, self.passing)
        if kind == FILL:
            return make_fill(slots, self.texts, self.passing)
        if kind == BALANCE_UPDATE:
            return make_balance(slots, self.texts, self.passing)
        payload = PyBytes_FromStringAndSize(self.data, self.size)
        if kind == SUBSCRIPTION_ACK:
            return make_ack(slots, payload)
        return make_pong(payload)

    cdef Event odd(self):
        # The event of a message that was not decoded.
        cdef bytes payload = PyBytes_FromStringAndSize(self.data, self.size)
        cdef Event event
        if self.outcome == <int>Outcome.unknown:
            event = make_raw(self.count_channel(), payload)
            self.unknown_count += 1
        else:
            event = make_error(self.trouble if self.trouble is not None else self.reason(), payload)
            self.error_count += 1
        self.kind_counts[<int>event.kind] += 1
        return event

    cdef str count_channel(self):
        cdef string_view found = kernel_of(self).channel()
        cdef str channel = PyUnicode_DecodeUTF8(found.data(), <Py_ssize_t>found.size(), "replace")
        name = channel[:MAX_CHANNEL_TEXT]
        if name not in self.unknown_channels and len(self.unknown_channels) >= MAX_CHANNELS:
            name = OTHER_CHANNELS
        self.unknown_channels[name] = self.unknown_channels.get(name, 0) + 1
        return channel

    cdef str reason(self):
        cdef const Problem* problem = kernel_of(self).problem()
        if problem.message < 0:
            return describe(<int>problem.fault, problem.detail, "", "", "")
        event, fields = self.fields[kernel_of(self).records.id]
        if problem.field < 0:
            return describe(<int>problem.fault, problem.detail, event, "", "")
        item = fields[problem.field]
        return describe(<int>problem.fault, problem.detail, event, item.into, item.path)
