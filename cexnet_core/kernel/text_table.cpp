#include "text_table.hpp"

#include <utility>

namespace cexnet {

bool TextTable::add(std::string_view text, int64_t value) {
    if (full()) return false;
    size_++;
    for (char c : text) {
        if (uint8_t(c) >= 0x20 && c != '"' && c != '\\') continue;
        escaped_[std::string(text)] = value;
        return true;
    }
    if (text.size() > 16) {
        long_[std::string(text)] = value;
        return true;
    }
    if (++short_size_ * 2 > slots_.size()) grow();
    char padded[16] = {};
    memcpy(padded, text.data(), text.size());
    Key key = load(padded, text.size());
    size_t mask = slots_.size() - 1;
    size_t i = hash(key) & mask;
    while (slots_[i].length != EMPTY) i = (i + 1) & mask;
    slots_[i] = Slot{key, value, uint32_t(text.size())};
    return true;
}

void TextTable::grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
        if (slot.length == EMPTY) continue;
        size_t i = hash(slot.key) & mask;
        while (slots_[i].length != EMPTY) i = (i + 1) & mask;
        slots_[i] = slot;
    }
}

int64_t TextTable::find_long(const char* text, size_t length) const noexcept {
    if (long_.empty()) return NO_VALUE;
    auto found = long_.find(std::string(text, length));
    return found == long_.end() ? NO_VALUE : found->second;
}

int64_t TextTable::find_any(std::string_view text) const {
    char padded[16] = {};
    int64_t value;
    if (text.size() <= 16) {
        memcpy(padded, text.data(), text.size());
        value = find(padded, text.size());
    } else {
        value = find_long(text.data(), text.size());
    }
    for (const auto* others : {&escaped_, &passing_}) {
        if (value != NO_VALUE || others->empty()) continue;
        auto found = others->find(std::string(text));
        if (found != others->end()) value = found->second;
    }
    return value;
}

} // namespace cexnet
