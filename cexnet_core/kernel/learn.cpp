// From the tape of a decoded message to the steps of its shape.
//
// Values that the message captures become typed holes. Whatever decides which message fits
// (`when` texts, `has` paths) stays literal, so that a shape always means the same message.
// Everything else becomes a hole that skips one value, so that one shape serves all symbols.
#include <algorithm>

#include "shape.hpp"

namespace cexnet {

namespace {

struct Learner {
    const Schema& schema;
    const Message& message;
    const Tape& tape;
    const char* data;
    ShapeTree& tree;
    std::vector<Step>& steps;
    int32_t index_of_message;
    uint32_t cursor = 0;
    uint32_t filled = 0; // bits of slots
    uint8_t sides = 0;   // bits of sides whose levels are read

    const Entry& entry(size_t index) const { return tape.entries[index]; }
    std::string_view between(uint32_t from, uint32_t to) const { return {data + from, to - from}; }

    Node& step(uint32_t start, Op op) {
        steps.push_back(Step{std::string(between(cursor, start)), Node()});
        steps.back().hole.op = op;
        cursor = start;
        return steps.back().hole;
    }

    static bool is_escaped(const Entry& value) {
        return value.token == Token::string && value.end - value.start != value.length + 2;
    }

    bool is_compared(int32_t node) const {
        for (const Message& other : schema.messages) {
            for (const When& when : other.when) {
                if (when.node == node) return true;
            }
        }
        return false;
    }

    void hole(const Entry& value, const Target& target, bool stay) {
        bool quoted = value.token == Token::string;
        uint32_t start = quoted ? value.start + 1 : value.start;
        uint32_t end = quoted ? value.end - 1 : value.end;
        Op op = target.type == Type::decimal   ? Op::decimal
                : target.type == Type::integer ? Op::integer
                : target.type == Type::time    ? Op::time
                : target.type == Type::text    ? Op::text
                                               : Op::lookup;
        Node& node = step(start, op);
        node.slot = target.slot;
        node.quoted = quoted;
        node.stay = stay;
        node.table = op == Op::lookup ? target.table : nullptr;
        if (target.interns) {
            node.interns = &target;
            node.message = message.id;
        }
        node.unit_ns = op == Op::time ? target.unit_ns : 0;
        filled |= 1u << target.slot;
        if (!stay) cursor = end;
    }

    void skip(const Entry& value, uint8_t kinds) {
        step(value.start, Op::skip).slot = kinds;
        cursor = value.end;
    }

    // Kinds of values that leave it undecided which message fits and what it captures.
    uint8_t kinds_of(int32_t node) const {
        uint8_t kinds = ANY;
        const PathNode& path = schema.nodes[size_t(node)];
        if (path.must_exist) kinds &= uint8_t(~NULL_);
        bool matters = path.discriminates || message.captures[size_t(node)];
        if (matters && (!path.children.empty() || path.star >= 0)) kinds &= uint8_t(~(OBJECT | ARRAY));
        return kinds;
    }

    bool scalar(const Entry& value) {
        const std::vector<int32_t>& targets = message.by_node[size_t(value.node)];
        if (is_escaped(value)) return false;
        bool compared = is_compared(value.node);
        bool numbers_only = true;
        for (int32_t index : targets) {
            Type type = message.targets[size_t(index)].type;
            numbers_only &= type == Type::decimal || type == Type::integer || type == Type::time;
        }
        // Not given: an optional field that is null or empty stays literal.
        if (value.token == Token::null || (value.length == 0 && !targets.empty() && numbers_only)) {
            if (targets.empty() && !compared && kinds_of(value.node) & NULL_) skip(value, kinds_of(value.node));
            return true;
        }
        // An unquoted lookup takes booleans too, which are no text: such messages, which no
        // exchange sends, are not learned.
        for (int32_t index : targets) {
            bool interned = message.targets[size_t(index)].type == Type::interned;
            if (interned && value.token != Token::string) return false;
        }
        for (size_t i = 0; i < targets.size(); i++) {
            bool stay = compared || i + 1 < targets.size();
            hole(value, message.targets[size_t(targets[i])], stay);
        }
        if (targets.empty() && !compared) skip(value, kinds_of(value.node));
        return true;
    }

    static bool piece(Piece& into, std::string_view literal, uint8_t role) {
        if (literal.size() > MAX_PIECE) return false;
        memcpy(into.literal, literal.data(), literal.size());
        into.length = uint8_t(literal.size());
        into.role = role;
        return true;
    }

    // The form of the first level between the entries [index, end) of a levels array.
    bool level_form(size_t index, size_t end, LevelForm& form) {
        const Entry& first = entry(index);
        uint32_t at = first.start, stop = entry(index + 1).end;
        bool container = entry(index + 1).mate > 0;
        if (!container) return false;
        size_t last = size_t(entry(index + 1).mate);
        if (last >= end) return false;
        for (size_t i = index + 2; i < last; i++) {
            const Entry& value = entry(i);
            int role = value.node >= 0 ? message.level_role[size_t(value.node)] : 0;
            bool number = role >= 3;
            if (value.token == Token::duplicate) return false;
            if (number && (is_escaped(value) || (value.token != Token::string && value.token != Token::number))) {
                return false;
            }
            bool quoted = number && value.token == Token::string;
            uint32_t from = quoted ? value.start + 1 : value.start;
            Piece next;
            if (!piece(next, between(at, from), number ? uint8_t(role - 3) : uint8_t(2))) return false;
            form.pieces.push_back(next);
            at = quoted ? value.end - 1 : value.end;
            if (value.mate > 0) i = size_t(value.mate);
        }
        if (!piece(form.closing, between(at, stop), 2) || form.pieces.size() < 2) return false;
        auto is = [](const Piece& have, std::string_view literal, uint8_t role) {
            return std::string_view(have.literal, have.length) == literal && have.role == role;
        };
        form.pair = is(form.pieces[0], "[\"", 0) && is(form.pieces[1], "\",\"", 1);
        if (form.pair && form.pieces.size() == 2) {
            form.pair = std::string_view(form.closing.literal, form.closing.length) == "\"]";
        }
        return true;
    }

