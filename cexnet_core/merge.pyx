"""What the router keeps of a stream that arrives on several connections at once.

The *members* of a stream are the connections known to bring all of it from where the
merged stream stands: what a member brings first is delivered, what it brings second is
redundant. A connection that is ahead of the merged stream (it has just joined, or lost
something on its way) is no member: its events wait here until the members have caught
up with it, so that nothing between is lost. All bounds are fixed numbers.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from cexnet_core._sequence cimport DELIVER, GAP, RULE_NONE, Verdict
from cexnet_core.events cimport (
    BOOK_TICKER, CANDLE, DEPTH_UPDATE, FILL, ORDER_UPDATE, TRADE,
    BalanceUpdate, BookTicker, Candle, DepthUpdate, Event, Fill, OrderUpdate, Trade, is_account,
)
from cexnet_core.stream cimport NOBODY, Stream, StreamSink, judge_depth

# Where an event stands in the merged stream.
cdef enum:
    SEEN                # delivered before
    NEXT                # not delivered yet
    LATE                # not delivered, but later ones were
    AHEAD               # something before it is missing
    FOREIGN             # nothing tells it apart, and another connection brings the stream

# A connection that lags reads what has piled up within milliseconds, not for so long.
cdef int64_t RESTART_NS = 5_000_000_000

# Odd multipliers of SplitMix64 (Steele, Lea, Flood: "Fast Splittable PRNGs", 2014).
cdef uint64_t MIX_1 = 0xBF58476D1CE4E5B9
cdef uint64_t MIX_2 = 0x94D049BB133111EB


cdef class Merge:
    """State of one merged stream. Made by a Router."""

    def __init__(self):
        raise TypeError("a Merge is made by a Router")

    cdef bint has(self, int32_t connection) noexcept nogil:
        cdef int i
        for i in range(self.count):
            if self.members[i] == connection:
                return True
        return False

    cdef bint join(self, int32_t connection) noexcept nogil:
        """Make it a member. False: there are too many, and it stays outside."""
        if self.has(connection):
            return True
        if self.count == MEMBERS:
            return False
        self.members[self.count] = connection
        self.count += 1
        return True

    cdef void part(self, int32_t connection) noexcept nogil:
        cdef int i, kept = 0
        for i in range(self.count):
            if self.members[i] != connection:
                self.members[kept] = self.members[i]
                kept += 1
        self.count = kept

    cdef int hold(self, Event event) except -1:
        if self.held_count == 0:
            self.held_since_ns = event.receive_ts_ns
        self.held.setdefault(event.connection_id, []).append(event)
        self.held_count += 1
        return 0

    cdef list take(self, int32_t connection):
        """The events of a connection that wait, now no longer held."""
        cdef list events = self.held.pop(connection, [])
        self.held_count -= len(events)
        return events

    cdef int remember(self, int64_t identity) except -1:
        if len(self.recent) == RECENT:
            self.recent.pop(self.ring[self.next_slot], None)
        self.recent[identity] = self.newest
        self.ring[self.next_slot] = identity
        self.next_slot = (self.next_slot + 1) % RECENT
        return 0

    cdef bint has_others(self, int32_t connection) noexcept nogil:
        return self.count > (1 if self.has(connection) else 0)

    cdef bint is_settled(self) noexcept nogil:
        """Whether nothing is to be merged now: nothing waits, and the newest event came from
        the only member, so that what it brings next is new."""
        if self.held_count or self.has_foreign:
            return False
        return self.count == 0 or self.count == 1 and self.members[0] == self.newest

    cdef int leave(self, int32_t connection) except -1:
        """The connection has ended."""
        cdef Stream stream = self.stream
        self.has_foreign = False
        self.part(connection)
        if self.count:
            # The members bring, or have brought, what it held: it was only ahead of them.
            stream.redundant += len(self.take(connection))
        while True:
            self._settle()
            self.part(connection)
            if self.count or self.held_count == 0:
                return 0

    cdef int release_overdue(self, int64_t now_ns, int64_t patience_ns) except -1:
        """Stop waiting for members that do not bring what is missing."""
        if self.held_count and (
            self.held_count >= HELD or now_ns - self.held_since_ns > patience_ns
        ):
            self.count = 0
            self._settle()
        return 0

    cdef int arbitrate(self, Event event, int64_t patience_ns) except -1:
        cdef Stream stream = self.stream
        cdef int32_t connection = event.connection_id
        cdef int place
        cdef bint is_member
        self.release_overdue(event.receive_ts_ns, patience_ns)
        is_member = self.has(connection)
        place = self._place(event)
        if place == FOREIGN:
            self.has_foreign = True
            stream.redundant += 1
        elif place == SEEN:
            if self.newest == connection:
                stream.duplicates += 1
            else:
                stream.redundant += 1
            if not is_member and self.join(connection):
                stream.redundant += len(self.take(connection))  # older still
            self._watch_restart(event)
        elif place == LATE:
            self._pass(event)
        elif place == NEXT and (is_member or stream.kind == DEPTH_UPDATE and connection not in self.held):
            self.join(connection)
            self._pass(event)
            self._settle()
        else:
            if place == AHEAD:
                self.part(connection)
            self.hold(event)
            self._settle()
        return 0

    cdef int _watch_restart(self, Event event) except -1:
        """Old events alone, for a while, from the only connection: the exchange counts anew."""
        cdef Stream stream = self.stream
        cdef int64_t start = -1
        if self.count != 1 or self.held_count:
            return 0
        if self.stale_since_ns < 0:
            self.stale_since_ns = event.receive_ts_ns
        elif event.receive_ts_ns - self.stale_since_ns > RESTART_NS:
            if event.kind == DEPTH_UPDATE:
                # Two below its beginning, so that the book's update counts as one after a gap.
                start = (<DepthUpdate>event).first_sequence
                if 0 <= (<DepthUpdate>event).prev_sequence < start or start < 0:
                    start = (<DepthUpdate>event).prev_sequence
                start = max(start - 2, -1)
            stream.go_on_after(start)
            self.recent.clear()
            self._pass(event)
        return 0

    cdef int _place(self, Event event) except -1:
        cdef Stream stream = self.stream
        cdef uint8_t rule = self.sink.rule_of(stream, event)
        cdef Verdict verdict
        cdef int64_t identity
        cdef bint is_ordered
        if event.kind == DEPTH_UPDATE and rule != RULE_NONE and event.sequence >= 0:
            verdict = judge_depth(stream, <DepthUpdate>event, rule)
            return NEXT if verdict == DELIVER else AHEAD if verdict == GAP else SEEN
        identity = identity_of(event, &is_ordered)
        if identity < 0:
            return NEXT if self.count == 0 or self.members[0] == event.connection_id else FOREIGN
        if is_ordered and not self.is_unordered:
            if identity > stream.seen.last:
                return NEXT
            if stream.seen.gap_first <= identity <= stream.seen.gap_last:
                return LATE
            if identity == stream.seen.last or self.newest != event.connection_id:
                return SEEN
            if event.kind != TRADE:
                return LATE
            self.is_unordered = True  # one connection brings ids that do not grow
        brought_by = self.recent.get(identity)
        if brought_by is None:
            return NEXT
        # An account or a book may come back to where it was in the same millisecond: what its
        # own connection tells twice has happened twice.
        if brought_by == event.connection_id and (is_account(event.kind) or event.kind == BOOK_TICKER):
            return NEXT
        return SEEN

    cdef int _pass(self, Event event) except -1:
        """Deliver an event of a merged stream and remember that it was."""
        cdef Stream stream = self.stream
        cdef bint is_ordered
        cdef int64_t identity = identity_of(event, &is_ordered)
        self.newest = event.connection_id
        self.stale_since_ns = -1
        if identity >= 0 and stream.kind != DEPTH_UPDATE:
            if is_ordered and stream.seen.gap_first <= identity <= stream.seen.gap_last:
                stream.seen.gap_first = identity + 1
            if stream.kind == TRADE or not is_ordered:
                self.remember(identity)
            if stream.kind == TRADE and is_ordered:
                if identity < stream.seen.last:
                    stream.reorders += 1
                else:
                    stream.seen.last = identity
        return self.sink.accept(stream, event)

    cdef int _settle(self) except -1:
        """Deliver what waited and has been caught up with, or that nobody can fill up."""
        cdef bint is_moving = True
        cdef Py_ssize_t start
        while self.held_count and is_moving:
            is_moving = False
            if self.count == 0:
                connection = self._earliest()
                self.join(connection)
                self._pass_held(connection, 0, True)
                is_moving = True
                continue
            for connection in list(self.held):
                start = self._reached(self.held.get(connection, []))
                if start >= 0 and self.join(connection):
                    self._pass_held(connection, start, False)
                    is_moving = True
        return 0

    cdef int32_t _earliest(self) except? -1:
        """The connection whose waiting events begin first."""
        cdef int64_t rank, least = 0
        found = None
        for connection, events in self.held.items():
            rank = _rank(<Event>events[0])
            if found is None or rank < least:
                found, least = connection, rank
        return found

    cdef Py_ssize_t _reached(self, list events) except -2:
        """How many of a connection's waiting events the merged stream has passed; -1: none."""
        cdef Py_ssize_t index, start = -1
        cdef int place
        for index in range(len(events)):
            place = self._place(<Event>events[index])
            if place == SEEN:
                start = index + 1
            elif self.stream.kind == DEPTH_UPDATE:
                return 0 if index == 0 and place == NEXT else start
        return start

    cdef int _pass_held(self, int32_t connection, Py_ssize_t start, bint is_forced) except -1:
        cdef Stream stream = self.stream
        cdef list events = self.take(connection)
        cdef Py_ssize_t index
        cdef int place
        cdef int64_t identity
        stream.redundant += start
        for index in range(start, len(events)):
            place = self._place(<Event>events[index])
            if place == SEEN:
                stream.redundant += 1
            elif place == AHEAD and not (is_forced and index == start):
                self.part(connection)
                for event in events[index:]:
                    self.hold(event)
                return 0
            else:
                identity = _rank(<Event>events[index])
                if is_forced and index == start and stream.kind != DEPTH_UPDATE and stream.seen.last >= 0:
                    stream.seen.gap_first = stream.seen.last + 1
                    stream.seen.gap_last = identity - 1
                self._pass(<Event>events[index])
        return 0


