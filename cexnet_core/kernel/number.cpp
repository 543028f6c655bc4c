#include "number.hpp"

#include <algorithm>
#include <cmath>

#include "simdjson.h"
#include "wire.hpp"

namespace cexnet {

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t run_of_digits(std::string_view text, size_t from) {
    size_t end = from;
    while (end < text.size() && is_digit(text[end])) end++;
    return end;
}

bool Decimal::parse(std::string_view given) noexcept {
    *this = Decimal();
    text = given;
    size_t at = 0;
    if (at < given.size() && given[at] == '-') {
        negative = true;
        at++;
    }
    size_t end = run_of_digits(given, at);
    whole = given.substr(at, end - at);
    if (whole.empty() || (whole.size() > 1 && whole[0] == '0')) return false;
    at = end;
    if (at < given.size() && given[at] == '.') {
        end = run_of_digits(given, at + 1);
        fraction = given.substr(at + 1, end - at - 1);
        if (fraction.empty()) return false;
        at = end;
    }
    if (at < given.size() && (given[at] == 'e' || given[at] == 'E')) {
        at++;
        bool below = at < given.size() && given[at] == '-';
        if (at < given.size() && (given[at] == '-' || given[at] == '+')) at++;
        end = run_of_digits(given, at);
        if (end == at) return false;
        for (; at < end; at++) exponent = std::min<int64_t>(exponent * 10 + (given[at] - '0'), 1000000000);
        if (below) exponent = -exponent;
    }
    return at == given.size();
}

bool Decimal::is_below_zero() const noexcept {
    auto zero = [](std::string_view digits) { return digits.find_first_not_of('0') == digits.npos; };
    return negative && !(zero(whole) && zero(fraction));
}

// Appends digits to a 64-bit integer; false when they do not fit.
static bool append(std::string_view digits, uint64_t* value) {
    for (char c : digits) {
        if (__builtin_mul_overflow(*value, uint64_t(10), value)) return false;
        if (__builtin_add_overflow(*value, uint64_t(c - '0'), value)) return false;
    }
    return true;
}

static bool append_zeros(int64_t count, uint64_t* value) {
    if (*value == 0) return true;
    for (; count > 0; count--) {
        if (__builtin_mul_overflow(*value, uint64_t(10), value)) return false;
    }
    return true;
}

bool Decimal::to_double(double* value) const noexcept {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t mantissa = 0;
    int64_t scale = int64_t(fraction.size()) - exponent;
    // Two exact doubles and one division or product: rounded once (Clinger 1990).
    if (scale >= -22 && scale <= 22 && append(whole, &mantissa) && append(fraction, &mantissa) &&
        mantissa <= MAX_EXACT) {
        double exact = double(mantissa);
        *value = scale >= 0 ? exact / powers[scale] : exact * powers[-scale];
    } else {
        const char* first = text.data() + (negative ? 1 : 0);
        *value = simdjson::internal::from_chars(first, text.data() + text.size());
    }
    if (negative) *value = -*value;
    return std::isfinite(*value);
}

bool Decimal::to_exact(int64_t* mantissa, int32_t* scale) const noexcept {
    // First as the wire has it; where that does not fit, without the fraction's last zeros.
    std::string_view stripped = fraction.substr(0, fraction.find_last_not_of('0') + 1);
    for (std::string_view digits : {fraction, stripped}) {
        uint64_t value = 0;
        int64_t places = int64_t(digits.size()) - exponent;
        if (append(whole, &value) && append(digits, &value) && places <= 127 &&
            append_zeros(-places, &value) && value <= uint64_t(INT64_MAX)) {
            *mantissa = negative ? -int64_t(value) : int64_t(value);
            *scale = int32_t(std::max<int64_t>(places, 0));
            return true;
        }
    }
    *mantissa = 0;
    *scale = -1;
    return false;
}

bool Decimal::to_fixed(int shift, bool may_lose_digits, int64_t* result) const noexcept {
    int64_t digits = int64_t(whole.size() + fraction.size());
    int64_t kept = int64_t(whole.size()) + exponent + shift;
    uint64_t value = 0;
    int64_t in_whole = std::clamp<int64_t>(kept, 0, int64_t(whole.size()));
    int64_t in_fraction = std::clamp<int64_t>(kept - int64_t(whole.size()), 0, int64_t(fraction.size()));
    if (!append(whole.substr(0, size_t(in_whole)), &value)) return false;
    if (!append(fraction.substr(0, size_t(in_fraction)), &value)) return false;
    if (kept > digits && !append_zeros(kept - digits, &value)) return false;
    if (!may_lose_digits) {
        auto zeros = [](std::string_view lost) { return lost.find_first_not_of('0') == lost.npos; };
        if (!zeros(whole.substr(size_t(in_whole))) || !zeros(fraction.substr(size_t(in_fraction)))) return false;
    }
    if (value > uint64_t(INT64_MAX)) {
        if (!negative || value != uint64_t(INT64_MAX) + 1) return false;
        *result = INT64_MIN;
        return true;
    }
    *result = negative ? -int64_t(value) : int64_t(value);
    return true;
}

} // namespace cexnet
