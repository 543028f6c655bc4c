// The protobuf path: walks the wire format by the field numbers of the schema's paths.
#pragma once

#include "wire.hpp"

namespace cexnet {

// Writes what the paths meet to the tape. False: tape.problem says why. Unknown fields are
// skipped; groups, field number 0 and anything that leaves the message are refused.
bool walk_protobuf(const Schema& schema, const char* data, size_t size, Tape& tape);

} // namespace cexnet
