// Wire text -> small integer, for symbols and enumerated values.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cexnet {

constexpr int64_t NO_VALUE = INT64_MIN;

// Texts of up to 16 bytes, all symbols of most exchanges, are found by one probe of two
// words. Longer ones go through a hash map. Never holds more than `capacity` texts.
class TextTable {
  public:
    explicit TextTable(size_t capacity) : capacity_(capacity), slots_(64) {}

    // The value of raw JSON text, as it stands between its quotes: what is found is valid there.
    // `text` must have 16 readable bytes. NO_VALUE when it is not known.
    int64_t find(const char* text, size_t length) const noexcept {
        if (length > 16) return find_long(text, length);
        Key key = load(text, length);
        for (size_t i = hash(key);; i++) {
            const Slot& slot = slots_[i & (slots_.size() - 1)];
            if (slot.length == EMPTY) return NO_VALUE;
            if (slot.key.low == key.low && slot.key.high == key.high && slot.length == length) {
                return slot.value;
            }
        }
    }

    bool full() const noexcept { return size_ >= capacity_; }
    bool add(std::string_view text, int64_t value);

    // Texts beyond the capacity live for one message only.
    void add_passing(std::string_view text, int64_t value) { passing_[std::string(text)] = value; }
    void forget_passing() { if (!passing_.empty()) passing_.clear(); }
    // The value of unescaped text. Knows also those that JSON would have to escape, and those
    // passing. Needs no padding.
    int64_t find_any(std::string_view text) const;

    int64_t other = NO_VALUE; // value of every text that is not listed

  private:
    static constexpr uint32_t EMPTY = UINT32_MAX;
    struct Key {
        uint64_t low, high;
    };
    struct Slot {
        Key key{0, 0};
        int64_t value = 0;
        uint32_t length = EMPTY;
    };

    static Key load(const char* text, size_t length) noexcept {
        Key key;
        memcpy(&key, text, 16);
        // Bytes after the text are cleared; shifts by 64 are undefined, hence the halves.
        if (length <= 8) {
            key.high = 0;
            key.low &= length == 8 ? ~0ull : ((1ull << (length * 8)) - 1);
        } else {
            size_t rest = length - 8;
            key.high &= rest == 8 ? ~0ull : ((1ull << (rest * 8)) - 1);
        }
        return key;
    }

    static size_t hash(const Key& key) noexcept {
        uint64_t mixed = (key.low ^ (key.high * 0x9E3779B97F4A7C15ull)) * 0xD6E8FEB86659FD93ull;
        return size_t(mixed >> 32);
    }

    int64_t find_long(const char* text, size_t length) const noexcept;
    void grow();

    size_t capacity_;
    size_t size_ = 0;
    size_t short_size_ = 0;
    std::vector<Slot> slots_;
    std::unordered_map<std::string, int64_t> long_;
    std::unordered_map<std::string, int64_t> escaped_; // texts that JSON cannot hold as they are
    std::unordered_map<std::string, int64_t> passing_;
};

} // namespace cexnet
