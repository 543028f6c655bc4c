"""How this copy of the compiled core was built. ``cexnet doctor`` prints it.

The facts are compiled in by setup.py, so they cannot drift from the binaries.
"""

cdef extern from *:
    """
    #ifdef __VERSION__
    #define CEXNET_COMPILER __VERSION__
    #else
    #define CEXNET_COMPILER ""
    #endif
    """
    const char* CEXNET_BUILD_MODE
    const char* CEXNET_BUILT_WITH_CYTHON
    const char* CEXNET_BUILT_WITH_PICOWS
    const char* CEXNET_BUILT_WITH_PYSIMDJSON
    const char* CEXNET_COMPILER

MODE = CEXNET_BUILD_MODE.decode()
CYTHON = CEXNET_BUILT_WITH_CYTHON.decode()
PICOWS = CEXNET_BUILT_WITH_PICOWS.decode()
PYSIMDJSON = CEXNET_BUILT_WITH_PYSIMDJSON.decode()
COMPILER = CEXNET_COMPILER.decode()


cdef const char* build_mode() noexcept nogil:
    return CEXNET_BUILD_MODE
