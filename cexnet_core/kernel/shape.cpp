#include "shape.hpp"

namespace cexnet {

bool LevelForm::operator==(const LevelForm& other) const {
    auto same = [](const Piece& a, const Piece& b) {
        return a.length == b.length && a.role == b.role && memcmp(a.literal, b.literal, a.length) == 0;
    };
    if (pieces.size() != other.pieces.size() || !same(closing, other.closing)) return false;
    for (size_t i = 0; i < pieces.size(); i++) {
        if (!same(pieces[i], other.pieces[i])) return false;
    }
    return true;
}

void Node::set_text(std::string_view text) {
    memset(literal, 0, sizeof literal);
    memcpy(literal, text.data(), text.size());
    length = uint32_t(text.size());
}

void ShapeTree::clear() {
    nodes.assign(1, Node()); // the root: an empty branch
    forms.clear();
    shapes.clear();
    known_forms_.clear();
}

int32_t ShapeTree::form(const LevelForm& wanted) {
    for (size_t i = 0; i < forms.size(); i++) {
        if (forms[i] == wanted) return int32_t(i);
    }
    if (forms.size() >= MAX_FORMS) return -1;
    forms.push_back(wanted);
    return int32_t(forms.size()) - 1;
}

int32_t& ShapeTree::form_of(int32_t message, int32_t side) {
    size_t index = size_t(message) * 2 + size_t(side);
    if (known_forms_.size() <= index) known_forms_.resize(index + 1, -1);
    return known_forms_[index];
}

// Node keeps the first `at` bytes of its literal; its hole and the rest move to a new child.
void ShapeTree::split(int32_t index, uint32_t at) {
    Node rest = nodes[size_t(index)];
    Node branch;
    branch.set_text(rest.text().substr(0, at));
    branch.sibling = rest.sibling;
    branch.child = int32_t(nodes.size());
    std::string tail(rest.text().substr(at));
    rest.set_text(tail);
    rest.sibling = -1;
    nodes.push_back(rest);
    nodes[size_t(index)] = branch;
    for (Node& node : nodes) {
        if (node.op == Op::loop_end && node.extra == index) node.extra = branch.child;
    }
}

static bool same_hole(const Node& a, const Node& b) {
    return a.op == b.op && a.slot == b.slot && a.quoted == b.quoted && a.stay == b.stay && a.table == b.table &&
           a.second == b.second && a.between_length == b.between_length &&
           memcmp(a.between, b.between, MAX_BETWEEN) == 0 && a.unit_ns == b.unit_ns && (a.extra == b.extra || a.op == Op::loop_end || a.op == Op::end);
}

int32_t ShapeTree::add(int32_t parent, const Node& node) {
    int32_t index = int32_t(nodes.size());
    nodes.push_back(node);
    int32_t* link = &nodes[size_t(parent)].child;
    while (*link >= 0) link = &nodes[size_t(*link)].sibling;
    *link = index;
    return index;
}

// The node of a step below `parent`: one that is there already, or a new one.
int32_t ShapeTree::add_step(int32_t parent, std::string_view literal, const Node& hole, bool* is_new) {
    for (;;) {
        int32_t child = nodes[size_t(parent)].child;
        uint32_t common = 0;
        for (; child >= 0; child = nodes[size_t(child)].sibling) {
            std::string_view have = nodes[size_t(child)].text();
            common = 0;
            while (common < have.size() && common < literal.size() && have[common] == literal[common]) common++;
            bool same = common == have.size() && common == literal.size() && same_hole(nodes[size_t(child)], hole);
            if (same) return child;
            if (common > 0) break;
        }
        if (child >= 0) {
            // Siblings differ in their first byte: what is common becomes a branch.
            const Node& have = nodes[size_t(child)];
            if (have.op != Op::branch || common < have.length) split(child, common);
            parent = child;
            literal.remove_prefix(common);
            continue;
        }
        *is_new = true;
        Node node;
        if (literal.size() > MAX_LITERAL) {
            node.set_text(literal.substr(0, MAX_LITERAL));
            literal.remove_prefix(MAX_LITERAL);
            parent = add(parent, node);
            continue;
        }
        node = hole;
        node.set_text(literal);
        node.child = node.sibling = -1;
        return add(parent, node);
    }
}

bool ShapeTree::insert(const std::vector<Step>& steps, const Shape& shape) {
    int32_t parent = 0, loop = -1;
    bool is_new = false;
    for (const Step& step : steps) {
        parent = add_step(parent, step.literal, step.hole, &is_new);
        Node& node = nodes[size_t(parent)];
        if (node.op == Op::loop) loop = parent;
        if (node.op == Op::loop_end) node.extra = loop;
        if (node.op == Op::end && is_new) {
            node.extra = int32_t(shapes.size());
            shapes.push_back(shape);
        }
    }
    for (Node& node : nodes) {
        node.slot_offset = uint32_t(node.slot & (MAX_SLOTS - 1)) * uint32_t(sizeof(Slot));
        node.second_offset = uint32_t(node.second) * uint32_t(sizeof(Slot));
        node.special = node.sibling >= 0 || node.stay || node.op == Op::loop || node.op == Op::loop_end;
    }
    return is_new;
}

} // namespace cexnet
