// Scanning with AVX2 and BMI, where the processor has them.
// Included inside the namespace of one instruction set, after scan.hpp.
//
// Loads may read up to 64 bytes past a message; every message has that much padding.

static inline __m256i load_32(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
static inline __m128i load_16(const void* at) { return _mm_loadu_si128(static_cast<const __m128i*>(at)); }
static inline uint32_t bits(__m256i bytes) { return uint32_t(_mm256_movemask_epi8(bytes)); }

// `length` is at most 32, and so many bytes of the literal may be read.
static inline bool same_literal(const char* at, const char* literal, uint32_t length) {
    return _bzhi_u32(~bits(_mm256_cmpeq_epi8(load_32(at), load_32(literal))), length) == 0;
}

// The closing quote; nullptr when an escape, a control byte or a byte beyond ASCII stands before it.
static inline const char* find_quote(const char* at, const char* end) {
    for (; at <= end; at += 32) {
        __m256i bytes = load_32(at);
        __m256i quote = _mm256_cmpeq_epi8(bytes, load_32(VECTORS.quote));
        __m256i escape = _mm256_cmpeq_epi8(bytes, load_32(VECTORS.backslash));
        __m256i control = _mm256_cmpgt_epi8(load_32(VECTORS.space), bytes); // signed: also above ASCII
        uint32_t stops = bits(_mm256_or_si256(_mm256_or_si256(quote, escape), control));
        if (__builtin_expect(stops == 0, 0)) continue;
        at += _tzcnt_u32(stops);
        return at < end && *at == '"' ? at : nullptr;
    }
    return nullptr;
}

// The next quote within 32 bytes, escaped or not, or the closing one; nullptr as find_quote.
static inline const char* next_quote(const char* at, const char* end) {
    uint32_t quotes = bits(_mm256_cmpeq_epi8(load_32(at), load_32(VECTORS.quote)));
    return __builtin_expect(quotes != 0, 1) ? at + _tzcnt_u32(quotes) : find_quote(at, end);
}

static inline __m256i digit_values(__m256i bytes) { return _mm256_sub_epi8(bytes, load_32(VECTORS.zero)); }

// Bytes of the 32 that are digits.
static inline __m256i are_digits(__m256i values) {
    return _mm256_cmpeq_epi8(_mm256_min_epu8(values, load_32(VECTORS.nine)), values);
}

static inline __m256i are_points(__m256i bytes) { return _mm256_cmpeq_epi8(bytes, load_32(VECTORS.point)); }

// Digits after the point of the number of `length` bytes, 1 to 16, with points at the bits of
// `points`; NO_POINT without one. What breaks the JSON grammar leaves a mark in `doubt`: a
// point at either end sets BAD_POINT, a leading zero the sign. A second point is no digit and
// is found out when the digits are converted.
static inline uint32_t find_fraction(const char* at, uint32_t length, uint32_t points, int32_t* doubt) {
    uint32_t whole = uint32_t(_tzcnt_u32(_bzhi_u32(points, length) | (1u << length)));
    uint32_t fraction = VECTORS.fractions[length - 1][whole];
    int32_t leading_zero = ~int32_t(whole - 2) & (int32_t(uint8_t(*at)) - '1');
    *doubt |= int32_t(fraction) | leading_zero;
    return fraction & 31;
}

constexpr int32_t DOUBTS = int32_t(0x80000000u | BAD_POINT);

// The byte order that lines up the digits of a number, over its point.
static inline __m128i digit_order(uint32_t length, uint32_t fraction) {
    return _mm_add_epi8(load_16(VECTORS.right_align + length), load_16(VECTORS.over_point + fraction));
}

// Sixteen digits of each half of a register to two integers of 32 bits: the upper and the lower eight.
static inline __m256i eight_and_eight(__m256i digits) {
    digits = _mm256_maddubs_epi16(digits, load_32(VECTORS.tens));
    digits = _mm256_madd_epi16(digits, load_32(VECTORS.hundreds));
    digits = _mm256_packus_epi32(digits, digits);
    return _mm256_madd_epi16(digits, load_32(VECTORS.ten_thousands));
}

static inline uint64_t join_halves(__m256i halves) {
    uint64_t both = uint64_t(_mm_cvtsi128_si64(_mm256_castsi256_si128(halves)));
    return (both & 0xFFFFFFFF) * 100000000 + (both >> 32);
}

// The digits of an integer of at most 16 digits that is followed by anything but a point;
// 0: it is not of that kind.
static inline uint32_t read_plain_integer(const char* at, uint64_t* value) {
    __m256i bytes = load_32(at), values = digit_values(bytes);
    uint32_t length = uint32_t(_tzcnt_u32(~bits(are_digits(values))));
    bool leading_zero = *at == '0' && length > 1;
    if (__builtin_expect((length - 1 >= 16) | leading_zero | (at[length] == '.'), 0)) return 0;
    __m128i digits = _mm_shuffle_epi8(_mm256_castsi256_si128(values), load_16(VECTORS.right_align + length));
    *value = join_halves(eight_and_eight(_mm256_castsi128_si256(digits)));
    return length;
}

static bool read_number(const char* at, const char* end, Number* number) {
    __m256i bytes = load_32(at), values = digit_values(bytes), points = are_points(bytes);
    uint32_t length = uint32_t(_tzcnt_u32(~bits(_mm256_or_si256(are_digits(values), points))));
    if (__builtin_expect(length - 1 >= 16, 0)) return read_any_number(at, end, number);
    int32_t doubt = 0;
    uint32_t places = _bzhi_u32(bits(points), length);
    uint32_t fraction = find_fraction(at, length, places, &doubt);
    if (__builtin_expect((doubt & DOUBTS) | int32_t(_blsr_u32(places)), 0)) return false;
    __m128i digits = _mm_shuffle_epi8(_mm256_castsi256_si128(values), digit_order(length, fraction));
    number->mantissa = join_halves(eight_and_eight(_mm256_castsi128_si256(digits)));
    number->scale = fraction == NO_POINT ? 0 : fraction;
    number->length = length;
    number->negative = false;
    return at + length <= end;
}

// Two numbers at once, one in each half of a register. False: something in them is no digit,
// or a mantissa is 2**52 or more.
static inline bool convert_two(
    __m256i values, const uint32_t length[2], const uint32_t fraction[2], __m128d* numbers, __m128i* mantissas
) {
    __m256i order = _mm256_inserti128_si256(
        _mm256_castsi128_si256(digit_order(length[0], fraction[0])), digit_order(length[1], fraction[1]), 1
    );
    __m256i digits = _mm256_shuffle_epi8(values, order);
    __m256i halves = eight_and_eight(digits);
    halves = _mm256_add_epi64(
        _mm256_mul_epu32(halves, load_32(VECTORS.hundred_million)), _mm256_srli_epi64(halves, 32)
    );
    *mantissas = _mm_unpacklo_epi64(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    // Integers below 2**52 become doubles by way of the exponent of 2**52.
    const __m128i exponent = load_16(VECTORS.exponent);
    __m128d exact = _mm_sub_pd(_mm_castsi128_pd(_mm_or_si128(*mantissas, exponent)), _mm_castsi128_pd(exponent));
    *numbers = _mm_div_pd(exact, _mm_loadh_pd(_mm_load_sd(&POWERS[fraction[0]]), &POWERS[fraction[1]]));
    __m256i others = _mm256_subs_epu8(digits, load_32(VECTORS.nine));
    return _mm256_testz_si256(others, others) & _mm_testz_si128(*mantissas, load_16(VECTORS.above_52_bits));
}

static inline void keep_number(uint64_t mantissa, uint32_t fraction, Number* number) {
    number->mantissa = mantissa;
    number->scale = fraction == NO_POINT ? 0 : fraction;
    number->negative = false;
}

static inline void keep_slot(const Number& number, Slot* slot) {
    slot->extra = int64_t(number.mantissa);
    slot->scale = int32_t(number.scale);
}

// Two decimals in quotes, and what stands between them: where the second ends, nullptr for any doubt.
static inline const char* read_pair(
    const Node& node, const char* at, const char* end, Slot* first_slot, Slot* second_slot, bool exact
) {
    // Both closing quotes stand in the next 64 bytes; one look finds them.
    __m256i quote = load_32(VECTORS.quote), low = load_32(at);
    uint64_t quotes = uint64_t(bits(_mm256_cmpeq_epi8(low, quote))) |
                      uint64_t(bits(_mm256_cmpeq_epi8(load_32(at + 32), quote))) << 32;
    uint32_t length[2], fraction[2];
    length[0] = uint32_t(_tzcnt_u64(quotes));
    uint32_t start = length[0] + node.between_length;
    length[1] = uint32_t(_tzcnt_u64(quotes >> (start & 63)));
    const char* second = at + start;
    if (__builtin_expect((length[0] - 1 >= 16) | (length[1] - 1 >= 16), 0)) {
        return read_pair_slowly(node, at, end, first_slot, second_slot);
    }
    __m128i same = _mm_cmpeq_epi8(load_16(at + length[0]), load_16(node.between));
    uint32_t differ = _bzhi_u32(~uint32_t(_mm_movemask_epi8(same)), node.between_length);
    if (__builtin_expect(differ != 0, 0)) return nullptr;
    __m256i bytes = _mm256_inserti128_si256(low, load_16(second), 1);
    uint32_t points = bits(are_points(bytes));
    int32_t doubt = 0;
    fraction[0] = find_fraction(at, length[0], points, &doubt);
    fraction[1] = find_fraction(second, length[1], points >> 16, &doubt);
    __m128d numbers;
    __m128i mantissas;
    bool good = convert_two(digit_values(bytes), length, fraction, &numbers, &mantissas);
    if (__builtin_expect(!good | ((doubt & DOUBTS) != 0), 0)) {
        return read_pair_slowly(node, at, end, first_slot, second_slot);
    }
    _mm_storel_pd(&first_slot->number, numbers);
    _mm_storeh_pd(&second_slot->number, numbers);
    if (__builtin_expect(exact, 0)) {
        Number pair[2];
        keep_number(uint64_t(_mm_cvtsi128_si64(mantissas)), fraction[0], &pair[0]);
        keep_number(uint64_t(_mm_extract_epi64(mantissas, 1)), fraction[1], &pair[1]);
        keep_slot(pair[0], first_slot);
        keep_slot(pair[1], second_slot);
    }
    return second + length[1];
}

static __attribute__((noinline)) const char* read_level_slowly(const char* at, const char* end, double* values, Number pair[2]) {
    if (!read_any_number(at, end, &pair[0])) return nullptr;
    at += pair[0].length;
    if (end - at < 4 || memcmp(at, "\",\"", 3) != 0) return nullptr;
    at += 3;
    if (!read_any_number(at, end, &pair[1])) return nullptr;
    if (!to_double(pair[0], &values[0]) || !to_double(pair[1], &values[1])) return nullptr;
    return at + pair[1].length;
}

// A level ["price","size"] from its first digit on: where its size ends, nullptr for any doubt.
// `close` gets the place of the next closing bracket, if it is near: known long before the end
// of the numbers is, it lets the processor begin with the next level.
static inline const char* read_level(
    const char* at, const char* end, double* values_out, Number pair[2], const char** close
) {
    __m256i bytes = load_32(at), values = digit_values(bytes), points = are_points(bytes);
    uint32_t breaks = ~bits(_mm256_or_si256(are_digits(values), points)), places = bits(points);
    *close = at + _tzcnt_u32(bits(_mm256_cmpeq_epi8(bytes, load_32(VECTORS.bracket))));
    uint32_t length[2], fraction[2];
    length[0] = uint32_t(_tzcnt_u32(breaks));
    uint32_t start = length[0] + 3;
    length[1] = uint32_t(_tzcnt_u32(breaks >> (start & 31)));
    // Both lie in the window, each of 1 to 16 bytes.
    if (__builtin_expect((length[0] - 1 >= 16) | (length[1] - 1 >= 16), 0)) return read_level_slowly(at, end, values_out, pair);
    const char* second = at + start;
    int32_t doubt = 0;
    fraction[0] = find_fraction(at, length[0], places, &doubt);
    fraction[1] = find_fraction(second, length[1], places >> start, &doubt);
    const uint32_t between = uint32_t('"') | uint32_t(',') << 8 | uint32_t('"') << 16;
    if (__builtin_expect((load32(at + length[0]) & 0xFFFFFF) != between, 0)) return nullptr;
    __m128d numbers;
    __m128i mantissas;
    __m256i both = _mm256_inserti128_si256(bytes, load_16(second), 1);
    bool good = convert_two(digit_values(both), length, fraction, &numbers, &mantissas);
    if (__builtin_expect(!good | ((doubt & DOUBTS) != 0), 0)) return read_level_slowly(at, end, values_out, pair);
    _mm_storeu_pd(values_out, numbers);
    keep_number(uint64_t(_mm_cvtsi128_si64(mantissas)), fraction[0], &pair[0]);
    keep_number(uint64_t(_mm_extract_epi64(mantissas, 1)), fraction[1], &pair[1]);
    return second + length[1];
}
