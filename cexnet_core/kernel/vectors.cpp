#include "vectors.hpp"

namespace cexnet {

static Vectors make_vectors() {
    Vectors made{};
    for (int i = 0; i < 32; i++) {
        made.zero[i] = '0';
        made.point[i] = '.';
        made.quote[i] = '"';
        made.backslash[i] = '\\';
        made.space[i] = ' ';
        made.bracket[i] = ']';
        made.nine[i] = 9;
        made.tens[i] = i % 2 ? 1 : 10;
    }
    for (int i = 0; i < 16; i++) {
        made.hundreds[i] = i % 2 ? 1 : 100;
        made.ten_thousands[i] = i % 2 ? 1 : 10000;
    }
    for (int i = 0; i < 48; i++) {
        made.right_align[i] = int8_t(i - 16);
        made.over_point[i] = i < 16 ? -1 : 0;
    }
    for (uint64_t& value : made.hundred_million) value = 100000000;
    for (uint64_t& value : made.exponent) value = 0x4330000000000000;
    for (uint64_t& value : made.above_52_bits) value = 0xFFF0000000000000;
    for (int length = 1; length <= 16; length++) {
        for (int whole = 0; whole < 32; whole++) {
            bool good = whole >= 1 && whole < length - 1;
            made.fractions[length - 1][whole] = uint8_t(
                whole == length ? NO_POINT : good ? length - 1 - whole : BAD_POINT
            );
        }
    }
    return made;
}

const Vectors VECTORS = make_vectors();

} // namespace cexnet
