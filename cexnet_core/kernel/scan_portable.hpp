// Scanning with 64-bit registers, for every processor.
// Included inside the namespace of one instruction set, after scan.hpp.

static inline bool same_literal(const char* at, const char* literal, uint32_t length) {
    return memcmp(at, literal, length) == 0;
}

static inline uint32_t read_plain_integer(const char*, uint64_t*) { return 0; }

static inline bool read_number(const char* at, const char* end, Number* number) {
    return read_any_number(at, end, number);
}

// The closing quote; nullptr when an escape, a control byte or a byte beyond ASCII stands before it.
static inline const char* find_quote(const char* at, const char* end) {
    for (; at < end; at++) {
        if (*at == '"') return at;
        if (*at == '\\' || int8_t(*at) < 0x20) return nullptr;
    }
    return nullptr;
}

static inline const char* next_quote(const char* at, const char* end) { return find_quote(at, end); }

static inline const char* read_pair(
    const Node& node, const char* at, const char* end, Slot* first_slot, Slot* second_slot, bool
) {
    return read_pair_slowly(node, at, end, first_slot, second_slot);
}

// A level ["price","size"] from its first digit on: where its size ends, nullptr for any doubt.
static inline const char* read_level(const char* at, const char* end, double* values, Number pair[2], const char** close) {
    *close = nullptr;
    if (!read_any_number(at, end, &pair[0])) return nullptr;
    at += pair[0].length;
    if (end - at < 4 || memcmp(at, "\",\"", 3) != 0) return nullptr;
    at += 3;
    if (!read_any_number(at, end, &pair[1])) return nullptr;
    if (!to_double(pair[0], &values[0]) || !to_double(pair[1], &values[1])) return nullptr;
    return at + pair[1].length;
}
