// From tape to records: which declared message fits, and its typed fields. The JSON and
// the protobuf walk share it, so both read a value in the same way.
#pragma once

#include "wire.hpp"

namespace cexnet {

constexpr int MAX_EVENTS = 1 << 16;        // events of one message
constexpr size_t MAX_INTERNED_TEXT = 64;   // longer texts are never kept

enum class Outcome : uint8_t {
    decoded,
    unknown,   // valid, but no declared message fits
    failed,    // tape.problem says why
    new_text,  // `missing` must be added to its table; then extract again
};

// A text that its table does not know and should take up before the message is read again.
struct MissingText {
    std::string_view text;
    const Target* target = nullptr;
    int32_t message = -1; // id
};

// The events of one message. Level buffers are used again from message to message.
class Records {
  public:
    ~Records();
    Record* at(size_t index); // grows
    Record* data() { return items_.data(); }
    size_t capacity() const { return items_.size(); }
    void trim();              // gives back what a huge message took

    int32_t message = -1; // index in Schema::messages
    int32_t id = -1;      // the message's id
    int32_t count = 0;
    MissingText missing;  // found by the shape path; without target: none

  private:
    std::vector<Record> items_;
};

class Extractor {
  public:
    Extractor(const Schema& schema, bool exact) : schema_(schema), exact_(exact) {}

    Outcome decide(Tape& tape, Records& records); // sets records.message
    Outcome extract(Tape& tape, Records& records);
    const Entry* channel(const Tape& tape) const; // text for an unknown message, or nullptr

    MissingText missing;

  private:
    Outcome fail(Fault fault, int field = -1);
    bool fits(const Message& message, const Tape& tape) const;
    Outcome convert(const Target& target, const Entry& entry, Slot& slot, uint32_t& filled);
    Outcome level(const Levels& levels, int role, const Entry& entry, Record& record);
    Outcome scalar(const Message& message, const Entry& entry, Record& record, uint32_t& filled);
    Outcome finish(const Message& message, uint32_t filled, bool in_element);

    const Schema& schema_;
    const bool exact_;
    Tape* tape_ = nullptr;
    int32_t message_ = -1;
    std::vector<int32_t> first_; // node -> index of its entry, -1: absent
    Record shared_ = Record();   // fields outside the walked array
    int have_[2] = {3, 3};       // bits of the open level of each side: price, size
};

} // namespace cexnet
