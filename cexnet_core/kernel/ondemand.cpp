#include "ondemand.hpp"

#include "number.hpp"
#include "simdjson.h"

namespace cexnet {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;
using std::string_view;

const char* ondemand_implementation() noexcept {
    static const std::string name = simdjson::get_active_implementation()->name();
    return name.c_str();
}

constexpr size_t MAX_SIZE = size_t(1) << 30;

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static string_view trim(string_view text) {
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    return text;
}

static bool has_escape(string_view text) { return memchr(text.data(), '\\', text.size()) != nullptr; }

struct JsonWalker::Impl {
    const Schema& schema;
    ondemand::parser parser;
    ondemand::document document;
    const char* base = nullptr;
    size_t size = 0;
    Tape* tape = nullptr;

    explicit Impl(const Schema& compiled) : schema(compiled) {}

    bool fail(Fault fault, int detail = 0) {
        tape->problem.fault = fault;
        tape->problem.detail = detail;
        return false;
    }
    bool fail(error_code error) { return fail(Fault::malformed, int(error)); }
    uint32_t offset(const char* at) const { return uint32_t(at - base); }

    // Offset just after the container that was walked last.
    uint32_t end_of_container() {
        const char* at;
        if (document.current_location().get(at)) at = base + size;
        while (at > base && at[-1] != '}' && at[-1] != ']') at--;
        return offset(at);
    }

    bool atom(string_view text, Token* token) {
        if (text == "null") *token = Token::null;
        else if (text == "true" || text == "false") *token = Token::boolean;
        else {
            *token = Token::number;
            Decimal decimal;
            if (!decimal.parse(text)) return fail(Fault::number);
        }
        return true;
    }

    // A string's bytes between its quotes, unescaped. `raw` has the quotes.
    bool string(ondemand::value& value, string_view raw, string_view* text) {
        if (has_escape(raw)) {
            error_code error = value.get_string().get(*text);
            return error ? fail(error) : true;
        }
        // A string that is only looked at would be taken for a key where a colon follows.
        ondemand::raw_json_string consumed;
        if (error_code error = value.get_raw_json_string().get(consumed)) return fail(error);
        if (raw.size() < 2 || raw.back() != '"') return fail(simdjson::STRING_ERROR);
        *text = raw.substr(1, raw.size() - 2);
        return true;
    }

    void emit(Token token, int node, string_view raw, string_view text) {
        uint32_t start = offset(raw.data());
        tape->add(token, node, start, start + uint32_t(raw.size()), text.data(), uint32_t(text.size()));
    }

    // `node` is -1 where no path leads; `visible` says whether skipped values are of interest.
    bool value(ondemand::value& given, int node, bool visible, int depth) {
        ondemand::json_type type;
        if (error_code error = given.type().get(type)) return fail(error);
        string_view raw = given.raw_json_token();
        if (type == ondemand::json_type::object || type == ondemand::json_type::array) {
            int opened = -1;
            uint32_t start = offset(raw.data());
            bool is_object = type == ondemand::json_type::object;
            if (node >= 0) opened = tape->add(is_object ? Token::object : Token::array, node, start, start, nullptr, 0);
            if (is_object) {
                ondemand::object inner;
                if (error_code error = given.get_object().get(inner)) return fail(error);
                if (!object(inner, node, depth + 1)) return false;
            } else {
                ondemand::array inner;
                if (error_code error = given.get_array().get(inner)) return fail(error);
                if (!array(inner, node, depth + 1)) return false;
            }
            close(opened, node, visible, start);
            return true;
        }
        // On an unread string before a colon simdjson would skip to the end of an object that
        // it takes to have been entered.
        if (raw.data()[raw.size()] == ':') return fail(simdjson::TAPE_ERROR);
        raw = trim(raw);
        string_view text = raw;
        Token token = Token::string;
        if (type == ondemand::json_type::string) {
            if (!string(given, raw, &text)) return false;
            if (raw.back() != '"') return fail(simdjson::STRING_ERROR);
        } else if (!atom(raw, &token)) {
            return false;
        }
        if (node >= 0) emit(token, node, raw, text);
        else if (visible) emit(Token::skipped, -1, raw, text);
        return true;
    }

