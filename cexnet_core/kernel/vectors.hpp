// Constants of the AVX2 code. They are defined elsewhere on purpose: constants that the
// compiler knows are built from immediates on each use, which costs more than loading them.
#pragma once

#include <cstdint>

namespace cexnet {

struct Vectors {
    char zero[32], point[32], quote[32], backslash[32], space[32], bracket[32];
    uint8_t nine[32];
    uint8_t tens[32];          // 10, 1, ...
    uint16_t hundreds[16];     // 100, 1, ...
    uint16_t ten_thousands[16];
    uint64_t hundred_million[4];
    uint64_t exponent[2];      // of 2**52
    uint64_t above_52_bits[2];
    int8_t right_align[48];    // from n on: moves n characters to the right end of 16, rest negative
    int8_t over_point[48];     // from f on: moves all but the last f characters one further
    uint8_t fractions[16][32]; // [length - 1][bytes before the point]: digits after it, or BAD_POINT
};

constexpr uint32_t NO_POINT = 31;  // digits after the point of a number that has none
constexpr uint32_t BAD_POINT = 64; // a point at either end

extern const Vectors VECTORS;

} // namespace cexnet
