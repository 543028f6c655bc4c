from cexnet_core.events cimport DepthSnapshot, Levels, SymbolTable

cdef int fill_levels(Levels* levels, object pairs) except -1