    void close(int opened, int node, bool visible, uint32_t start) {
        if (opened < 0 && !visible) return;
        uint32_t end = end_of_container();
        if (opened < 0) {
            tape->add(Token::skipped, -1, start, end, nullptr, 0);
            return;
        }
        int closed = tape->add(Token::close, node, end, end, nullptr, 0);
        tape->entries[size_t(opened)].mate = closed;
        tape->entries[size_t(opened)].end = end;
        tape->entries[size_t(closed)].mate = opened;
    }

    int find_key(const PathNode& at, string_view key, size_t* hint) const {
        size_t count = at.children.size();
        for (size_t tried = 0; tried < count; tried++) {
            size_t i = *hint + tried;
            if (i >= count) i -= count;
            if (schema.nodes[size_t(at.children[i])].part == key) {
                *hint = i + 1 == count ? 0 : i + 1;
                return int(i);
            }
        }
        return -1;
    }

    bool object(ondemand::object& given, int node, int depth) {
        if (depth > MAX_DEPTH) return fail(Fault::too_deep);
        bool enters = node >= 0 && !schema.nodes[size_t(node)].children.empty();
        uint64_t seen = 0; // plan.py allows at most 64 children
        size_t hint = 0;
        for (auto result : given) {
            ondemand::field field;
            if (error_code error = std::move(result).get(field)) return fail(error);
            string_view key = field.escaped_key();
            if (has_escape(key)) {
                if (error_code error = field.unescaped_key().get(key)) return fail(error);
            }
            int child = -1;
            if (enters) {
                int found = find_key(schema.nodes[size_t(node)], key, &hint);
                if (found >= 0) {
                    child = schema.nodes[size_t(node)].children[size_t(found)];
                    if (seen >> found & 1) tape->add(Token::duplicate, child, 0, 0, nullptr, 0);
                    seen |= 1ull << found;
                }
            }
            if (!value(field.value(), child, enters, depth)) return false;
        }
        return true;
    }

    bool array(ondemand::array& given, int node, int depth) {
        if (depth > MAX_DEPTH) return fail(Fault::too_deep);
        const PathNode* at = node >= 0 ? &schema.nodes[size_t(node)] : nullptr;
        bool enters = at != nullptr && (at->star >= 0 || !at->children.empty());
        int64_t index = 0;
        for (auto result : given) {
            ondemand::value element;
            if (error_code error = std::move(result).get(element)) return fail(error);
            int child = -1;
            if (enters && at->star >= 0) {
                child = at->star;
                uint32_t start = offset(string_view(element.raw_json_token()).data());
                tape->add(Token::element, child, start, start, nullptr, 0);
            } else if (enters) {
                for (int candidate : at->children) {
                    if (schema.nodes[size_t(candidate)].number == index) child = candidate;
                }
            }
            if (!value(element, child, enters, depth)) return false;
            index++;
        }
        return true;
    }

    bool scalar_document(string_view raw) {
        Token token = Token::string;
        string_view text = raw;
        if (raw.front() == '"') {
            if (error_code error = document.get_string().get(text)) return fail(error);
            if (!document.at_end()) return fail(Fault::trailing);
        } else if (!atom(raw, &token)) {
            return false;
        }
        emit(token, 0, raw, text);
        return true;
    }

    bool run() {
        string_view raw = trim(string_view(base, size));
        if (raw.empty()) return fail(Fault::empty);
        if (size > MAX_SIZE) return fail(Fault::too_large);
        // simdjson would skip a byte order mark; JSON text must not have one (RFC 8259 section 8.1).
        if (raw.front() == '\xEF') return fail(simdjson::TAPE_ERROR);
        if (error_code error = parser.iterate(base, size, size + simdjson::SIMDJSON_PADDING).get(document)) {
            return fail(error);
        }
        if (raw.front() != '{' && raw.front() != '[') return scalar_document(raw);
        ondemand::value root;
        if (error_code error = document.get_value().get(root)) return fail(error);
        if (!value(root, 0, true, 0)) return false;
        return document.at_end() ? true : fail(Fault::trailing);
    }
};

JsonWalker::JsonWalker(const Schema& schema) : impl_(new Impl(schema)) {}
JsonWalker::~JsonWalker() = default;

bool JsonWalker::walk(const char* data, size_t size, Tape& tape) {
    tape.clear();
    impl_->base = data;
    impl_->size = size;
    impl_->tape = &tape;
    return impl_->run();
}

} // namespace cexnet
