"""HMAC signatures (RFC 2104) at the price of the hash alone.

The two key-dependent blocks are hashed once; each signature starts from copies of those
midstates. The hash functions are OpenSSL's own ``SHA256_*`` and ``SHA512_*``, found at run
time in the very libcrypto that Python's ``_hashlib`` is linked with, so nothing is linked
or vendored here. They are deprecated since OpenSSL 3.0 but exported, and a plain structure
copied with memcpy is what makes a midstate cheap (EVP contexts allocate at each copy).
They are used only when every symbol resolved and a self-test against ``hashlib`` passed;
otherwise the midstates are ``hashlib`` objects, copied for each signature.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_New
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

import hashlib

from cexnet_core.errors import ConfigurationError

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef extern from "sha2.h":
    ctypedef int (*InitFn "cexnet_init")(void*) noexcept nogil
    ctypedef int (*UpdateFn "cexnet_update")(void*, const void*, size_t) noexcept nogil
    ctypedef struct Hash "cexnet_hash":
        InitFn init
        UpdateFn update
        int word_size
        int block_size
        int digest_size

    void* cexnet_open(const char* path)
    void* cexnet_symbol(void* library, const char* name)
    void cexnet_wipe(void* memory, size_t size) noexcept nogil
    void cexnet_finish(
        const Hash* hash, const uint64_t* midstate, size_t before,
        const unsigned char* data, size_t size, unsigned char* out,
    ) noexcept nogil
    void cexnet_sign(
        const Hash* hash, const uint64_t* inner, const uint64_t* outer,
        const unsigned char* data, size_t size, unsigned char* out,
    ) noexcept nogil
    void cexnet_hex(const unsigned char* data, int size, unsigned char* out) noexcept nogil
    int cexnet_base64(const unsigned char* data, int size, unsigned char* out) noexcept nogil

ctypedef unsigned long (*VersionFn)() noexcept
ctypedef const char* (*TextFn)(int) noexcept

cdef enum:
    MAX_BLOCK = 128     # bytes: SHA-384 and SHA-512 (FIPS 180-4)
    MAX_DIGEST = 64
    CONTEXT_SIZE = 216  # bytes: sizeof(SHA512_CTX), what sha2.h reserves
    GUARD = 0xA5

ALGORITHMS = ("sha256", "sha384", "sha512")
cdef Hash _sha256, _sha384, _sha512
cdef str _version = ""                      # of libcrypto; "" while it is not in use
cdef str _reason = ""                       # why it is not


cdef bint _resolve(void* library, Hash* hash, str name, int word, int digest):
    """Fill ``hash`` from the symbols of one algorithm; False when one is missing."""
    hash.init = <InitFn>cexnet_symbol(library, f"{name}_Init".encode())
    hash.update = <UpdateFn>cexnet_symbol(library, f"{name}_Update".encode())
    hash.word_size = word
    hash.block_size = 16 * word
    hash.digest_size = digest
    return hash.init != NULL and hash.update != NULL


cdef bint _midstate(const Hash* hash, const unsigned char* block, uint64_t* words):
    """The hash words after one block; False when the context is not as we believe it is."""
    cdef unsigned char context[1024]        # roomy: its true size is one of the beliefs
    cdef int i
    memset(context, GUARD, sizeof(context))
    cdef bint sound = hash.init(context) == 1 and hash.update(context, block, hash.block_size) == 1
    memcpy(words, context, 8 * hash.word_size)
    for i in range(CONTEXT_SIZE, <int>sizeof(context)):
        sound = sound and context[i] == GUARD
    cexnet_wipe(context, sizeof(context))
    return sound


cdef bint _passes_self_test(const Hash* hash, str name):
    """Same digests as hashlib, for every way in which the padding can fall."""
    cdef uint64_t midstate[8]
    cdef unsigned char out[MAX_DIGEST]
    cdef bytes text = bytes(i & 255 for i in range(1024))
    cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(text)
    cdef int block = hash.block_size
    cdef int size
    if not _midstate(hash, data, midstate):
        return False
    for size in (0, 1, 55, 56, 64, 111, 112, 119, 120, 128, 160, 191, 192, 239, 240, 383, 384, 800):
        cexnet_finish(hash, midstate, block, data, size, out)
        expected = hashlib.new(name, text[:block] + text[:size]).digest()
        if out[: hash.digest_size] != expected:
            return False
    return True


cdef str _start():
    """Take libcrypto into use, or return why it cannot be."""
    global _version
    try:
        import _hashlib
    except ImportError:
        return "this Python was built without OpenSSL"
    cdef bytes path = getattr(_hashlib, "__file__", "").encode()
    cdef void* library = cexnet_open(PyBytes_AS_STRING(path) if path else NULL)
    if library == NULL:
        return "the library of _hashlib cannot be opened"
    number = <VersionFn>cexnet_symbol(library, b"OpenSSL_version_num")
    text = <TextFn>cexnet_symbol(library, b"OpenSSL_version")
    if number == NULL or text == NULL:
        return "libcrypto does not export its version"
    if number() < 0x30000000:  # some 1.1.1 builds abort on these calls in FIPS mode
        return f"{text(0).decode('ascii', 'replace')} is older than OpenSSL 3.0"
    if not (
        _resolve(library, &_sha256, "SHA256", 4, 32)
        and _resolve(library, &_sha384, "SHA384", 8, 48)
        and _resolve(library, &_sha512, "SHA512", 8, 64)
    ):
        return "libcrypto does not export the SHA-2 functions"
    if not (
        _passes_self_test(&_sha256, "sha256")
        and _passes_self_test(&_sha384, "sha384")
        and _passes_self_test(&_sha512, "sha512")
    ):
        return "the SHA-2 functions of libcrypto failed the self-test"
    _version = text(0).decode("ascii", "replace")
    return ""


_reason = _start()


def backend() -> str:
    """Which code signs by default: ``"libcrypto <version>"``, or ``"hashlib (<why>)"``."""
    return f"libcrypto {_version}" if _version else f"hashlib ({_reason})"


@cython.final
cdef class HmacSigner:
    """HMAC with one key, for many payloads.

    ``key`` is bytes-like, of any length (longer than a block: hashed first, as RFC 2104
    says; empty: allowed, as in ``hmac``). ``digest`` is ``sha256``, ``sha384`` or
    ``sha512``. ``backend`` is ``auto``, or ``libcrypto`` or ``hashlib`` to insist on one.
    Raises ``ConfigurationError`` for an unknown digest or a backend that is not available,
    ``TypeError`` for a key that is not bytes-like.

    The key is not kept: only the two midstates are, and they are wiped with the object. It
    cannot be pickled, copied or read back. A signer may be used from many threads at once.
    """

    def __cinit__(self, key, str digest not None="sha256", *, str backend not None="auto"):
        if digest not in ALGORITHMS:
            raise ConfigurationError(
                f"HmacSigner: digest is {digest!r}, it must be one of {', '.join(ALGORITHMS)}"
            )
        if backend not in ("auto", "libcrypto", "hashlib"):
            raise ConfigurationError(
                f"HmacSigner: backend is {backend!r}, it must be auto, libcrypto or hashlib"
            )
        if backend == "libcrypto" and not _version:
            raise ConfigurationError(f"HmacSigner: libcrypto cannot be used: {_reason}")
        if isinstance(key, str):
            raise TypeError("HmacSigner: key is text, it must be bytes: encode it first")
        self.algorithm = digest
        self.digest_size = int(digest[3:]) // 8
        if _version and backend != "hashlib":
            self._hash = (
                &_sha256 if digest == "sha256" else &_sha384 if digest == "sha384" else &_sha512
            )
        cdef Py_buffer view
        PyObject_GetBuffer(key, &view, PyBUF_SIMPLE)
        try:
            self._set_key(<const unsigned char*>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef int _set_key(self, const unsigned char* key, Py_ssize_t size) except -1:
        cdef unsigned char block[MAX_BLOCK]
        cdef const Hash* hash = <const Hash*>self._hash
        cdef int width = 64 if self.algorithm == "sha256" else MAX_BLOCK
        memset(block, 0, MAX_BLOCK)
        try:
            if size <= width:
                memcpy(block, key, size)
            elif hash != NULL:
                _midstate(hash, key, self._inner)
                cexnet_finish(hash, self._inner, width, key + width, size - width, block)
            else:
                hashed = hashlib.new(self.algorithm, key[:size]).digest()
                memcpy(block, PyBytes_AS_STRING(hashed), self.digest_size)
            self._inner_object = self._absorb(block, width, 0x36, self._inner)  # ipad, RFC 2104
            self._outer_object = self._absorb(block, width, 0x36 ^ 0x5C, self._outer)  # opad
        finally:
            cexnet_wipe(block, MAX_BLOCK)
        return 0

    cdef object _absorb(self, unsigned char* block, int width, int mask, uint64_t* words):
        """Mask and hash the key's block: into ``words``, or the hashlib object returned."""
        cdef int i
        for i in range(width):
            block[i] ^= mask
        if self._hash != NULL:
            _midstate(<const Hash*>self._hash, block, words)
            return None
        return hashlib.new(
            self.algorithm, PyMemoryView_FromMemory(<char*>block, width, PyBUF_READ)
        )

    def __dealloc__(self):
        cexnet_wipe(self._inner, sizeof(self._inner))
        cexnet_wipe(self._outer, sizeof(self._outer))

    cdef void _sign(
        self, const unsigned char* data, Py_ssize_t size, unsigned char* out
    ) noexcept nogil:  # hot
        cexnet_sign(<const Hash*>self._hash, self._inner, self._outer, data, size, out)

    cdef int _sign_with_hashlib(
        self, const unsigned char* data, Py_ssize_t size, unsigned char* out
    ) except -1:
        inner = self._inner_object.copy()
        inner.update(data[:size])
        outer = self._outer_object.copy()
        outer.update(inner.digest())
        signature = outer.digest()
        memcpy(out, PyBytes_AS_STRING(signature), self.digest_size)
        return 0

    cdef int digest_into(
        self, const unsigned char* data, Py_ssize_t size, unsigned char* out
    ) except -1 nogil:
        if self._hash != NULL:
            self._sign(data, size, out)
            return 0
        with gil:
            return self._sign_with_hashlib(data, size, out)

    cdef int _sign_object(self, object payload, unsigned char* out) except -1:
        cdef Py_ssize_t size
        cdef const char* text
        if isinstance(payload, str):
            text = PyUnicode_AsUTF8AndSize(payload, &size)
            return self.digest_into(<const unsigned char*>text, size, out)
        cdef bytes data = payload if type(payload) is bytes else memoryview(payload).tobytes()
        return self.digest_into(
            <const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), out
        )

    def digest(self, payload):
        """The signature of ``payload`` as bytes.

        ``payload`` is bytes-like or text (signed as UTF-8; a lone surrogate raises
        ``UnicodeEncodeError``); anything else raises ``TypeError``.
        """
        cdef unsigned char out[MAX_DIGEST]
        self._sign_object(payload, out)
        return PyBytes_FromStringAndSize(<char*>out, self.digest_size)

    def hexdigest(self, payload):
        """The signature of ``payload`` as lower-case hexadecimal text. See ``digest``."""
        cdef unsigned char out[MAX_DIGEST]
        self._sign_object(payload, out)
        text = PyUnicode_New(2 * self.digest_size, 127)
        cexnet_hex(out, self.digest_size, <unsigned char*>PyUnicode_1BYTE_DATA(text))
        return text

    def base64digest(self, payload):
        """The signature of ``payload`` as base64 text with padding (RFC 4648). See ``digest``."""
        cdef unsigned char out[MAX_DIGEST]
        self._sign_object(payload, out)
        text = PyUnicode_New((self.digest_size + 2) // 3 * 4, 127)
        cexnet_base64(out, self.digest_size, <unsigned char*>PyUnicode_1BYTE_DATA(text))
        return text

    @property
    def backend(self):
        """``"libcrypto"`` or ``"hashlib"``: which code this signer uses."""
        return "libcrypto" if self._hash != NULL else "hashlib"

    def __reduce__(self):
        raise TypeError("HmacSigner holds a secret: it cannot be pickled or copied")

    def __repr__(self):
        return f"HmacSigner({self.algorithm}, {self.backend}, key hidden)"