cdef Merge new_merge(StreamSink sink, Stream stream):
    """Start to merge a stream that came on one connection so far, which may have ended."""
    cdef Merge merge = Merge.__new__(Merge)
    cdef bint is_ordered
    cdef int64_t identity
    merge.sink = sink
    merge.stream = stream
    merge.stale_since_ns = -1
    merge.newest = -1
    if stream.owner != NOBODY:
        merge.newest = <int32_t>stream.owner
        merge.join(merge.newest)
    merge.held = {}
    merge.recent = {}
    if stream.kind == TRADE and stream.last_id_length:
        identity = identity_of_id(stream.last_id, stream.last_id_length, &is_ordered)
        merge.remember(identity)
        stream.seen.last = identity if is_ordered else -1
    elif stream.last_content != 0:
        merge.remember(stream.last_content)
    return merge


cdef inline uint64_t mixed(uint64_t value, uint64_t more) noexcept nogil:
    value = (value ^ more) * MIX_1
    value = (value ^ (value >> 31)) * MIX_2
    return value ^ (value >> 29)


cdef inline uint64_t bits(double number) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, &number, sizeof(value))
    return value


cdef int64_t _number(const char* text, int length) noexcept nogil:
    """The decimal number that a text is, -1 when it is none or too large."""
    cdef int64_t value = 0
    cdef int i
    if not 0 < length <= 18:
        return -1
    for i in range(length):
        if not c'0' <= text[i] <= c'9':
            return -1
        value = 10 * value + (text[i] - c'0')
    return value


