# From the compiled plan to the kernel's tables, once a decoder. Private.
from libc.stdint cimport int64_t, uint8_t
from libcpp.string cimport string

from cexnet_core._kernel cimport *

cdef enum:
    MAX_TEXTS = 65_536              # interned texts of one kind of field


cdef inline string utf8(str text):
    cdef bytes encoded = text.encode()
    return string(<const char*>encoded, <size_t>len(encoded))


cdef inline int load_nodes(KernelSchema* schema, object plan) except -1:
    cdef bytes part
    for node in plan.nodes:
        part = node.part.encode()
        schema.add_node(node.parent, part, len(part))
    for channel in plan.channels:
        schema.channels.push_back(channel)
    return 0


cdef inline int load_defaults(KernelMessage* message, object types) except -1:
    cdef int slot = 0
    for type_ in types:
        if type_ == "decimal":
            message.defaults[slot].number = float("nan")
        elif type_ in ("flag", "side"):
            message.defaults[slot].integer = 0
        slot += 1
    message.slot_count = slot
    return 0


cdef inline KernelMessage* load_message(KernelSchema* schema, int index, object plan) except NULL:
    cdef KernelMessage* message = schema.add_message(index)
    cdef When when
    cdef KernelLevels levels
    cdef int number = len(plan.targets)
    message.element = plan.element
    if plan.literal is not None:
        message.literal = string(<const char*><bytes>plan.literal, <size_t>len(plan.literal))
    for node, texts in plan.when:
        when.node = node
        when.texts.clear()
        for text in texts:
            when.texts.push_back(utf8(text))
        message.when.push_back(when)
    for node in plan.has:
        message.has.push_back(node)
    for item in plan.levels:
        levels.side = item.side
        levels.array = item.array
        levels.element = item.element
        levels.price = item.price
        levels.size = item.size
        levels.optional = item.optional
        levels.field = number
        message.levels.push_back(levels)
        number += 1
    return message


cdef inline int load_target(
    KernelMessage* message, int number, object item, Type type, TextTable* table, bint interns
) except -1:
    cdef Target target
    target.type = type
    target.slot = <uint8_t>item.slot
    target.optional = item.optional
    target.interns = interns
    target.unit_ns = item.unit_ns
    target.table = table
    target.field = number
    target.node = item.node
    message.targets.push_back(target)
    return 0
