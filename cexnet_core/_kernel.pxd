# Declarations of the C++ kernel for decode.pyx. Private: nothing else includes C++.
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector


cdef extern from "kernel/kernel.hpp" namespace "cexnet" nogil:
    const size_t MAX_INTERNED_TEXT

    cdef enum class Type(uint8_t):
        decimal
        integer
        time
        interned
        mapped
        text

    cdef enum class Outcome(uint8_t):
        decoded
        unknown
        failed
        new_text

    cdef enum class Fault(uint8_t):
        none
        empty
        malformed
        number
        too_deep
        trailing
        duplicate
        missing
        null_value
        not_decimal
        not_integer
        not_time
        not_text
        out_of_range
        unknown_value
        incomplete_level
        not_array
        protobuf
        too_large
        invalid_utf8

    cdef cppclass Slot:
        double number
        int64_t integer
        const char* text
        int64_t extra
        int32_t scale

    cdef cppclass LevelBuffer:
        double* values
        int64_t* mantissas
        int8_t* scales
        int32_t count
        int32_t capacity

    cdef cppclass Record:
        Slot* slots
        LevelBuffer* sides

    cdef cppclass TextTable:
        cbool add(string_view text, int64_t value) except +
        void add_passing(string_view text, int64_t value) except +
        cbool full()
        int64_t other

    cdef cppclass Target:
        Type type
        uint8_t slot
        cbool optional
        cbool interns
        int64_t unit_ns
        TextTable* table
        int32_t field
        int32_t node

    cdef cppclass KernelLevels "cexnet::Levels":
        int32_t side, array, element, price, size, field
        cbool optional

    cdef cppclass When:
        int32_t node
        vector[string] texts

    cdef cppclass KernelMessage "cexnet::Message":
        int32_t id
        vector[When] when
        vector[int32_t] has
        string literal
        int32_t element
        vector[Target] targets
        vector[KernelLevels] levels
        Slot* defaults
        int32_t slot_count

    cdef cppclass KernelSchema "cexnet::Schema":
        vector[int32_t] channels
        int add_node(int parent, const char* part, size_t length) except +
        KernelMessage* add_message(int id) except +

    cdef cppclass Problem:
        Fault fault
        int32_t message
        int32_t field
        int32_t detail

    cdef cppclass MissingText:
        string_view text
        const Target* target
        int32_t message

    cdef cppclass Records:
        MissingText missing
        int32_t id
        int32_t count
        Record* data()
        Record* at(size_t index)

    cbool has_avx2() noexcept
    const char* ondemand_implementation() noexcept

    cdef cppclass Kernel:
        Kernel(cbool exact, size_t max_shapes, cbool simd) except +
        KernelSchema json
        KernelSchema protobuf
        Records records
        TextTable* new_table(size_t capacity) except +
        void finish() except +
        Outcome match(const char* data, size_t size) noexcept
        void learn(const char* data, size_t size)
        size_t shape_count()
        int64_t shape_resets
        Outcome walk(const char* data, size_t size, cbool is_protobuf)
        Outcome resume()
        const Problem* problem()
        const MissingText* missing()
        string_view channel()
        void trim()
