// The shape cache: what a learned message looks like, byte by byte, as a tree of steps.
//
// A step is a literal followed by one typed hole. Shapes share their first steps; where they
// part, a node has several children that are tried at the same place of the message.
#pragma once

#include "extract.hpp"
#include "wire.hpp"

namespace cexnet {

enum class Op : uint8_t {
    branch,   // literal only: shapes part here
    end,      // the message ends here
    pair,     // two decimals in quotes and the literal between them, read at once
    decimal,
    integer,
    time,
    lookup,   // interned or mapped text
    text,
    levels,   // any number of levels of one side
    skip,     // one JSON value that is not wanted
    loop,     // first element of the walked array
    loop_end, // back to `loop` after a comma, on after the closing bracket
};

// Kinds of JSON values that a skip hole accepts.
enum Kind : uint8_t { STRING = 1, NUMBER = 2, BOOLEAN = 4, NULL_ = 8, OBJECT = 16, ARRAY = 32, ANY = 63 };

constexpr uint32_t MAX_PIECE = 32;       // bytes of literal between the numbers of a level
constexpr size_t MAX_STEPS = 256;        // of one shape
constexpr size_t MAX_SHAPE_BYTES = 4096; // of literals in one shape
constexpr uint32_t MAX_LITERAL = 32;     // bytes of one node's literal: one AVX2 load
constexpr int MAX_SKIP_DEPTH = 16;       // nested arrays and objects of a skipped value
constexpr size_t MAX_FORMS = 64;         // of levels

constexpr uint32_t MAX_BETWEEN = 16;     // bytes of the literal between a pair of decimals

struct Piece {
    char literal[MAX_PIECE];
    uint8_t length;
    uint8_t role; // 0 price, 1 size, 2 skipped
};

// How one level is written, between the commas of its array.
struct LevelForm {
    std::vector<Piece> pieces;
    Piece closing;
    bool pair = false; // starts with ["price","size" : the form that most exchanges use

    bool operator==(const LevelForm& other) const;
};

struct Node {
    char literal[MAX_LITERAL] = {}; // longer ones are spread over a chain of branches
    uint32_t length = 0;
    Op op = Op::branch;
    uint8_t slot = 0;     // or side of levels, or Kind of skip
    uint8_t second = 0;   // slot of a pair's second decimal
    bool quoted = false;  // the hole is a JSON string
    bool stay = false;    // the next step reads the same place
    bool special = false; // has a sibling, stays, or begins or ends a loop: not the straight way
    int32_t child = -1;
    int32_t sibling = -1;
    int32_t extra = -1;   // end: shape; levels: form; loop_end: node of its loop
    uint32_t slot_offset = 0, second_offset = 0; // bytes into the record
    uint32_t between_length = 0;
    char between[MAX_BETWEEN] = {};              // a pair's middle
    TextTable* table = nullptr;
    const Target* interns = nullptr;             // whose table takes new texts
    int32_t message = -1;                        // of `interns`
    int64_t unit_ns = 0;

    std::string_view text() const { return {literal, length}; }
    void set_text(std::string_view text);
};

struct Step {
    std::string literal;
    Node hole; // without literal and links
};

// What a learned shape leaves to the defaults of its message.
struct Shape {
    int32_t message;
    bool loops;
    uint8_t empty_sides; // bits of sides whose levels no hole fills
    uint8_t defaulted_count, copied_count;
    uint8_t defaulted[MAX_SLOTS]; // slots that no hole fills
    uint8_t copied[MAX_SLOTS];    // slots filled outside the loop, the same in each record
};

struct ShapeTree {
    std::vector<Node> nodes;
    std::vector<LevelForm> forms;
    std::vector<Shape> shapes;

    ShapeTree() { clear(); }
    void clear();
    // False: the tree has this shape already.
    bool insert(const std::vector<Step>& steps, const Shape& shape);
    int32_t form(const LevelForm& wanted);          // its index, added when it is new; -1: no room
    int32_t& form_of(int32_t message, int32_t side); // the form seen last, -1: none yet

  private:
    std::vector<int32_t> known_forms_;
    int32_t add(int32_t parent, const Node& node);
    int32_t add_step(int32_t parent, std::string_view literal, const Node& hole, bool* is_new);
    void split(int32_t node, uint32_t at);
};

// Steps of the decoded message on the tape; false where a shape cannot express it.
bool learn_steps(
    const Schema& schema, int32_t message, const Tape& tape, const char* data, size_t size,
    ShapeTree& tree, std::vector<Step>& steps, Shape& shape
);

// Joins neighbouring decimals to pairs.
void join_pairs(std::vector<Step>& steps);

constexpr int32_t NEW_TEXT = -2;

// Matches a message against the tree and fills the records. Returns the shape's index, -1 when
// none fits, or NEW_TEXT when one fits but records.missing must be learned first.
// `data` must have 64 readable bytes after `end`.
using Matcher = int32_t (*)(
    const ShapeTree& tree, const Schema& schema, bool exact, const char* data, const char* end, Records& records
) noexcept;

int32_t match_portable(const ShapeTree&, const Schema&, bool, const char*, const char*, Records&) noexcept;
int32_t match_avx2(const ShapeTree&, const Schema&, bool, const char*, const char*, Records&) noexcept;
bool has_avx2() noexcept;

} // namespace cexnet
