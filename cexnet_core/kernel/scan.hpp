// Numbers of at most 19 digits, exactly: the parts of scanning that are the same on every
// processor. Included once an instruction set, inside its namespace, see match_avx2.cpp.

// What a step returns that does not match: a place beyond the end of every message.
static const char* const NOWHERE = reinterpret_cast<const char*>(UINTPTR_MAX);

struct Number {
    uint64_t mantissa;
    uint32_t scale;
    uint32_t length; // bytes, with sign and point
    bool negative;
};

alignas(64) static const double POWERS[32] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1,    1,    1,    1,    1,    1,    1,    1,
    1, // [31]: NO_POINT of scan_avx2.hpp
};

static inline uint64_t load64(const char* at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

static inline uint32_t load32(const char* at) {
    uint32_t word;
    memcpy(&word, at, 4);
    return word;
}

static inline bool is_digit(char c) { return uint8_t(c - '0') <= 9; }

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
// Eight digits at once in a 64-bit register (Mula, "SWAR" number parsing).
static inline bool all_digits(uint64_t word) {
    return ((word & 0xF0F0F0F0F0F0F0F0) | (((word + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) >> 4)) ==
           0x3333333333333333;
}

static inline uint64_t eight_digits(uint64_t word) {
    word -= 0x3030303030303030;
    word = word * 10 + (word >> 8);
    return (((word & 0x000000FF000000FF) * 0x000F424000000064) +
            (((word >> 16) & 0x000000FF000000FF) * 0x0000271000000001)) >> 32;
}
#else
static inline bool all_digits(uint64_t) { return false; }
static inline uint64_t eight_digits(uint64_t) { return 0; }
#endif

static inline const char* read_digits(const char* at, const char* end, uint64_t* value) {
    while (end - at >= 8) {
        uint64_t word = load64(at);
        if (!all_digits(word)) break;
        *value = *value * 100000000 + eight_digits(word);
        at += 8;
    }
    while (at < end && is_digit(*at)) *value = *value * 10 + uint64_t(*at++ - '0');
    return at;
}

// A JSON number without exponent. False: it is none, or has more than 19 digits.
static inline bool read_any_number(const char* start, const char* end, Number* number) {
    const char* at = start;
    number->negative = at < end && *at == '-';
    if (number->negative) at++;
    const char* first = at;
    uint64_t mantissa = 0;
    at = read_digits(at, end, &mantissa);
    ptrdiff_t digits = at - first;
    if (digits == 0 || (digits > 1 && *first == '0')) return false;
    number->scale = 0;
    if (at < end && *at == '.') {
        const char* fraction = at + 1;
        at = read_digits(fraction, end, &mantissa);
        if (at == fraction) return false;
        number->scale = uint32_t(std::min<ptrdiff_t>(at - fraction, 99));
        digits += at - fraction;
    }
    if (digits > 19) return false; // the mantissa may have wrapped
    number->mantissa = mantissa;
    number->length = uint32_t(at - start);
    return true;
}

// The correctly rounded value: two exact doubles and one division (Clinger 1990).
// False: the mantissa is no exact double; the slow path knows what to do.
static inline bool to_double(const Number& number, double* value) {
    uint64_t mantissa = number.mantissa;
    uint32_t scale = number.scale;
    while (mantissa > MAX_EXACT) {
        if (scale == 0 || mantissa % 10 != 0) return false;
        mantissa /= 10;
        scale--;
    }
    double exact = double(int64_t(mantissa)) / POWERS[scale];
    *value = number.negative ? -exact : exact;
    return true;
}

static inline bool keep_decimal(const Number& number, Slot* slot) {
    if (number.mantissa >> 63 || !to_double(number, &slot->number)) return false;
    slot->extra = number.negative ? -int64_t(number.mantissa) : int64_t(number.mantissa);
    slot->scale = int32_t(number.scale);
    return true;
}

static inline bool to_integer(const Number& number, int64_t* value) {
    if (number.scale != 0 || number.mantissa > uint64_t(INT64_MAX)) return false;
    *value = number.negative ? -int64_t(number.mantissa) : int64_t(number.mantissa);
    return true;
}

// Nanoseconds, rounded down. Only plain positive times; the slow path judges the others.
static inline bool to_time(const Number& number, int64_t unit_ns, int64_t* value) {
    if (number.negative || number.mantissa > uint64_t(INT64_MAX)) return false;
    if (number.scale == 0) {
        return !__builtin_mul_overflow(int64_t(number.mantissa), unit_ns, value);
    }
    static const uint64_t powers[] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000,
        10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000,
        1000000000000000, 10000000000000000, 100000000000000000, 1000000000000000000,
    };
    if (number.scale > 18) return false;
    // The whole part and the fraction apart, so that neither product leaves 64 bits.
    uint64_t whole = number.mantissa / powers[number.scale];
    uint64_t fraction = number.mantissa % powers[number.scale];
    if (number.scale > 9) {
        fraction /= powers[number.scale - 9];
        fraction = fraction * uint64_t(unit_ns) / powers[9];
    } else {
        fraction = fraction * uint64_t(unit_ns) / powers[number.scale];
    }
    int64_t base;
    if (__builtin_mul_overflow(int64_t(whole), unit_ns, &base)) return false;
    return !__builtin_add_overflow(base, int64_t(fraction), value);
}

static const char* read_decimal(const char* at, const char* end, Slot* slot);

// The pairs that are not of the usual kind: signs, long numbers. nullptr for any doubt.
static __attribute__((noinline)) const char* read_pair_slowly(
    const Node& node, const char* at, const char* end, Slot* first_slot, Slot* second_slot
) {
    at = read_decimal(at, end, first_slot);
    if (at == nullptr || end - at < int64_t(node.between_length)) return nullptr;
    if (memcmp(at, node.between, node.between_length) != 0) return nullptr;
    return read_decimal(at + node.between_length, end, second_slot);
}
