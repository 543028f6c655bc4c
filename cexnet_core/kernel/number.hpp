// Exact reading of one decimal, of any length: the slow twin of scan.hpp.
#pragma once

#include <cstdint>
#include <string_view>

namespace cexnet {

// A text that follows the JSON number grammar (RFC 8259 section 6).
struct Decimal {
    std::string_view text;
    std::string_view whole;    // digits before the point
    std::string_view fraction; // digits after it
    int64_t exponent = 0;      // clamped to +-1e9
    bool negative = false;

    bool parse(std::string_view given) noexcept; // false: not a number
    bool is_below_zero() const noexcept;          // by however little; "-0" is not
    bool to_double(double* value) const noexcept; // correctly rounded; false: infinite
    // mantissa * 10**-scale as the wire has it, without trailing zeros where it fits only so.
    bool to_exact(int64_t* mantissa, int32_t* scale) const noexcept;
    // floor(|value| * 10**shift), with the sign; false: does not fit, or digits would be lost.
    bool to_fixed(int shift, bool may_lose_digits, int64_t* result) const noexcept;
};

inline int decimal_places(int64_t unit) noexcept {
    int places = 0;
    for (; unit > 1; unit /= 10) places++;
    return places;
}

} // namespace cexnet
