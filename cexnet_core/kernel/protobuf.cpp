#include "protobuf.hpp"

// Wire format: https://protobuf.dev/programming-guides/encoding/

namespace cexnet {

namespace {

enum WireType { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct Walk {
    const Schema& schema;
    const char* base;
    Tape& tape;

    bool fail() {
        tape.problem.fault = Fault::protobuf;
        return false;
    }

    // At most ten bytes and 64 bits.
    static bool varint(const uint8_t*& at, const uint8_t* end, uint64_t* value) {
        uint64_t result = 0;
        for (int shift = 0; shift < 70 && at < end; shift += 7) {
            uint8_t byte = *at++;
            if (shift == 63 && byte > 1) return false;
            result |= uint64_t(byte & 0x7F) << shift;
            if (byte < 0x80) {
                *value = result;
                return true;
            }
        }
        return false;
    }

    int child(int node, int64_t number) const {
        for (int candidate : schema.nodes[size_t(node)].children) {
            if (schema.nodes[size_t(candidate)].number == number) return candidate;
        }
        return -1;
    }

    uint32_t offset(const uint8_t* at) const { return uint32_t(reinterpret_cast<const char*>(at) - base); }

    bool field(int node, WireType type, uint64_t value, const uint8_t* start, const uint8_t* end) {
        const PathNode* at = &schema.nodes[size_t(node)];
        bool repeated = at->star >= 0;
        if (repeated) {
            node = at->star;
            at = &schema.nodes[size_t(node)];
            tape.add(Token::element, node, offset(start), offset(end), nullptr, 0);
        }
        if (type == VARINT) {
            // Negative int32 and int64 values are sent as ten bytes of two's complement.
            tape.rendered.push_back(std::to_string(int64_t(value)));
            const std::string& text = tape.rendered.back();
            tape.add(Token::varint, node, 0, 0, text.data(), uint32_t(text.size()));
        } else {
            const char* text = reinterpret_cast<const char*>(start);
            tape.add(Token::bytes, node, offset(start), offset(end), text, uint32_t(end - start));
            if (!at->children.empty() && !message(node, start, end)) return false;
        }
        if (repeated) tape.add(Token::close, node, offset(end), offset(end), nullptr, 0);
        return true;
    }

    bool message(int node, const uint8_t* at, const uint8_t* end) {
        while (at < end) {
            uint64_t tag = 0, value = 0;
            if (!varint(at, end, &tag) || tag > UINT32_MAX || tag >> 3 == 0) return fail();
            int found = child(node, int64_t(tag >> 3));
            const uint8_t* start = at;
            switch (tag & 7) {
            case VARINT:
                if (!varint(at, end, &value)) return fail();
                if (found >= 0 && !field(found, VARINT, value, start, at)) return false;
                break;
            case BYTES:
                if (!varint(at, end, &value) || value > uint64_t(end - at)) return fail();
                start = at;
                at += value;
                if (found >= 0 && !field(found, BYTES, 0, start, at)) return false;
                break;
            case FIXED64:
            case FIXED32: {
                // No schema field is a float or a fixed integer: skipped, known or not.
                int64_t width = (tag & 7) == FIXED64 ? 8 : 4;
                if (end - at < width) return fail();
                at += width;
                break;
            }
            default:
                return fail(); // groups are long deprecated; 6 and 7 do not exist
            }
        }
        return true;
    }
};

} // namespace

bool walk_protobuf(const Schema& schema, const char* data, size_t size, Tape& tape) {
    tape.clear();
    tape.is_json = false;
    if (size == 0 || size > (size_t(1) << 30)) {
        tape.problem.fault = size == 0 ? Fault::empty : Fault::too_large;
        return false;
    }
    const auto* at = reinterpret_cast<const uint8_t*>(data);
    return Walk{schema, data, tape}.message(0, at, at + size);
}

} // namespace cexnet
