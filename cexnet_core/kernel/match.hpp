// Matching a message against the shape tree. Included once an instruction set, inside its
// namespace, after scan.hpp and one of scan_avx2.hpp and scan_portable.hpp.
//
// Any doubt fails the match, and the message takes the On-Demand path. No function here reads
// more than 64 bytes past the end of the message.

static const char* read_decimal(const char* at, const char* end, Slot* slot) {
    Number number;
    if (!read_number(at, end, &number) || !keep_decimal(number, slot)) return nullptr;
    return at + number.length;
}

static const char* skip_number(const char* at, const char* end) {
    Number number;
    const char* start = at;
    if (read_number(at, end, &number)) {
        at += number.length;
        if (at <= end && *at != 'e' && *at != 'E') return at;
    }
    // Exponents, and numbers of any length: digit by digit.
    at = start;
    if (at < end && *at == '-') at++;
    const char* first = at;
    while (at < end && is_digit(*at)) at++;
    if (at == first || (at - first > 1 && *first == '0')) return nullptr;
    if (at < end && *at == '.') {
        first = ++at;
        while (at < end && is_digit(*at)) at++;
        if (at == first) return nullptr;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+')) at++;
        first = at;
        while (at < end && is_digit(*at)) at++;
        if (at == first) return nullptr;
    }
    return at;
}

static const char* skip_word(const char* at, const char* end, const char* word, ptrdiff_t length) {
    return end - at >= length && memcmp(at, word, size_t(length)) == 0 ? at + length : nullptr;
}

// A string, number or literal of an accepted kind; nullptr for anything else.
static inline const char* skip_scalar(const char* at, const char* end, uint8_t kinds) {
    if (at >= end) return nullptr;
    switch (*at) {
    case '"':
        at = kinds & STRING ? find_quote(at + 1, end) : nullptr;
        return at == nullptr ? nullptr : at + 1;
    case 't':
        return kinds & BOOLEAN ? skip_word(at, end, "true", 4) : nullptr;
    case 'f':
        return kinds & BOOLEAN ? skip_word(at, end, "false", 5) : nullptr;
    case 'n':
        return kinds & NULL_ ? skip_word(at, end, "null", 4) : nullptr;
    default:
        return kinds & NUMBER ? skip_number(at, end) : nullptr;
    }
}

// An array or object in compact form, checked to the last byte.
static const char* skip_container(const char* at, const char* end) {
    uint32_t objects = 0; // one bit a level: 1 object, 0 array
    int depth = 0;
    for (;;) {
        // A value starts here.
        if (at >= end) return nullptr;
        bool opens = *at == '{' || *at == '[';
        if (opens) {
            if (++depth > MAX_SKIP_DEPTH) return nullptr;
            objects = objects << 1 | (*at == '{');
            at++;
            if (at >= end) return nullptr;
        } else if ((at = skip_scalar(at, end, ANY)) == nullptr) {
            return nullptr;
        }
        if (!opens || *at == (objects & 1 ? '}' : ']')) {
            while (at < end && *at == (objects & 1 ? '}' : ']')) {
                at++;
                objects >>= 1;
                if (--depth == 0) return at;
            }
            if (at >= end || *at != ',') return nullptr;
            at++;
        }
        if (objects & 1) {
            if (at >= end || *at != '"' || (at = find_quote(at + 1, end)) == nullptr) return nullptr;
            if (++at >= end || *at != ':') return nullptr;
            at++;
        }
    }
}

static __attribute__((noinline)) const char* skip_value(const char* at, const char* end, uint8_t kinds) {
    if (at < end && *at == '{') return kinds & OBJECT ? skip_container(at, end) : nullptr;
    if (at < end && *at == '[') return kinds & ARRAY ? skip_container(at, end) : nullptr;
    return skip_scalar(at, end, kinds);
}

static inline void keep_exact(LevelBuffer& side, size_t index, const Number& number) {
    side.mantissas[index] = number.negative ? -int64_t(number.mantissa) : int64_t(number.mantissa);
    side.scales[index] = int8_t(number.scale);
}

