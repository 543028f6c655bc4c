// What all parts of the decoding kernel share: the compiled schema, the tape that
// the slow paths write, and the records that every path fills.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "text_table.hpp"

namespace cexnet {

constexpr int MAX_SLOTS = 16;              // fields of the widest event, OrderUpdate and Fill, and room
constexpr int MAX_DEPTH = 64;              // nested arrays and objects; exchanges use less than ten
constexpr uint64_t MAX_EXACT = 1ull << 53; // integers up to here are doubles without rounding
constexpr int SYMBOL_SLOT = 0, TIME_SLOT = 1, SEQUENCE_SLOT = 2;

enum class Type : uint8_t { decimal, integer, time, interned, mapped, text, price, size };

// One field of one event, before it becomes an event.
struct Slot {
    union {
        double number;
        int64_t integer;
        const char* text;
    };
    int64_t extra; // exact mantissa of a decimal, or length of a text
    int32_t scale; // exact scale of a decimal, -1: none
};

// Levels of one side; handed to the event by swapping pointers.
struct LevelBuffer {
    double* values = nullptr;
    int64_t* mantissas = nullptr;
    int8_t* scales = nullptr;
    int32_t count = 0;
    int32_t capacity = 0;
    int32_t hint = 0; // levels of recent messages, for the first allocation

    bool reserve(int64_t levels, bool exact) noexcept;
    void release() noexcept;
};

struct Record {
    Slot slots[MAX_SLOTS];
    LevelBuffer sides[2];
};

// One typed destination of a path.
struct Target {
    Type type;
    uint8_t slot; // or side, for price and size
    bool optional;
    bool interns;  // the table may take new texts (through Python)
    int64_t unit_ns;
    TextTable* table;
    int32_t field; // index in the message's list of fields, for error texts
    int32_t node;
};

struct Levels {
    int32_t side, array, element, price, size, field;
    bool optional;
};

struct When {
    int32_t node;
    std::vector<std::string> texts;
};

struct Message {
    int32_t id = -1;
    std::vector<When> when;
    std::vector<int32_t> has;
    std::string literal;
    int32_t element = -1;
    std::vector<Target> targets;
    std::vector<Levels> levels;
    Slot defaults[MAX_SLOTS];
    int32_t slot_count = MAX_SLOTS; // slots that the event uses
    std::vector<std::vector<int32_t>> by_node; // node -> indices of targets
    std::vector<int8_t> level_role;            // node -> 0 none, 1 array, 2 element, 3 price, 4 size
    std::vector<int8_t> level_index;           // node -> index of levels
    std::vector<bool> captures;                // node -> something at or below it is wanted
    std::vector<bool> in_element;              // target slot -> filled once an element
};

struct PathNode {
    int32_t parent;
    std::string part;
    int64_t number = -1; // array position or protobuf field number, -1: neither
    int32_t star = -1;
    std::vector<int32_t> children; // without star
    bool discriminates = false;    // a when or has path ends here or below
    bool must_exist = false;       // a has path ends here
};

struct Schema {
    std::vector<PathNode> nodes;
    std::vector<Message> messages;
    std::vector<int32_t> channels;

    int add_node(int parent, const char* part, size_t length);
    Message* add_message(int id);
    void finish();
};

enum class Token : uint8_t {
    string,
    number,
    boolean,
    null,
    object,    // end: index of the matching close entry is in mate
    array,
    close,
    element,   // one element of a walked array starts; a close entry of its node ends it
    skipped,   // a value that no path enters
    duplicate, // the key of this node came twice in one object
    bytes,     // protobuf: length-delimited
    varint,    // protobuf: already rendered as decimal text
};

// One step of a walked message. start and end are offsets of the raw value, quotes included.
struct Entry {
    const char* text; // unescaped
    uint32_t length;
    uint32_t start, end;
    int32_t node;
    int32_t mate;
    Token token;
};

enum class Fault : uint8_t {
    none,
    empty,
    malformed,       // detail: simdjson's error code
    number,          // a JSON number or literal that breaks the grammar
    too_deep,
    trailing,
    duplicate,
    missing,
    null_value,
    not_decimal,
    not_integer,
    not_time,
    not_text,
    out_of_range,
    unknown_value,
    incomplete_level,
    not_array,
    protobuf,
    too_large,
    invalid_utf8,
};

struct Problem {
    Fault fault = Fault::none;
    int32_t message = -1; // index in Schema::messages
    int32_t field = -1;
    int32_t detail = 0;
};

struct Tape {
    std::vector<Entry> entries;
    std::deque<std::string> rendered; // texts that do not stand in the message
    Problem problem;
    bool is_json = true;

    void clear();
    int add(Token token, int node, uint32_t start, uint32_t end, const char* text, uint32_t length);
};

} // namespace cexnet
