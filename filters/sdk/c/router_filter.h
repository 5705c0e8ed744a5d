/*
 * The header for router filters in C: ABI 1, wasm32, freestanding, no libc. It
 * brings the four beside it.
 *
 * A filter includes this file once, in its only translation unit, and writes a
 * handler for each stage that it takes part in:
 *
 *     #include "router_filter.h"
 *     RF_NEEDS(RF_NEED_BODY)
 *     RF_STAGE(decide, msg, out) {
 *         rf_value type;
 *         if (rf_json_get(rf_body(msg), RF_STR("order.type"), &type) != RF_FOUND)
 *             rf_reject(out, RF_STR("the body has no order.type"));
 *         else if (rf_eq(type.text, RF_STR("created")))
 *             rf_target(out, RF_STR("queue:orders.created"));
 *     }
 *
 * Nothing here allocates during a call. Slices (rf_str) point into the message
 * and are valid until the handler returns. What a handler writes to `out` is
 * the message's change; writing nothing leaves the message as it is.
 */
#ifndef ROUTER_FILTER_H
#define ROUTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if !defined(__wasm32__)
#error "build filters with --target=wasm32"
#endif

#define RF_API static inline __attribute__((unused))
#define RF_EXPORT(name) __attribute__((export_name(name), used))
#define RF_IMPORT(name) __attribute__((import_module("router"), import_name(name)))

/* The size of the buffer that holds one call's change, without a body given by
   reference. A change that does not fit fails the message. */
#ifndef RF_DELTA_MAX
#define RF_DELTA_MAX 16384
#endif

/* ---- strings ---------------------------------------------------------- */

typedef struct {
    const char *p;
    uint32_t n;
} rf_str;

#define RF_STR(literal) ((rf_str){(literal), sizeof(literal) - 1})

RF_API rf_str rf_slice(const void *p, uint32_t n) { return (rf_str){(const char *)p, n}; }

RF_API uint16_t rf_u16(const void *p) {
    uint16_t v;
    __builtin_memcpy(&v, p, 2);
    return v;
}
RF_API uint32_t rf_u32(const void *p) {
    uint32_t v;
    __builtin_memcpy(&v, p, 4);
    return v;
}
RF_API int64_t rf_i64(const void *p) {
    int64_t v;
    __builtin_memcpy(&v, p, 8);
    return v;
}

/* rf_same compares n bytes. Most texts are short: whole words, the last of which
   overlaps, need no loop for them. */
RF_API bool rf_same(const char *a, const char *b, uint32_t n) {
    if (n >= 8) {
        for (; n > 8; n -= 8, a += 8, b += 8)
            if (rf_i64(a) != rf_i64(b)) return false;
        return rf_i64(a + n - 8) == rf_i64(b + n - 8);
    }
    if (n >= 4) return rf_u32(a) == rf_u32(b) && rf_u32(a + n - 4) == rf_u32(b + n - 4);
    if (n >= 2) return rf_u16(a) == rf_u16(b) && rf_u16(a + n - 2) == rf_u16(b + n - 2);
    return n == 0 || *a == *b;
}

RF_API bool rf_eq(rf_str a, rf_str b) { return a.n == b.n && rf_same(a.p, b.p, a.n); }

RF_API bool rf_starts(rf_str s, rf_str prefix) {
    return s.n >= prefix.n && rf_eq(rf_slice(s.p, prefix.n), prefix);
}

/* rf_cut splits s at the first `at`; without one, before is all of s. */
RF_API bool rf_cut(rf_str s, char at, rf_str *before, rf_str *after) {
    for (uint32_t i = 0; i < s.n; i++) {
        if (s.p[i] != at) continue;
        *before = rf_slice(s.p, i);
        *after = rf_slice(s.p + i + 1, s.n - i - 1);
        return true;
    }
    *before = s;
    *after = rf_slice(s.p + s.n, 0);
    return false;
}

RF_API uint32_t rf_hash(rf_str s) {
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < s.n; i++) h = (h ^ (uint8_t)s.p[i]) * 16777619u;
    return h;
}

