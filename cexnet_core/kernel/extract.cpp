#include "extract.hpp"

#include "number.hpp"
#include "simdjson.h"

namespace cexnet {

constexpr size_t KEPT_RECORDS = 64;
constexpr int32_t KEPT_LEVELS = 1 << 14; // 256 kB a side

Records::~Records() {
    for (Record& record : items_) {
        for (LevelBuffer& side : record.sides) side.release();
    }
}

Record* Records::at(size_t index) {
    while (items_.size() <= index) items_.push_back(Record());
    return &items_[index];
}

void Records::trim() {
    for (size_t i = 0; i < items_.size(); i++) {
        for (LevelBuffer& side : items_[i].sides) {
            if (i >= KEPT_RECORDS || side.capacity > KEPT_LEVELS) side.release();
        }
    }
    if (items_.size() > KEPT_RECORDS) {
        items_.resize(KEPT_RECORDS);
        items_.shrink_to_fit();
    }
}

static bool is_scalar(Token token) {
    return token == Token::string || token == Token::number || token == Token::boolean ||
           token == Token::bytes || token == Token::varint;
}

static std::string_view text_of(const Entry& entry) { return {entry.text, entry.length}; }

Outcome Extractor::fail(Fault fault, int field) {
    tape_->problem.fault = fault;
    tape_->problem.message = message_;
    tape_->problem.field = field;
    return Outcome::failed;
}

Outcome Extractor::decide(Tape& tape, Records& records) {
    tape_ = &tape;
    message_ = records.message = -1;
    records.count = 0;
    first_.assign(schema_.nodes.size(), -1);
    for (size_t i = 0; i < tape.entries.size(); i++) {
        const Entry& entry = tape.entries[i];
        if (entry.node < 0 || entry.token == Token::close || entry.token == Token::element) continue;
        if (entry.token == Token::duplicate) {
            if (schema_.nodes[size_t(entry.node)].discriminates) return fail(Fault::duplicate);
            continue;
        }
        // Protobuf: the last value of a field that is not repeated counts.
        first_[size_t(entry.node)] = int32_t(i);
    }
    for (size_t i = 0; i < schema_.messages.size(); i++) {
        if (!fits(schema_.messages[i], tape)) continue;
        message_ = records.message = int32_t(i);
        records.id = schema_.messages[i].id;
        return Outcome::decoded;
    }
    return Outcome::unknown;
}

bool Extractor::fits(const Message& message, const Tape& tape) const {
    if (!message.literal.empty()) return false;
    for (const When& when : message.when) {
        int32_t found = first_[size_t(when.node)];
        if (found < 0 || !is_scalar(tape.entries[size_t(found)].token)) return false;
        std::string_view text = text_of(tape.entries[size_t(found)]);
        bool equal = false;
        for (const std::string& wanted : when.texts) equal = equal || text == wanted;
        if (!equal) return false;
    }
    for (int32_t node : message.has) {
        int32_t found = first_[size_t(node)];
        if (found < 0 || tape.entries[size_t(found)].token == Token::null) return false;
    }
    return true;
}

const Entry* Extractor::channel(const Tape& tape) const {
    for (int32_t node : schema_.channels) {
        int32_t found = first_[size_t(node)];
        if (found >= 0 && is_scalar(tape.entries[size_t(found)].token)) return &tape.entries[size_t(found)];
    }
    return nullptr;
}

Outcome Extractor::convert(const Target& target, const Entry& entry, Slot& slot, uint32_t& filled) {
    if (entry.token == Token::null) {
        return target.optional ? Outcome::decoded : fail(Fault::null_value, target.field);
    }
    std::string_view text = text_of(entry);
    bool numeric = entry.token == Token::number || entry.token == Token::varint;
    bool is_text = entry.token == Token::string || entry.token == Token::bytes;
    bool reads_number = target.type == Type::decimal || target.type == Type::integer || target.type == Type::time;
    if (reads_number) {
        Fault fault = target.type == Type::decimal   ? Fault::not_decimal
                      : target.type == Type::integer ? Fault::not_integer
                                                     : Fault::not_time;
        if (!numeric && !is_text) return fail(fault, target.field);
        if (text.empty() && target.optional) return Outcome::decoded;
        Decimal decimal;
        if (!decimal.parse(text)) return fail(fault, target.field);
        if (target.type == Type::decimal) {
            double value;
            if (!decimal.to_double(&value)) return fail(Fault::out_of_range, target.field);
            slot.number = value;
            if (exact_) decimal.to_exact(&slot.extra, &slot.scale);
        } else {
            bool is_time = target.type == Type::time;
            int64_t value;
            if (!decimal.to_fixed(is_time ? decimal_places(target.unit_ns) : 0, is_time, &value)) {
                return fail(Fault::out_of_range, target.field);
            }
            if (is_time && decimal.is_below_zero()) return fail(Fault::out_of_range, target.field);
            slot.integer = value;
        }
    } else {
        bool may_be_boolean = target.type == Type::mapped && entry.token == Token::boolean;
        if (!numeric && !is_text && !may_be_boolean) return fail(Fault::not_text, target.field);
        if (entry.token == Token::bytes && !simdjson::validate_utf8(text.data(), text.size())) {
            return fail(Fault::invalid_utf8, target.field);
        }
        if (target.type == Type::text) {
            slot.text = text.data();
            slot.extra = int64_t(text.size());
        } else {
            int64_t value = target.table->find_any(text);
            if (value == NO_VALUE && target.interns) {
                missing = MissingText{text, &target, schema_.messages[size_t(message_)].id};
                return Outcome::new_text;
            }
            if (value == NO_VALUE) value = target.table->other;
            if (value == NO_VALUE) return fail(Fault::unknown_value, target.field);
            slot.integer = value;
        }
    }
    filled |= 1u << target.slot;
    return Outcome::decoded;
}

Outcome Extractor::level(const Levels& levels, int role, const Entry& entry, Record& record) {
    LevelBuffer& side = record.sides[levels.side];
    if (role == 1) {
        side.count = 0;
        have_[levels.side] = 3;
        return entry.token == Token::array ? Outcome::decoded : fail(Fault::not_array, levels.field);
    }
    if (role == 2) {
        if (entry.token != Token::element) return Outcome::decoded;
        if (have_[levels.side] != 3) return fail(Fault::incomplete_level, levels.field);
        if (!side.reserve(int64_t(side.count) + 1, exact_)) return fail(Fault::too_large, levels.field);
        side.count++;
        have_[levels.side] = 0;
        return Outcome::decoded;
    }
    if (!is_scalar(entry.token) || entry.token == Token::boolean) return fail(Fault::not_decimal, levels.field);
    Decimal decimal;
    if (!decimal.parse(text_of(entry))) return fail(Fault::not_decimal, levels.field);
    size_t at = size_t(side.count - 1) * 2 + size_t(role - 3);
    if (!decimal.to_double(&side.values[at])) return fail(Fault::out_of_range, levels.field);
    if (exact_) {
        int32_t scale;
        decimal.to_exact(&side.mantissas[at], &scale);
        side.scales[at] = int8_t(scale);
    }
    have_[levels.side] |= 1 << (role - 3);
    return Outcome::decoded;
}

Outcome Extractor::scalar(const Message& message, const Entry& entry, Record& record, uint32_t& filled) {
    size_t node = size_t(entry.node);
    for (int32_t index : message.by_node[node]) {
        const Target& target = message.targets[size_t(index)];
        Outcome outcome = convert(target, entry, record.slots[target.slot], filled);
        if (outcome != Outcome::decoded) return outcome;
    }
    int role = message.level_role[node];
    if (role == 0) return Outcome::decoded;
    const Levels& levels = message.levels[size_t(message.level_index[node])];
    if (role == 1 && entry.token == Token::null) {
        return levels.optional ? Outcome::decoded : fail(Fault::null_value, levels.field);
    }
    if (role <= 2) filled |= 1u << (MAX_SLOTS + levels.side);
    return level(levels, role, entry, record);
}

static void reset(const Message& message, Record& record) {
    memcpy(record.slots, message.defaults, sizeof record.slots);
    record.sides[0].count = record.sides[1].count = 0;
}

// Checks that a record, or the fields around the walked array, are complete.
Outcome Extractor::finish(const Message& message, uint32_t filled, bool in_element) {
    for (const Target& target : message.targets) {
        bool mine = message.element < 0 || message.in_element[target.slot] == in_element;
        if (mine && !target.optional && !(filled >> target.slot & 1)) return fail(Fault::missing, target.field);
    }
    for (const Levels& levels : message.levels) {
        // Protobuf has no empty arrays: no element is no level.
        bool mine = message.element < 0 || in_element;
        bool seen = filled >> (MAX_SLOTS + levels.side) & 1;
        if (mine && !levels.optional && !seen && tape_->is_json) return fail(Fault::missing, levels.field);
        if (mine && have_[levels.side] != 3) return fail(Fault::incomplete_level, levels.field);
    }
    return Outcome::decoded;
}

Outcome Extractor::extract(Tape& tape, Records& records) {
    tape_ = &tape;
    message_ = records.message;
    const Message& message = schema_.messages[size_t(message_)];
    const bool walks = message.element >= 0;
    const int32_t array_node = walks ? schema_.nodes[size_t(message.element)].parent : -2;
    bool seen_array = false;
    uint32_t filled = 0, shared_filled = 0;
    have_[0] = have_[1] = 3;
    records.count = walks ? 0 : 1;
    Record* record = walks ? &shared_ : records.at(0);
    reset(message, *record);
    uint32_t* bits = walks ? &shared_filled : &filled;
    for (const Entry& entry : tape.entries) {
        if (entry.node < 0 || !message.captures[size_t(entry.node)]) continue;
        if (entry.token == Token::duplicate) return fail(Fault::duplicate);
        if (walks && entry.node == message.element && entry.token == Token::element) {
            if (bits == &filled) {
                Outcome outcome = finish(message, filled, true);
                if (outcome != Outcome::decoded) return outcome;
            }
            if (records.count >= MAX_EVENTS) return fail(Fault::too_large);
            record = records.at(size_t(records.count++));
            reset(message, *record);
            bits = &filled;
            filled = 0;
            seen_array = true;
            continue;
        }
        if (entry.node == array_node && entry.token == Token::array) seen_array = true;
        if (entry.token == Token::close) {
            bool ends = entry.node == array_node || entry.node == message.element;
            if (ends && bits == &filled) {
                Outcome outcome = finish(message, filled, true);
                if (outcome != Outcome::decoded) return outcome;
                record = &shared_;
                bits = &shared_filled;
            }
            continue;
        }
        Outcome outcome = scalar(message, entry, *record, *bits);
        if (outcome != Outcome::decoded) return outcome;
    }
    if (!walks) return finish(message, filled, false);
    if (!seen_array && tape.is_json) {
        for (const Target& target : message.targets) {
            if (message.in_element[target.slot]) return fail(Fault::missing, target.field);
        }
        return fail(Fault::missing);
    }
    Outcome outcome = finish(message, shared_filled, false);
    if (outcome != Outcome::decoded) return outcome;
    for (int32_t i = 0; i < records.count; i++) {
        for (int slot = 0; slot < MAX_SLOTS; slot++) {
            if (!message.in_element[size_t(slot)]) records.at(size_t(i))->slots[slot] = shared_.slots[slot];
        }
    }
    return Outcome::decoded;
}

} // namespace cexnet
