/* A bounded ring of log records of variable length: any number of producers in any threads,
   one consumer at a time, no lock and no system call. A record is reserved by moving `tail`,
   filled, and committed by storing its length last; the consumer hands memory back as zeros, so
   a length of 0 means "not committed yet". A record never wraps: what is left at the end of the
   memory is skipped as padding, a negative length. */
#ifndef CEXNET_HOTRING_H
#define CEXNET_HOTRING_H

#include <stdint.h>
#include <string.h>
#include <time.h>

enum {
  CEXNET_NONE, CEXNET_BOOL, CEXNET_INT, CEXNET_FLOAT,
  CEXNET_TEXT, CEXNET_BYTES, CEXNET_OBJECT, CEXNET_EXCEPTION
};
#define CEXNET_TEXT_BYTES 1024 /* kept of one text; more is cut off and the cut is marked */

typedef union {
  int64_t integer; /* a text's whole size, too */
  double real;
  void *object; /* an owned reference once it is in the ring */
} cexnet_value;

typedef struct {
  int32_t kind;
  int32_t kept; /* bytes of `data` that go into the ring */
  cexnet_value value;
  const char *data;
} cexnet_argument;

/* The same without `data`: its bytes follow, padded to 8. */
typedef struct {
  int32_t kind;
  int32_t kept;
  cexnet_value value;
} cexnet_stored;

typedef struct {
  int64_t length;
  int64_t ticks_ns;
  uint64_t lost; /* records that the ring had lost when this one was reserved */
  uint64_t thread;
  int32_t template_id;
  int32_t count;
} cexnet_record;

typedef struct {
  char *bytes;
  int64_t capacity; /* a power of two, 0 before the first record */
  int32_t level;    /* below it nothing is taken */
  int32_t is_open;  /* somebody drains: otherwise the producer looks after that first */
  int32_t stop;
  char apart_1[64]; /* producers' and consumer's words on cache lines of their own */
  int64_t tail;
  uint64_t lost;
  uint64_t held_back; /* by the templates' bounds */
  char apart_2[64];
  int64_t head;
  uint64_t reported_lost;
  uint64_t reported_held_back;
  int64_t report_after_ticks_ns;
} cexnet_ring;

#define CEXNET_LOAD(at) __atomic_load_n(at, __ATOMIC_ACQUIRE)
#define CEXNET_STORE(at, value) __atomic_store_n(at, value, __ATOMIC_RELEASE)
#define CEXNET_ADD(at, value) __atomic_fetch_add(at, value, __ATOMIC_RELEASE)

/* Where `need` bytes may be written, NULL when they do not fit. */
static inline char *cexnet_ring_reserve(cexnet_ring *ring, int64_t need) {
  int64_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);
  for (;;) {
    int64_t head = CEXNET_LOAD(&ring->head);
    int64_t at = tail & (ring->capacity - 1);
    int64_t padding = ring->capacity - at < need ? ring->capacity - at : 0;
    if (tail + padding + need - head > ring->capacity) return NULL;
    if (__atomic_compare_exchange_n(&ring->tail, &tail, tail + padding + need, 1,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      if (padding == 0) return ring->bytes + at;
      CEXNET_STORE((int64_t *)(ring->bytes + at), -padding);
      return ring->bytes;
    }
  }
}

/* 1, or 0 when there was no room: then the record is counted as lost. */
static inline int cexnet_ring_append(cexnet_ring *ring, int32_t template_id, int64_t ticks_ns,
                                     uint64_t thread, const cexnet_argument *arguments, int count) {
  int64_t length = sizeof(cexnet_record) + count * (int64_t)sizeof(cexnet_stored);
  for (int index = 0; index < count; index++) length += (arguments[index].kept + 7) & ~7;
  char *to = cexnet_ring_reserve(ring, length);
  if (__builtin_expect(to == NULL, 0)) {
    CEXNET_ADD(&ring->lost, 1);
    return 0;
  }
  cexnet_record *record = (cexnet_record *)to;
  record->ticks_ns = ticks_ns;
  record->lost = __atomic_load_n(&ring->lost, __ATOMIC_RELAXED);
  record->thread = thread;
  record->template_id = template_id;
  record->count = count;
  to += sizeof(cexnet_record);
  for (int index = 0; index < count; index++) {
    const cexnet_argument *from = &arguments[index];
    cexnet_stored *stored = (cexnet_stored *)to;
    stored->kind = from->kind;
    stored->kept = from->kept;
    stored->value = from->value;
    to += sizeof(cexnet_stored);
    if (from->kept) {
      memcpy(to, from->data, (size_t)from->kept);
      to += (from->kept + 7) & ~7;
    }
  }
  CEXNET_STORE(&record->length, length);
  return 1;
}

/* The oldest record, NULL when there is none or its producer is still writing it. */
static inline cexnet_record *cexnet_ring_peek(cexnet_ring *ring) {
  for (;;) {
    if (CEXNET_LOAD(&ring->tail) == ring->head) return NULL;
    cexnet_record *record = (cexnet_record *)(ring->bytes + (ring->head & (ring->capacity - 1)));
    int64_t length = CEXNET_LOAD(&record->length);
    if (length >= 0) return length ? record : NULL;
    record->length = 0; /* of the padding only this word was ever written */
    CEXNET_STORE(&ring->head, ring->head - length);
  }
}

/* Hand the oldest record's memory back. */
static inline void cexnet_ring_release(cexnet_ring *ring, cexnet_record *record) {
  int64_t length = record->length;
  memset(record, 0, (size_t)length);
  CEXNET_STORE(&ring->head, ring->head + length);
}

/* Whether the consumer has something to do. */
static inline int cexnet_ring_has_news(cexnet_ring *ring, int64_t ticks_ns) {
  return CEXNET_LOAD(&ring->tail) != ring->head
      || CEXNET_LOAD(&ring->lost) != ring->reported_lost
      || (CEXNET_LOAD(&ring->held_back) != ring->reported_held_back
          && ticks_ns >= ring->report_after_ticks_ns);
}

/* At most `per_second` in each second of the tick clock; threads that meet at a second's
   beginning may pass a few more. */
typedef struct {
  int64_t per_second; /* 0: no bound */
  int64_t second;
  int64_t taken;
  uint64_t held_back;
  uint64_t reported;
} cexnet_bound;

static inline int cexnet_bound_admits(cexnet_bound *bound, cexnet_ring *ring, int64_t ticks_ns) {
  int64_t second = ticks_ns / 1000000000;
  if (__atomic_load_n(&bound->second, __ATOMIC_RELAXED) != second) {
    __atomic_store_n(&bound->second, second, __ATOMIC_RELAXED);
    __atomic_store_n(&bound->taken, 0, __ATOMIC_RELAXED);
  }
  if (__atomic_fetch_add(&bound->taken, 1, __ATOMIC_RELAXED) < bound->per_second) return 1;
  CEXNET_ADD(&bound->held_back, 1);
  CEXNET_ADD(&ring->held_back, 1);
  return 0;
}

static inline void cexnet_sleep_ns(int64_t ns) {
  struct timespec wait = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
  nanosleep(&wait, NULL);
}

#endif