    bool levels(size_t index) {
        const Entry& array = entry(index);
        const Levels& side = message.levels[size_t(message.level_index[size_t(array.node)])];
        size_t end = size_t(array.mate);
        int32_t& known = tree.form_of(index_of_message, side.side);
        if (end == index + 1) {
            if (known < 0) return true; // empty, and nothing is known of its elements: literal
        } else {
            LevelForm form;
            if (!level_form(index + 1, end, form)) return false;
            known = tree.form(form);
            if (known < 0) return false;
        }
        Node& node = step(array.start, Op::levels);
        node.slot = uint8_t(side.side);
        node.extra = known;
        sides |= uint8_t(1 << side.side);
        cursor = array.end;
        return true;
    }

    // The first element stands for all: the replay of the message tells whether it may.
    bool loop(size_t index) {
        size_t end = size_t(entry(index).mate);
        if (end == index + 1) return true;
        step(entry(index + 1).start, Op::loop);
        size_t value = index + 2;
        size_t after = entry(value).mate > 0 ? size_t(entry(value).mate) + 1 : value + 1;
        if (!walk(value, after)) return false;
        step(entry(value).end, Op::loop_end);
        cursor = entry(index).end;
        return true;
    }

    bool walk(size_t from, size_t to) {
        for (size_t i = from; i < to; i++) {
            const Entry& value = entry(i);
            if (steps.size() >= MAX_STEPS || value.token == Token::duplicate) return false;
            if (value.token == Token::close || value.token == Token::element) continue;
            if (value.token == Token::skipped) {
                skip(value, ANY);
                continue;
            }
            if (value.token != Token::object && value.token != Token::array) {
                if (!scalar(value)) return false;
                continue;
            }
            size_t node = size_t(value.node);
            bool is_array = value.token == Token::array;
            bool walked = message.element >= 0 && schema.nodes[size_t(message.element)].parent == value.node;
            if (is_array && message.level_role[node] == 1) {
                if (!levels(i)) return false;
            } else if (is_array && walked) {
                if (!loop(i)) return false;
            } else if (message.captures[node] || enters(value.node) || is_compared(value.node)) {
                continue; // its brackets stay literal, its values follow
            } else {
                skip(value, kinds_of(value.node));
            }
            i = size_t(value.mate);
        }
        return true;
    }

    bool enters(int32_t node) const {
        const PathNode& path = schema.nodes[size_t(node)];
        if (path.star >= 0 && schema.nodes[size_t(path.star)].discriminates) return true;
        for (int32_t child : path.children) {
            if (schema.nodes[size_t(child)].discriminates) return true;
        }
        return false;
    }

};

} // namespace

void join_pairs(std::vector<Step>& steps) {
    auto joins = [](const Step& step) {
        return step.hole.op == Op::decimal && step.hole.quoted && !step.hole.stay;
    };
    std::vector<Step> joined;
    for (size_t i = 0; i < steps.size(); i++) {
        joined.push_back(steps[i]);
        if (i + 1 == steps.size() || !joins(steps[i]) || !joins(steps[i + 1])) continue;
        const std::string& between = steps[i + 1].literal;
        if (between.size() > MAX_BETWEEN) continue;
        Node& pair = joined.back().hole;
        pair.op = Op::pair;
        pair.second = steps[i + 1].hole.slot;
        pair.between_length = uint32_t(between.size());
        memcpy(pair.between, between.data(), between.size());
        i++;
    }
    steps.swap(joined);
}

bool learn_steps(
    const Schema& schema, int32_t message, const Tape& tape, const char* data, size_t size,
    ShapeTree& tree, std::vector<Step>& steps, Shape& shape
) {
    const Message& chosen = schema.messages[size_t(message)];
    Learner learner{schema, chosen, tape, data, tree, steps, message};
    steps.clear();
    shape = Shape{};
    shape.message = message;
    shape.loops = chosen.element >= 0;
    if (!learner.walk(0, tape.entries.size())) return false;
    learner.step(uint32_t(size), Op::end);
    join_pairs(steps);
    size_t literals = 0;
    for (const Step& step : steps) literals += step.literal.size();
    if (steps.size() > MAX_STEPS || literals > MAX_SHAPE_BYTES) return false;
    shape.empty_sides = uint8_t(~learner.sides & 3);
    for (int slot = 0; slot < chosen.slot_count; slot++) {
        bool filled = learner.filled >> slot & 1;
        if (!filled) shape.defaulted[shape.defaulted_count++] = uint8_t(slot);
        else if (chosen.element >= 0 && !chosen.in_element[size_t(slot)]) shape.copied[shape.copied_count++] = uint8_t(slot);
    }
    return true;
}

} // namespace cexnet