// One level in any form that was learned; `from` is the first piece that is still to be read.
static const char* read_pieces(
    const LevelForm& form, size_t from, const char* at, const char* end, LevelBuffer& side, bool exact
) {
    const Piece* pieces = form.pieces.data();
    for (size_t i = from; i < form.pieces.size(); i++) {
        const Piece& piece = pieces[i];
        if (end - at < piece.length || !same_literal(at, piece.literal, piece.length)) return nullptr;
        at += piece.length;
        if (piece.role == 2) {
            at = skip_value(at, end, ANY);
            if (at == nullptr) return nullptr;
            continue;
        }
        Number number;
        size_t index = size_t(side.count) * 2 + piece.role;
        if (!read_number(at, end, &number) || number.mantissa > uint64_t(INT64_MAX)) return nullptr;
        if (!to_double(number, &side.values[index])) return nullptr;
        if (exact) keep_exact(side, index, number);
        at += number.length;
    }
    if (end - at < form.closing.length) return nullptr;
    return memcmp(at, form.closing.literal, form.closing.length) == 0 ? at + form.closing.length : nullptr;
}

static __attribute__((noinline)) const char* next_level(const char* stop) { return stop + 3; }

// [["price","size"],...] without anything else: the form of most exchanges.
static const char* read_plain_levels(const char* at, const char* end, LevelBuffer& side, bool exact) {
    const uint32_t opening = uint32_t('[') | uint32_t('"') << 8;
    const uint32_t another = uint32_t('"') | uint32_t(']') << 8 | uint32_t(',') << 16;
    const uint32_t last = uint32_t('"') | uint32_t(']') << 8 | uint32_t(']') << 16;
    for (int32_t count = 0;;) {
        if (count >= side.capacity || (exact && side.mantissas == nullptr)) {
            side.count = count;
            if (!side.reserve(int64_t(count) + 1, exact)) return nullptr;
        }
        if ((load32(at) & 0xFFFF) != opening) return nullptr;
        const char* close;
        size_t index = size_t(count) * 2;
        Number numbers[2];
        const char* stop = read_level(at + 2, end, &side.values[index], numbers, &close);
        if (stop == nullptr) return nullptr;
        if (exact) {
            if ((numbers[0].mantissa | numbers[1].mantissa) >> 63) return nullptr;
            keep_exact(side, index, numbers[0]);
            keep_exact(side, index + 1, numbers[1]);
        }
        count++;
        uint32_t after = load32(stop) & 0xFFFFFF;
        if (stop + 3 > end) return nullptr;
        if (after != another) {
            side.count = count;
            side.hint = count + count / 4;
            return after == last ? stop + 3 : nullptr;
        }
        at = close;
        // `close` is ready before `stop` is; the compiler must not take one for the other.
        __asm__("" : "+r"(at));
        if (__builtin_expect(close == stop + 1, 1)) at += 2;
        else at = next_level(stop);
    }
}

static inline const char* read_levels(
    const LevelForm& form, const char* at, const char* end, LevelBuffer& side, bool exact
) {
    side.count = 0;
    if (end - at < 2 || *at != '[') return nullptr;
    if (*++at == ']') return at + 1;
    if (form.pair && form.pieces.size() == 2) return read_plain_levels(at, end, side, exact);
    for (;;) {
        if (side.count >= side.capacity || (exact && side.mantissas == nullptr)) {
            if (!side.reserve(int64_t(side.count) + 1, exact)) return nullptr;
        }
        if (form.pair) {
            if (end - at < 2 || at[0] != '[' || at[1] != '"') return nullptr;
            size_t index = size_t(side.count) * 2;
            const char* close;
            Number numbers[2];
            at = read_level(at + 2, end, &side.values[index], numbers, &close);
            if (at == nullptr || at > end) return nullptr;
            if (exact) {
                if ((numbers[0].mantissa | numbers[1].mantissa) >> 63) return nullptr;
                keep_exact(side, index, numbers[0]);
                keep_exact(side, index + 1, numbers[1]);
            }
        }
        at = read_pieces(form, form.pair ? 2 : 0, at, end, side, exact);
        if (at == nullptr || at >= end) return nullptr;
        side.count++;
        if (*at == ']') {
            side.hint = side.count + side.count / 4;
            return at + 1;
        }
        if (*at++ != ',') return nullptr;
    }
}