/* rf_decimal writes v in decimal to buf, which holds at least 20 bytes. */
RF_API rf_str rf_decimal(int64_t v, char *buf) {
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    uint32_t n = 0, i = 20;
    char tmp[20];
    do {
        tmp[--i] = (char)('0' + u % 10);
        u /= 10;
    } while (u != 0);
    if (v < 0) buf[n++] = '-';
    while (i < 20) buf[n++] = tmp[i++];
    return rf_slice(buf, n);
}

/* ---- memory ----------------------------------------------------------- */

extern uint8_t __heap_base;
static uint32_t rf_heap_top;

/* rf_extend makes memory available up to `end`; false when the host's limit is
   reached. */
RF_API bool rf_extend(uint64_t end) {
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end <= have) return true;
    if (end > 0x7fff0000u) return false;
    return __builtin_wasm_memory_grow(0, (size_t)((end - have + 0xffff) >> 16)) != (size_t)-1;
}

/* rf_alloc returns n bytes, 8-aligned, for the instance's whole life, or NULL.
   It is meant for router_init; there is no free. */
RF_API void *rf_alloc(uint32_t n) {
    if (rf_heap_top == 0) rf_heap_top = ((uint32_t)&__heap_base + 7) & ~7u;
    uint64_t end = ((uint64_t)rf_heap_top + n + 7) & ~7ull;
    if (!rf_extend(end)) return NULL;
    void *p = (void *)rf_heap_top;
    rf_heap_top = (uint32_t)end;
    return p;
}

/* A buffer that only grows; its content is lost when it moves. */
typedef struct {
    uint8_t *p;
    uint32_t cap;
} rf_buf;

RF_API bool rf_reserve(rf_buf *b, uint32_t min) {
    if (min <= b->cap) return true;
    if (min > 0x7fff0000u) return false;
    uint32_t want = b->cap * 2 > min ? b->cap * 2 : min;
    want = (want + 4095) & ~4095u;
    for (int tries = 0; tries < 2; tries++, want = (min + 7) & ~7u) {
        if (b->p != NULL && (uint32_t)b->p + b->cap == rf_heap_top) {
            /* The newest block grows where it is. */
            if (!rf_extend((uint64_t)(uint32_t)b->p + want)) continue;
            rf_heap_top = (uint32_t)b->p + want;
        } else {
            uint8_t *p = rf_alloc(want);
            if (p == NULL) continue;
            b->p = p;
        }
        b->cap = want;
        return true;
    }
    return false;
}

/* rf_grow is rf_reserve that keeps the first `used` bytes. */
RF_API bool rf_grow(rf_buf *b, uint32_t used, uint64_t min) {
    rf_buf old = *b;
    if (min > 0x7fff0000u || !rf_reserve(b, (uint32_t)min)) return false;
    if (b->p != old.p) __builtin_memcpy(b->p, old.p, used);
    return true;
}

static rf_buf rf_input;

RF_EXPORT("router_abi_1") void rf_abi_1(void) {}

RF_EXPORT("router_buffer") uint32_t rf_buffer(uint32_t min_cap) {
    return rf_reserve(&rf_input, min_cap) ? (uint32_t)rf_input.p : 0;
}

#include "router_message.h"

#include "router_delta.h"

#include "router_json.h"

/* ---- calls ------------------------------------------------------------ */

static _Alignas(8) uint8_t rf_delta_space[RF_DELTA_MAX];

RF_API int64_t rf_result(rf_delta *d) {
    if (d->full) {
        d->full = false;
        d->n = 0;
        rf_error(d, RF_STR("too-big"), RF_STR("the change does not fit the filter's delta buffer"));
    }
    if (d->n == 0) return 0;
    return (int64_t)((uint64_t)(uint32_t)d->p << 32 | d->n);
}

RF_API int64_t rf_run(uint32_t at, uint32_t len, void (*handle)(const rf_msg *, rf_delta *)) {
    rf_msg m = {(const uint8_t *)at, len};
    rf_delta d = {rf_delta_space, 0, RF_DELTA_MAX, false};
    if (!rf_frame_ok(&m)) return RF_MALFORMED;
    handle(&m, &d);
    return rf_result(&d);
}