cdef int64_t identity_of_id(const char* text, int length, bint* is_ordered) noexcept nogil:
    """Identity of a trade with this id: the number that it is, else a hash."""
    cdef int64_t number = _number(text, length)
    cdef uint64_t value = <uint64_t>length
    cdef int i
    is_ordered[0] = number >= 0
    if number >= 0:
        return number
    for i in range(length):
        value = mixed(value, <uint64_t><unsigned char>text[i])
    return <int64_t>(value >> 1)


cdef uint64_t content_of(Event event) except? 0:
    """The content of an account's event, as every connection brings it."""
    cdef OrderUpdate order
    cdef Fill fill
    cdef BalanceUpdate balance
    cdef uint64_t value = <uint64_t>event.exchange_ts_ns
    if event.kind == ORDER_UPDATE:
        order = <OrderUpdate>event
        value = mixed(mixed(value, <uint64_t>hash(order.order_id)), <uint64_t>hash(order.status))
        value = mixed(mixed(value, bits(order.price)), bits(order.quantity))
        return mixed(value, bits(order.filled_quantity))
    if event.kind == FILL:
        fill = <Fill>event
        value = mixed(mixed(value, <uint64_t>hash(fill.trade_id)), <uint64_t>hash(fill.order_id))
        return mixed(mixed(value, bits(fill.price)), bits(fill.size))
    balance = <BalanceUpdate>event
    value = mixed(mixed(value, <uint64_t>hash(balance.asset)), bits(balance.free))
    return mixed(mixed(value, bits(balance.locked)), bits(balance.total))