// What a table finds is valid between quotes and needs no other check.
static inline const char* read_lookup(
    const Node& node, const char* at, const char* end, Slot& slot, MissingText& missing
) {
    const char* stop = node.quoted ? next_quote(at, end) : skip_scalar(at, end, NUMBER | BOOLEAN);
    if (__builtin_expect(stop == nullptr || stop > end, 0)) return nullptr;
    int64_t value = node.table->find(at, size_t(stop - at));
    if (__builtin_expect(value == NO_VALUE, 0)) {
        // Any other value will do, but it must be a valid one.
        if (node.quoted && find_quote(at, end) != stop) return nullptr;
        value = node.table->other;
        if (node.interns != nullptr) {
            // If the rest matches, the text is learned and the message read again.
            missing = MissingText{{at, size_t(stop - at)}, node.interns, node.message};
        } else if (value == NO_VALUE) {
            return nullptr;
        }
    }
    slot.integer = value;
    return stop;
}

static inline const char* read_text(const Node& node, const char* at, const char* end, Slot& slot) {
    const char* stop = node.quoted ? find_quote(at, end) : skip_scalar(at, end, NUMBER);
    if (stop == nullptr || stop > end) return nullptr;
    slot.text = at;
    slot.extra = stop - at;
    return stop;
}

static inline const char* read_integer(const Node& node, const char* at, const char* end, Slot& slot) {
    Number number;
    number.scale = 0;
    number.negative = false;
    number.length = read_plain_integer(at, &number.mantissa);
    if (__builtin_expect(number.length == 0, 0) && !read_any_number(at, end, &number)) return nullptr;
    bool good = node.op == Op::time ? to_time(number, node.unit_ns, &slot.integer) : to_integer(number, &slot.integer);
    return good ? at + number.length : nullptr;
}

// The place to come back to when a branch of the tree leads nowhere.
struct Choice {
    const char* at;
    int32_t node, record, loop_end, elements;
};

constexpr int MAX_CHOICES = 64; // a message that leaves more of them open is not searched further

static inline void fill_defaults(const Shape& shape, const Message& message, Record& record) {
    for (int slot = 0; slot < shape.defaulted_count; slot++) {
        record.slots[shape.defaulted[slot]].integer = message.defaults[shape.defaulted[slot]].integer;
        record.slots[shape.defaulted[slot]].extra = 0;
        record.slots[shape.defaulted[slot]].scale = -1;
    }
    if (shape.empty_sides & 1) record.sides[0].count = 0;
    if (shape.empty_sides & 2) record.sides[1].count = 0;
}

static __attribute__((noinline)) void complete_loop(
    const Shape& shape, const Message& message, Record* records, int32_t count
) {
    for (int32_t i = 0; i < count; i++) {
        fill_defaults(shape, message, records[i]);
        for (int slot = 0; i > 0 && slot < shape.copied_count; slot++) {
            records[i].slots[shape.copied[slot]] = records[0].slots[shape.copied[slot]];
        }
    }
}

static inline Slot* slot_at(Record* record, uint32_t offset) {
    return reinterpret_cast<Slot*>(reinterpret_cast<char*>(record) + offset);
}

// What a walk down the tree remembers apart from its place.
struct Memory {
    Choice choices[MAX_CHOICES];
    int choice_count = 0;
    int32_t loop_end = -1; // node that ended the first element of the walked array
    int32_t elements = 0;  // of that array, once it is over
};