/* RF_STAGE(decide, msg, out) { ... } is the handler of one stage: decode,
   unpack, decide, pack or encode. RF_INIT(config, out) { ... } runs once per
   instance: config's headers are the configuration flattened with dots, its
   body is the same as JSON; rf_error refuses the configuration. */
#define RF_HANDLER(export, name, msg, out)                                         \
    static void rf_handle_##name(const rf_msg *msg, rf_delta *out);                \
    RF_EXPORT(export) int64_t rf_export_##name(uint32_t at, uint32_t len) {        \
        return rf_run(at, len, rf_handle_##name);                                  \
    }                                                                              \
    static void rf_handle_##name(__attribute__((unused)) const rf_msg *msg,        \
                                 __attribute__((unused)) rf_delta *out)
#define RF_STAGE(stage, msg, out) RF_HANDLER("router_" #stage, stage, msg, out)
#define RF_INIT(config, out) RF_HANDLER("router_init", init, config, out)

/* ---- texts ------------------------------------------------------------ */

/* A bounded text, for reasons and error messages; what does not fit is cut. */
typedef struct {
    uint32_t n;
    char p[256];
} rf_text;

RF_API void rf_add(rf_text *t, rf_str s) {
    s = rf_cut_utf8(s, sizeof t->p - t->n);
    __builtin_memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}
RF_API void rf_add_int(rf_text *t, int64_t v) {
    char buf[20];
    rf_add(t, rf_decimal(v, buf));
}
RF_API rf_str rf_text_str(const rf_text *t) { return rf_slice(t->p, t->n); }

/* ---- host functions --------------------------------------------------- */

RF_IMPORT("log") void rf_import_log(int32_t level, uint32_t p, uint32_t n);
RF_IMPORT("log_enabled") int32_t rf_import_log_enabled(int32_t level);
RF_IMPORT("time_ns") int64_t rf_time_ns(void);
RF_IMPORT("random") void rf_import_random(uint32_t p, uint32_t n);
RF_IMPORT("header_get") int32_t rf_import_header_get(uint32_t k, uint32_t kn, uint32_t p, uint32_t cap);
RF_IMPORT("body_read") int32_t rf_import_body_read(uint32_t off, uint32_t p, uint32_t cap);
RF_IMPORT("metric_def") int32_t rf_import_metric_def(int32_t kind, uint32_t p, uint32_t n);
RF_IMPORT("metric_add") void rf_metric_add(int32_t id, int64_t v);
RF_IMPORT("metric_obs") void rf_metric_obs(int32_t id, double v);

enum { RF_COUNTER = 0, RF_GAUGE = 1, RF_HISTOGRAM = 2 };
enum { RF_DEBUG = 0, RF_INFO = 1, RF_WARN = 2, RF_LOG_ERROR = 3 };

RF_API void rf_log(int32_t level, rf_str text) {
    if (rf_import_log_enabled(level)) rf_import_log(level, (uint32_t)text.p, text.n);
}
RF_API void rf_random(void *p, uint32_t n) { rf_import_random((uint32_t)p, n); }
/* rf_read_header copies a header that the frame left out: its length, or -1. */
RF_API int32_t rf_read_header(rf_str name, void *p, uint32_t cap) {
    return rf_import_header_get((uint32_t)name.p, name.n, (uint32_t)p, cap);
}
/* rf_read_body copies body bytes that the frame left out; 0 at the end. */
RF_API int32_t rf_read_body(uint32_t off, void *p, uint32_t cap) {
    return rf_import_body_read(off, (uint32_t)p, cap);
}
/* The metric functions need the grant metrics; rf_metric_def is for RF_INIT. */
RF_API int32_t rf_metric_def(int32_t kind, rf_str name) {
    return rf_import_metric_def(kind, (uint32_t)name.p, name.n);
}

#include "router_kv.h"

#endif
