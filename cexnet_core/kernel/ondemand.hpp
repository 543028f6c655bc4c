// The order-tolerant JSON path: walks and validates a whole document with simdjson
// On-Demand and writes what the schema's paths meet to a tape.
#pragma once

#include <memory>

#include "wire.hpp"

namespace cexnet {

// Name of the implementation that simdjson chose for this processor.
const char* ondemand_implementation() noexcept;

class JsonWalker {
  public:
    explicit JsonWalker(const Schema& schema);
    ~JsonWalker();

    // `data` must have 64 readable bytes after `size`, and lives as long as the tape is used.
    // False: tape.problem says why. Texts on the tape are valid until the next walk.
    bool walk(const char* data, size_t size, Tape& tape);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace cexnet
