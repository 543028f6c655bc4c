/* HMAC over SHA-2 with somebody else's compression function, and the encodings of a digest.

   A midstate is the eight hash words alone: libcrypto's SHA256_CTX (112 bytes) and SHA512_CTX
   (216) begin with them, in native order, and what follows (counters, an empty buffer) is zero
   here. The padding of FIPS 180-4 section 5.1 (0x80, zeros, then the message's length in bits,
   big-endian) is written here too: SHA*_Final costs as much as a block, and blocks that are
   handed over together cost less. */
#ifndef CEXNET_SHA2_H
#define CEXNET_SHA2_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
static void *cexnet_open(const char *path) { (void)path; return NULL; }
static void *cexnet_symbol(void *library, const char *name) {
  (void)library; (void)name;
  return NULL;
}
#else
#include <dlfcn.h>
/* A handle on an extension also searches the libraries that it is linked with. */
static void *cexnet_open(const char *path) { return dlopen(path, RTLD_LAZY | RTLD_LOCAL); }
static void *cexnet_symbol(void *library, const char *name) { return dlsym(library, name); }
#endif

#define CEXNET_CONTEXT 27 /* 64-bit words: 216 bytes */

typedef int (*cexnet_init)(void *context);
typedef int (*cexnet_update)(void *context, const void *blocks, size_t size);
typedef struct {
  cexnet_init init;
  cexnet_update update;
  int word_size, block_size, digest_size; /* bytes */
} cexnet_hash;

/* Through a volatile pointer, so that the compiler cannot drop a "dead" store. */
static void *(*const volatile cexnet_memset)(void *, int, size_t) = memset;
static void cexnet_wipe(void *memory, size_t size) { cexnet_memset(memory, 0, size); }

/* Big-endian stores. The loops alone are right, but GCC 12 vectorises them into 40 ns of shuffles. */
#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
static inline void cexnet_put32(unsigned char *out, uint32_t word) {
  word = __builtin_bswap32(word);
  memcpy(out, &word, 4);
}
static inline void cexnet_put64(unsigned char *out, uint64_t word) {
  word = __builtin_bswap64(word);
  memcpy(out, &word, 8);
}
#else
static inline void cexnet_put32(unsigned char *out, uint32_t word) {
  for (int i = 0; i < 4; i++) out[i] = (unsigned char)(word >> (24 - 8 * i));
}
static inline void cexnet_put64(unsigned char *out, uint64_t word) {
  for (int i = 0; i < 8; i++) out[i] = (unsigned char)(word >> (56 - 8 * i));
}
#endif

/* The hash of a message of which `before` bytes (whole blocks) are in the midstate and `size`
   bytes are at `data`; `out` gets digest_size bytes.
   `word` is a constant at each call below: that is what lets the copies be inlined. */
static inline void cexnet_hash_rest(const cexnet_hash *hash, const uint64_t *midstate,
                                    size_t before, const unsigned char *data, size_t size,
                                    unsigned char *out, const size_t word) {
  const size_t block = 16 * word, length = 2 * word;
  uint64_t context[CEXNET_CONTEXT];
  unsigned char last[4 * 128 + 160]; /* four blocks, and slack for the zeros */
  const uint64_t bits = ((uint64_t)before + size) * 8;
  memset(context, 0, sizeof(context)); /* no partial block */
  memcpy(context, midstate, 8 * word);
  if (size >= 3 * block) {
    const size_t whole = size & ~(block - 1);
    hash->update(context, data, whole);
    data += whole;
    size -= whole;
  }
  const size_t padded = (size + 1 + length + block - 1) & ~(block - 1);
  if (size) memcpy(last, data, size);
  memset(last + size, 0, block + length);
  last[size] = 0x80;
  cexnet_put64(last + padded - 8, bits);
  hash->update(context, last, padded);
  const size_t words = word == 4 ? 8 : (size_t)hash->digest_size / 8;
  for (size_t i = 0; i < words; i++) {
    if (word == 4) {
      uint32_t value;
      memcpy(&value, (const unsigned char *)context + 4 * i, 4);
      cexnet_put32(out + 4 * i, value);
    } else {
      cexnet_put64(out + 8 * i, context[i]);
    }
  }
}
static void cexnet_finish(const cexnet_hash *hash, const uint64_t *midstate,
                          size_t before, const unsigned char *data, size_t size,
                          unsigned char *out) {
  if (hash->word_size == 4) cexnet_hash_rest(hash, midstate, before, data, size, out, 4);
  else cexnet_hash_rest(hash, midstate, before, data, size, out, 8);
}

/* RFC 2104 from the midstates after key XOR ipad and key XOR opad. */
static void cexnet_sign(const cexnet_hash *hash, const uint64_t *inner,
                        const uint64_t *outer, const unsigned char *data, size_t size,
                        unsigned char *out) {
  unsigned char digest[64];
  if (hash->word_size == 4) {
    cexnet_hash_rest(hash, inner, 64, data, size, digest, 4);
    cexnet_hash_rest(hash, outer, 64, digest, 32, out, 4);
  } else {
    cexnet_hash_rest(hash, inner, 128, data, size, digest, 8);
    cexnet_hash_rest(hash, outer, 128, digest, hash->digest_size, out, 8);
  }
}

/* `size` is a multiple of 16, as every SHA-2 digest's is. */
#if defined(__SSE2__)
  #include <emmintrin.h>
  static inline __m128i cexnet_ascii(__m128i nibbles) {
    __m128i letter = _mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9));
    __m128i shift = _mm_and_si128(letter, _mm_set1_epi8('a' - '0' - 10));
    return _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), shift);
  }
  static void cexnet_hex(const unsigned char *in, int size, unsigned char *out) {
    const __m128i mask = _mm_set1_epi8(15);
    for (int i = 0; i < size; i += 16) {
      __m128i bytes = _mm_loadu_si128((const __m128i *)(in + i));
      __m128i high = cexnet_ascii(_mm_and_si128(_mm_srli_epi16(bytes, 4), mask));
      __m128i low = cexnet_ascii(_mm_and_si128(bytes, mask));
      _mm_storeu_si128((__m128i *)(out + 2 * i), _mm_unpacklo_epi8(high, low));
      _mm_storeu_si128((__m128i *)(out + 2 * i + 16), _mm_unpackhi_epi8(high, low));
    }
  }
#else
  static void cexnet_hex(const unsigned char *in, int size, unsigned char *out) {
    for (int i = 0; i < size; i++) {
      out[2 * i] = "0123456789abcdef"[in[i] >> 4];
      out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
    }
  }
#endif
static int cexnet_base64(const unsigned char *in, int size, unsigned char *out) {
  static const char digit[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  int n = 0;
  for (int i = 0; i < size; i += 3) {
    int left = size - i;
    unsigned group = in[i] << 16 | (left > 1 ? in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
    out[n++] = digit[group >> 18];
    out[n++] = digit[group >> 12 & 63];
    out[n++] = left > 1 ? digit[group >> 6 & 63] : '=';
    out[n++] = left > 2 ? digit[group & 63] : '=';
  }
  return n;
}
#endif