cdef int64_t identity_of(Event event, bint* is_ordered) except? -1:
    """What tells this event from the others of its stream; -1: nothing does.

    ``is_ordered``: identities grow from one event to the next. A trade is told by its id,
    a candle by its period and its content, an event of the account and a book ticker
    that has a time and no sequence by time and content, everything else by its sequence. A hash
    of 63 bits: an event is taken for one of the newest 1,024 by chance once in 10**15.
    """
    cdef Trade trade
    cdef Candle candle
    cdef BookTicker ticker
    cdef uint64_t value
    is_ordered[0] = True
    if event.kind == TRADE:
        trade = <Trade>event
        if trade.long_id is not None:
            value = <uint64_t>hash(trade.long_id)
        elif trade.id_length:
            return identity_of_id(trade.id_text, trade.id_length, is_ordered)
        else:
            return event.sequence
    elif event.kind == CANDLE:
        candle = <Candle>event
        value = mixed(<uint64_t>candle.open_ts_ns, <uint64_t>hash(candle.interval))
        value = mixed(mixed(value, bits(candle.volume)), bits(candle.close))
        value = mixed(mixed(value, bits(candle.high)), bits(candle.low))
        value = mixed(mixed(value, bits(candle.quote_volume)), candle.is_closed)
    elif is_account(event.kind):
        value = content_of(event)
    elif event.kind == BOOK_TICKER and has_content_only(event):
        ticker = <BookTicker>event
        value = mixed(<uint64_t>event.exchange_ts_ns, bits(ticker.bid_price))
        value = mixed(mixed(value, bits(ticker.bid_size)), bits(ticker.ask_price))
        value = mixed(value, bits(ticker.ask_size))
    else:
        return event.sequence
    is_ordered[0] = False
    return <int64_t>(value >> 1)


cdef int64_t identity_of_content(Event event) except? -1:
    cdef bint is_ordered
    return identity_of(event, &is_ordered)


cdef int64_t _rank(Event event) except? -1:
    """Which of several events is the earliest, where that can be told."""
    cdef bint is_ordered
    cdef int64_t identity = identity_of(event, &is_ordered)
    return identity if is_ordered else 0
