#include <algorithm>
#include <cstddef>

#include "shape.hpp"

namespace cexnet {

namespace portable {
#include "scan.hpp"
#include "scan_portable.hpp"
#include "match.hpp"
} // namespace portable

int32_t match_portable(
    const ShapeTree& tree, const Schema& schema, bool exact, const char* data, const char* end, Records& records
) noexcept {
    return portable::match(tree, schema, exact, data, end, records);
}

} // namespace cexnet
