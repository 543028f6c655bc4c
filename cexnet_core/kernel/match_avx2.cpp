// Compiled for AVX2 by function attributes, so that the rest runs on every x86-64.
// Everything shared is included before: no inline function of it may be compiled for AVX2.
#include <algorithm>
#include <cstddef>

#include "shape.hpp"
#include "vectors.hpp"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#include <immintrin.h>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,bmi,bmi2")
#endif

namespace cexnet {

namespace avx2 {
#include "scan.hpp"
#include "scan_avx2.hpp"
#include "match.hpp"
} // namespace avx2

int32_t match_avx2(
    const ShapeTree& tree, const Schema& schema, bool exact, const char* data, const char* end, Records& records
) noexcept {
    return avx2::match(tree, schema, exact, data, end, records);
}

} // namespace cexnet

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

namespace cexnet {
bool has_avx2() noexcept {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
} // namespace cexnet

#else

namespace cexnet {
bool has_avx2() noexcept { return false; }
int32_t match_avx2(
    const ShapeTree& tree, const Schema& schema, bool exact, const char* data, const char* end, Records& records
) noexcept {
    return match_portable(tree, schema, exact, data, end, records);
}
} // namespace cexnet

#endif
