#include "kernel.hpp"

#include <algorithm>

namespace cexnet {

// A full tree that no longer fits the feed is emptied after so many misses: a storm of odd
// messages costs little, and shapes that matter are learned again at once.
constexpr int64_t MISSES_BEFORE_RESET = 4096;
constexpr int64_t MAX_PAUSE = 64;        // messages between attempts that teach nothing
constexpr size_t MAX_LEARNED = 1 << 16;  // bytes; longer messages are not learned from
constexpr size_t KEPT_ENTRIES = 1 << 14; // 640 kB

Kernel::Kernel(bool exact, size_t max_shapes, bool simd)
    : exact_(exact), max_shapes_(max_shapes), matcher_(simd && has_avx2() ? match_avx2 : match_portable) {
    records.at(0);
    replay_.at(0);
}

TextTable* Kernel::new_table(size_t capacity) {
    tables_.emplace_back(capacity);
    return &tables_.back();
}

void Kernel::finish() {
    json.finish();
    protobuf.finish();
    walker_ = std::make_unique<JsonWalker>(json);
    json_extractor_ = std::make_unique<Extractor>(json, exact_);
    protobuf_extractor_ = std::make_unique<Extractor>(protobuf, exact_);
    extractor_ = json_extractor_.get();
}

Outcome Kernel::walk(const char* data, size_t size, bool is_protobuf) {
    for (TextTable& table : tables_) table.forget_passing();
    extractor_ = (is_protobuf ? protobuf_extractor_ : json_extractor_).get();
    if (is_protobuf) {
        if (!walk_protobuf(protobuf, data, size, tape_)) return Outcome::failed;
    } else {
        for (size_t i = 0; i < json.messages.size(); i++) {
            const std::string& literal = json.messages[i].literal;
            if (literal.empty() || std::string_view(data, size) != literal) continue;
            tape_.clear();
            records.message = int32_t(i);
            records.id = json.messages[i].id;
            records.count = 1;
            memcpy(records.at(0)->slots, json.messages[i].defaults, sizeof(Record::slots));
            return Outcome::decoded;
        }
        if (!walker_->walk(data, size, tape_)) return Outcome::failed;
    }
    Outcome outcome = extractor_->decide(tape_, records);
    return outcome == Outcome::decoded ? resume() : outcome;
}

Outcome Kernel::resume() { return extractor_->extract(tape_, records); }

void Kernel::learn(const char* data, size_t size) {
    if (max_shapes_ == 0 || size > MAX_LEARNED) return;
    if (tree_.shapes.size() >= max_shapes_) {
        if (++since_reset_ < MISSES_BEFORE_RESET) return;
        tree_.clear();
        shape_resets++;
        since_reset_ = 0;
    }
    if (pause_ > 0) {
        pause_--;
        return;
    }
    Shape shape;
    bool learned = false;
    if (learn_steps(json, records.message, tape_, data, size, tree_, steps_, shape)) {
        ShapeTree trial;
        trial.forms = tree_.forms;
        trial.insert(steps_, shape);
        learned = replays(trial, data, size) && tree_.insert(steps_, shape);
    }
    fruitless_ = learned ? 0 : fruitless_ + 1;
    pause_ = std::min(fruitless_ / 2, MAX_PAUSE);
}

// A shape is learned only if it gives, to the bit, what the slow path gave.
bool Kernel::replays(const ShapeTree& tree, const char* data, size_t size) {
    if (records.count > 0) replay_.at(size_t(records.count) - 1);
    if (matcher_(tree, json, exact_, data, data + size, replay_) < 0) return false;
    if (replay_.message != records.message || replay_.count != records.count) return false;
    const Message& message = json.messages[size_t(records.message)];
    uint32_t texts = 0;
    for (const Target& target : message.targets) texts |= uint32_t(target.type == Type::text) << target.slot;
    for (int32_t i = 0; i < records.count; i++) {
        const Record &wanted = *records.at(size_t(i)), &got = *replay_.at(size_t(i));
        for (int slot = 0; slot < message.slot_count; slot++) {
            const Slot &a = wanted.slots[slot], &b = got.slots[slot];
            if (texts >> slot & 1) {
                if (std::string_view(a.text, size_t(a.extra)) != std::string_view(b.text, size_t(b.extra))) return false;
            } else if (a.integer != b.integer) {
                return false;
            }
        }
        for (int side = 0; side < 2; side++) {
            const LevelBuffer &a = wanted.sides[side], &b = got.sides[side];
            size_t bytes = size_t(a.count) * 2 * sizeof(double);
            if (a.count != b.count || (bytes > 0 && memcmp(a.values, b.values, bytes) != 0)) return false;
        }
    }
    return true;
}

std::string_view Kernel::channel() const {
    const Entry* entry = extractor_->channel(tape_);
    return entry == nullptr ? std::string_view() : std::string_view(entry->text, entry->length);
}

void Kernel::trim() {
    records.trim();
    replay_.trim();
    walker_ = std::make_unique<JsonWalker>(json);
    if (tape_.entries.capacity() > KEPT_ENTRIES) {
        tape_.entries.clear();
        tape_.entries.shrink_to_fit();
    }
}

} // namespace cexnet