// The steps that do not belong to the straight way of a ticker. nullptr: no match.
static __attribute__((noinline)) const char* rare_step(
    const Node& node, const LevelForm* forms, const char* from, const char* end, Record* record, const Record* beyond,
    bool exact, const Memory& memory, int32_t index
) {
    Slot* slot = slot_at(record, node.slot_offset);
    switch (node.op) {
    case Op::decimal: return read_decimal(from, end, slot);
    case Op::text: return read_text(node, from, end, *slot);
    case Op::levels: return read_levels(forms[node.extra], from, end, record->sides[node.slot & 1], exact);
    case Op::loop_end:
        // Each element must take the same way as the first: then all fill the same slots.
        if (from >= end || (memory.loop_end >= 0 && memory.loop_end != index)) return nullptr;
        if (*from == ',') return record + 1 < beyond ? from + 1 : nullptr;
        return *from == ']' ? from + 1 : nullptr;
    default: return from;
    }
}

static int32_t match(
    const ShapeTree& tree, const Schema& schema, bool exact, const char* data, const char* end, Records& records
) noexcept {
    const Node* const nodes = tree.nodes.data();
    if (nodes[0].child < 0) return -1;
    const Node* node = nodes + nodes[0].child;
    const char* at = data;
    Record* const all = records.data();
    Record* record = all;
    records.missing.target = nullptr;
    Memory memory;
    for (;;) {
        const char* to = NOWHERE;
        const char* from = at + node->length;
        if (__builtin_expect(same_literal(at, node->literal, node->length) && from <= end, 1)) {
            Slot* slot = slot_at(record, node->slot_offset);
            switch (node->op) {
            case Op::pair:
                to = read_pair(*node, from, end, slot, slot_at(record, node->second_offset), exact);
                break;
            case Op::integer:
            case Op::time: to = read_integer(*node, from, end, *slot); break;
            case Op::lookup: to = read_lookup(*node, from, end, *slot, records.missing); break;
            case Op::skip:
                if (__builtin_expect(*from == '"' && (node->slot & STRING), 1)) {
                    to = find_quote(from + 1, end);
                    if (to != nullptr) to++;
                } else {
                    to = skip_value(from, end, node->slot);
                }
                break;
            case Op::end:
                if (from == end) {
                    const Shape& shape = tree.shapes.data()[node->extra];
                    const Message& message = schema.messages.data()[shape.message];
                    if (__builtin_expect(records.missing.target != nullptr, 0)) return NEW_TEXT;
                    records.message = shape.message;
                    records.id = message.id;
                    if (__builtin_expect(!shape.loops, 1)) {
                        records.count = 1;
                        fill_defaults(shape, message, *all);
                    } else {
                        records.count = memory.elements;
                        complete_loop(shape, message, all, memory.elements);
                    }
                    return node->extra;
                }
                break;
            default:
                to = rare_step(
                    *node, tree.forms.data(), from, end, record, all + records.capacity(), exact, memory,
                    int32_t(node - nodes)
                );
            }
            if (to == nullptr) to = NOWHERE;
        }
        if (__builtin_expect(to <= end, 1)) {
            const Node* next = nodes + node->child;
            if (__builtin_expect(node->special, 0)) {
                if (node->sibling >= 0 && memory.choice_count < MAX_CHOICES) {
                    memory.choices[memory.choice_count++] = Choice{
                        at, node->sibling, int32_t(record - all), memory.loop_end, memory.elements
                    };
                }
                if (node->stay) to = at + node->length;
                if (node->op == Op::loop) memory.loop_end = -1;
                if (node->op == Op::loop_end && to[-1] == ',') {
                    memory.loop_end = int32_t(node - nodes);
                    next = nodes + nodes[node->extra].child;
                    record++;
                } else if (node->op == Op::loop_end) {
                    memory.elements = int32_t(record - all) + 1;
                    record = all;
                }
            }
            at = to;
            node = next;
            continue;
        }
        int32_t next = node->sibling;
        if (next < 0) {
            if (memory.choice_count == 0) return -1;
            const Choice& choice = memory.choices[--memory.choice_count];
            next = choice.node;
            at = choice.at;
            record = all + choice.record;
            memory.loop_end = choice.loop_end;
            memory.elements = choice.elements;
        }
        node = nodes + next;
    }
}
