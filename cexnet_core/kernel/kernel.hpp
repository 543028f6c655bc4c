// The decoder without Python: schemas, text tables and the paths a message may take.
#pragma once

#include <deque>

#include "extract.hpp"
#include "ondemand.hpp"
#include "protobuf.hpp"
#include "shape.hpp"
#include "wire.hpp"

namespace cexnet {

class Kernel {
  public:
    Kernel(bool exact, size_t max_shapes, bool simd);

    Schema json, protobuf;
    Records records;

    TextTable* new_table(size_t capacity);
    void finish(); // after the last node and message

    // The shape path. Outcome::unknown: no shape fits, walk(). Outcome::new_text: add `missing()`
    // to its table, and match again.
    Outcome match(const char* data, size_t size) noexcept {
        int32_t shape = matcher_(tree_, json, exact_, data, data + size, records);
        if (__builtin_expect(shape >= 0, 1)) return Outcome::decoded;
        return shape == NEW_TEXT ? Outcome::new_text : Outcome::unknown;
    }
    // Learns the shape of the message that walk() has decoded.
    void learn(const char* data, size_t size);

    size_t shape_count() const { return tree_.shapes.size(); }
    int64_t shape_resets = 0;

    // The order-tolerant paths. Outcome::new_text: add `missing()` and resume().
    Outcome walk(const char* data, size_t size, bool is_protobuf);
    Outcome resume();

    const Problem* problem() const { return &tape_.problem; }
    const MissingText* missing() const { return &extractor_->missing; }
    // Channel text of an unknown message; empty when it has none.
    std::string_view channel() const;
    void trim(); // after a huge message

  private:
    bool replays(const ShapeTree& tree, const char* data, size_t size);

    const bool exact_;
    const size_t max_shapes_;
    const Matcher matcher_;
    ShapeTree tree_;
    Records replay_;
    std::vector<Step> steps_;
    int64_t since_reset_ = 0;    // messages that no shape fitted, once the tree was full
    int64_t fruitless_ = 0;      // attempts in a row that taught nothing
    int64_t pause_ = 0;          // messages until the next attempt
    std::deque<TextTable> tables_;
    Tape tape_;
    std::unique_ptr<JsonWalker> walker_;
    std::unique_ptr<Extractor> json_extractor_, protobuf_extractor_;
    Extractor* extractor_ = nullptr;
};

} // namespace cexnet
