#include "wire.hpp"

#include <algorithm>
#include <cmath>

namespace cexnet {

bool LevelBuffer::reserve(int64_t levels, bool exact) noexcept {
    if (levels <= capacity && (!exact || mantissas != nullptr)) return true;
    if (levels > INT32_MAX / 32) return false;
    size_t wanted = size_t(std::max<int64_t>({levels, int64_t(count) * 2, int64_t(hint), 16}));
    auto* new_values = static_cast<double*>(realloc(values, wanted * 2 * sizeof(double)));
    if (new_values == nullptr) return false;
    values = new_values;
    if (exact) {
        auto* new_mantissas = static_cast<int64_t*>(realloc(mantissas, wanted * 2 * sizeof(int64_t)));
        if (new_mantissas == nullptr) return false;
        mantissas = new_mantissas;
        auto* new_scales = static_cast<int8_t*>(realloc(scales, wanted * 2));
        if (new_scales == nullptr) return false;
        scales = new_scales;
    }
    capacity = int32_t(wanted);
    return true;
}

void LevelBuffer::release() noexcept {
    free(values);
    free(mantissas);
    free(scales);
    *this = LevelBuffer();
}

int Schema::add_node(int parent, const char* part, size_t length) {
    PathNode node;
    node.parent = parent;
    node.part.assign(part, length);
    bool digits = length > 0 && length < 10 && (length == 1 || part[0] != '0');
    for (size_t i = 0; i < length; i++) digits = digits && part[i] >= '0' && part[i] <= '9';
    if (digits) node.number = std::stol(node.part);
    int index = int(nodes.size());
    nodes.push_back(node);
    if (parent >= 0) {
        if (node.part == "*") nodes[size_t(parent)].star = index;
        else nodes[size_t(parent)].children.push_back(index);
    }
    return index;
}

Message* Schema::add_message(int id) {
    messages.emplace_back();
    Message& message = messages.back();
    message.id = id;
    for (Slot& slot : message.defaults) {
        slot.integer = -1;
        slot.extra = 0;
        slot.scale = -1;
    }
    return &message;
}

void Schema::finish() {
    auto mark_up = [this](int node, auto&& mark) {
        for (; node >= 0; node = nodes[size_t(node)].parent) mark(size_t(node));
    };
    auto mark_discriminator = [&](int node) {
        mark_up(node, [this](size_t at) { nodes[at].discriminates = true; });
    };
    for (Message& message : messages) {
        for (const When& when : message.when) mark_discriminator(when.node);
        for (int node : message.has) {
            mark_discriminator(node);
            nodes[size_t(node)].must_exist = true;
        }
        message.by_node.assign(nodes.size(), {});
        message.level_role.assign(nodes.size(), 0);
        message.level_index.assign(nodes.size(), -1);
        message.captures.assign(nodes.size(), false);
        message.in_element.assign(MAX_SLOTS, false);
        auto capture = [&](int node) { mark_up(node, [&](size_t at) { message.captures[at] = true; }); };
        for (size_t i = 0; i < message.targets.size(); i++) {
            const Target& target = message.targets[i];
            message.by_node[size_t(target.node)].push_back(int32_t(i));
            capture(target.node);
            mark_up(target.node, [&](size_t at) {
                if (int(at) == message.element) message.in_element[target.slot] = true;
            });
        }
        for (size_t i = 0; i < message.levels.size(); i++) {
            const Levels& levels = message.levels[i];
            int roles[] = {levels.array, levels.element, levels.price, levels.size};
            for (int role = 0; role < 4; role++) {
                message.level_role[size_t(roles[role])] = int8_t(role + 1);
                message.level_index[size_t(roles[role])] = int8_t(i);
            }
            capture(levels.price);
            capture(levels.size);
        }
    }
}

void Tape::clear() {
    entries.clear();
    rendered.clear();
    problem = Problem();
    is_json = true;
}

int Tape::add(Token token, int node, uint32_t start, uint32_t end, const char* text, uint32_t length) {
    entries.push_back(Entry{text, length, start, end, node, -1, token});
    return int(entries.size()) - 1;
}

} // namespace cexnet
