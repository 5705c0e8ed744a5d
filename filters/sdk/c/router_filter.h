/*
 * One header for router filters in C: ABI 1, wasm32, freestanding, no libc.
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

RF_API bool rf_eq(rf_str a, rf_str b) {
    if (a.n != b.n) return false;
    for (uint32_t i = 0; i < a.n; i++)
        if (a.p[i] != b.p[i]) return false;
    return true;
}

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

/* ---- the message ------------------------------------------------------ */

enum {
    RF_NEED_BODY = 1,
    RF_NEED_HEADERS = 2,
    RF_NEED_PROPERTIES = 4,
    RF_STATELESS = 1 << 8, /* no state is kept between messages */
};

/* RF_NEEDS tells the host what to hand over; without it, everything. */
#define RF_NEEDS(bits) \
    RF_EXPORT("router_needs") int64_t rf_needs(void) { return (int64_t)(bits); }

enum {
    RF_REDELIVERED = 1,
    RF_BODY_TRUNCATED = 2,
    RF_NO_BODY = 4,
    RF_NO_HEADERS = 8,
    RF_NO_PROPERTIES = 16,
    RF_CONFIGURATION = 32,
};

typedef enum {
    RF_EXCHANGE,
    RF_ROUTING_KEY,
    RF_CONTENT_TYPE,
    RF_CONTENT_ENCODING,
    RF_CORRELATION_ID,
    RF_REPLY_TO,
    RF_MESSAGE_ID,
    RF_TYPE,
    RF_APP_ID,
    RF_USER_ID,
    RF_SOURCE,
    RF_FILTER_NAME,
    RF_EXPIRATION,
    RF_TARGET,
    RF_PRIORITY = 32,
    RF_DELIVERY_MODE = 33,
    RF_TIMESTAMP = 34,
} rf_slot;

typedef enum {
    RF_T_NULL,
    RF_T_UTF8,
    RF_T_BYTES,
    RF_T_I64,
    RF_T_F64,
    RF_T_BOOL,
    RF_T_TIME,
    RF_T_NESTED, /* JSON text, to read only */
} rf_type;

typedef struct {
    const uint8_t *p;
    uint32_t n;
} rf_msg;

typedef struct {
    rf_type type;
    uint8_t flags;
    rf_str raw; /* text, bytes, or the value's little-endian bytes */
} rf_header;

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

RF_API bool rf_frame_ok(const rf_msg *m) { return m->n >= 80 && rf_u32(m->p) == 0x31525452u; }

RF_API uint32_t rf_flags(const rf_msg *m) { return rf_u32(m->p + 12); }
RF_API rf_str rf_body(const rf_msg *m) { return rf_slice(m->p + rf_u32(m->p + 24), rf_u32(m->p + 28)); }
RF_API uint64_t rf_body_full_len(const rf_msg *m) { return (uint64_t)rf_i64(m->p + 32); }
RF_API int64_t rf_timestamp_ns(const rf_msg *m) { return rf_i64(m->p + 40); }
RF_API int64_t rf_received_ns(const rf_msg *m) { return rf_i64(m->p + 64); }
RF_API uint8_t rf_priority(const rf_msg *m) { return m->p[56]; }
RF_API uint8_t rf_delivery_mode(const rf_msg *m) { return m->p[57]; }

/* rf_prop returns a property's text, empty when the message has none. */
RF_API rf_str rf_prop(const rf_msg *m, rf_slot slot) {
    if ((uint32_t)slot >= rf_u32(m->p + 52)) return rf_slice(m->p, 0);
    const uint8_t *e = m->p + rf_u32(m->p + 48) + 8 * (uint32_t)slot;
    return rf_slice(m->p + rf_u32(e), rf_u32(e + 4));
}

RF_API uint32_t rf_header_count(const rf_msg *m) { return rf_u32(m->p + 20); }

/* rf_header_at returns the i-th header, i < rf_header_count. */
RF_API rf_header rf_header_at(const rf_msg *m, uint32_t i, rf_str *name) {
    const uint8_t *e = m->p + rf_u32(m->p + 16) + 20 * i;
    if (name != NULL) *name = rf_slice(m->p + rf_u32(e), rf_u16(e + 4));
    return (rf_header){(rf_type)e[6], e[7], rf_slice(m->p + rf_u32(e + 8), rf_u32(e + 12))};
}

/* rf_header_hashed is rf_get_header for a name whose hash is known. */
RF_API bool rf_header_hashed(const rf_msg *m, rf_str name, uint32_t hash, rf_header *out) {
    const uint8_t *e = m->p + rf_u32(m->p + 16);
    for (uint32_t n = rf_header_count(m), i = 0; i < n; i++, e += 20) {
        if (rf_u32(e + 16) != hash) continue;
        rf_str key;
        *out = rf_header_at(m, i, &key);
        if (rf_eq(key, name)) return true;
    }
    return false;
}

/* rf_get_header finds a header by name; false when there is none. */
RF_API bool rf_get_header(const rf_msg *m, rf_str name, rf_header *out) {
    return rf_header_hashed(m, name, rf_hash(name), out);
}

/* rf_header_text returns a header as text: strings and bytes as they are,
   integers and booleans written out (buf holds at least 20 bytes); false for
   other types. */
RF_API bool rf_header_text(rf_header h, char *buf, rf_str *out) {
    switch (h.type) {
    case RF_T_UTF8:
    case RF_T_BYTES: *out = h.raw; return true;
    case RF_T_I64:
    case RF_T_TIME: *out = rf_decimal(rf_i64(h.raw.p), buf); return true;
    case RF_T_BOOL: *out = h.raw.p[0] ? RF_STR("true") : RF_STR("false"); return true;
    default: return false;
    }
}

/* ---- the change ------------------------------------------------------- */

enum {
    RF_OP_SET_HEADER = 1,
    RF_OP_DEL_HEADER,
    RF_OP_CLEAR_HEADERS,
    RF_OP_SET_PROP,
    RF_OP_TARGET,
    RF_OP_ACTION,
    RF_OP_BODY,
    RF_OP_BODY_REF,
    RF_OP_EMIT,
    RF_OP_ERROR,
};

/* Results below zero; the message fails and the instance lives on. */
enum { RF_NO_MEMORY = -1, RF_MALFORMED = -2, RF_UNSUPPORTED = -3, RF_INTERNAL = -4 };

typedef struct {
    uint8_t *p; /* 8-aligned */
    uint32_t n, cap;
    bool full; /* something did not fit: the message fails */
} rf_delta;

/* rf_op appends one op and returns where its value goes, or NULL when it does
   not fit. */
RF_API uint8_t *rf_op(rf_delta *d, uint8_t op, uint8_t flags, rf_str key, uint32_t vlen) {
    uint64_t need = ((uint64_t)8 + key.n + vlen + 7) & ~7ull;
    if (d->full || key.n > 0xffff || need > d->cap - d->n) {
        d->full = true;
        return NULL;
    }
    uint8_t *p = d->p + d->n;
    uint16_t klen = (uint16_t)key.n;
    p[0] = op;
    p[1] = flags;
    __builtin_memcpy(p + 2, &klen, 2);
    __builtin_memcpy(p + 4, &vlen, 4);
    __builtin_memcpy(p + 8, key.p, key.n);
    for (uint8_t *q = p + 8 + key.n + vlen, *end = p + need; q < end; q++) *q = 0;
    d->n += (uint32_t)need;
    return p + 8 + key.n;
}

RF_API void rf_op_copy(rf_delta *d, uint8_t op, uint8_t flags, rf_str key, rf_str value) {
    uint8_t *p = rf_op(d, op, flags, key, value.n);
    if (p != NULL) __builtin_memcpy(p, value.p, value.n);
}

RF_API void rf_set_header(rf_delta *d, rf_str name, rf_str text) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_UTF8 << 4, name, text);
}
RF_API void rf_set_header_bytes(rf_delta *d, rf_str name, rf_str bytes) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_BYTES << 4, name, bytes);
}
RF_API void rf_set_header_i64(rf_delta *d, rf_str name, int64_t v) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_I64 << 4, name, rf_slice(&v, 8));
}
RF_API void rf_set_header_f64(rf_delta *d, rf_str name, double v) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_F64 << 4, name, rf_slice(&v, 8));
}
RF_API void rf_set_header_bool(rf_delta *d, rf_str name, bool v) {
    uint8_t b = v;
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_BOOL << 4, name, rf_slice(&b, 1));
}
RF_API void rf_del_header(rf_delta *d, rf_str name) {
    rf_op_copy(d, RF_OP_DEL_HEADER, 0, name, RF_STR(""));
}
RF_API void rf_clear_headers(rf_delta *d) {
    rf_op_copy(d, RF_OP_CLEAR_HEADERS, 0, RF_STR(""), RF_STR(""));
}

/* rf_cut_utf8 shortens text to at most max bytes without cutting a character. */
RF_API rf_str rf_cut_utf8(rf_str text, uint32_t max) {
    if (text.n <= max) return text;
    while (max > 0 && ((uint8_t)text.p[max] & 0xc0) == 0x80) max--;
    return rf_slice(text.p, max);
}

/* rf_set_prop sets a text property; empty text removes it. */
RF_API void rf_set_prop(rf_delta *d, rf_slot slot, rf_str text) {
    uint16_t s = (uint16_t)slot;
    rf_op_copy(d, RF_OP_SET_PROP, 0, rf_slice(&s, 2), text);
}

/* rf_target_parts adds a target; rest is what follows the NUL byte, for kinds
   that have it. */
RF_API void rf_target_parts(rf_delta *d, rf_str kind, rf_str name, bool has_rest, rf_str rest) {
    uint8_t *p = rf_op(d, RF_OP_TARGET, 0, kind, name.n + (has_rest ? 1 + rest.n : 0));
    if (p == NULL) return;
    __builtin_memcpy(p, name.p, name.n);
    if (!has_rest) return;
    p[name.n] = 0;
    __builtin_memcpy(p + name.n + 1, rest.p, rest.n);
}

/* rf_target adds a target written as in router.toml: queue:NAME,
   exchange:NAME/KEY, topic:[EXCHANGE/]TOPIC, server:[EXCHANGE/]TOPIC.SERVER,
   fanout:TOPIC or notify:[EXCHANGE/]TOPIC.PRIORITY. False when it is none. */
RF_API bool rf_target(rf_delta *d, rf_str text) {
    rf_str kind, rest, exchange = RF_STR(""), name = RF_STR("");
    if (!rf_cut(text, ':', &kind, &rest)) return false;
    if (rf_eq(kind, RF_STR("queue")) || rf_eq(kind, RF_STR("fanout"))) {
        if (rest.n == 0) return false;
        rf_target_parts(d, kind, rest, false, exchange);
        return true;
    }
    if (rf_eq(kind, RF_STR("exchange"))) {
        if (!rf_cut(rest, '/', &exchange, &name)) return false;
        rf_target_parts(d, kind, exchange, true, name);
        return true;
    }
    bool server = rf_eq(kind, RF_STR("server")), notify = rf_eq(kind, RF_STR("notify"));
    if (!server && !notify && !rf_eq(kind, RF_STR("topic"))) return false;
    bool at = rf_cut(rest, '/', &exchange, &name);
    if (!at) name = rest, exchange = RF_STR("");
    if (name.n == 0) return false;
    if (!server && !notify) {
        rf_target_parts(d, kind, name, at, exchange);
        return true;
    }
    uint32_t dot = name.n;
    for (uint32_t i = 0; i < name.n; i++)
        if (name.p[i] == '.' && (notify || dot == name.n)) dot = i;
    if (dot == 0 || dot + 1 >= name.n) return false;
    uint32_t more = name.n - dot - 1;
    uint8_t *p = rf_op(d, RF_OP_TARGET, 0, kind, name.n + (at ? 1 + exchange.n : 0));
    if (p == NULL) return true;
    __builtin_memcpy(p, name.p, dot);
    p[dot] = 0;
    __builtin_memcpy(p + dot + 1, name.p + dot + 1, more);
    if (at) {
        p[name.n] = 0;
        __builtin_memcpy(p + name.n + 1, exchange.p, exchange.n);
    }
    return true;
}

RF_API void rf_action(rf_delta *d, rf_str action, rf_str reason) {
    rf_op_copy(d, RF_OP_ACTION, 0, action, reason);
}
RF_API void rf_drop(rf_delta *d, rf_str reason) { rf_action(d, RF_STR("drop"), reason); }
RF_API void rf_reject(rf_delta *d, rf_str reason) { rf_action(d, RF_STR("reject"), reason); }
RF_API void rf_reply(rf_delta *d) { rf_action(d, RF_STR("reply"), RF_STR("")); }
RF_API void rf_stop(rf_delta *d) { rf_action(d, RF_STR("stop"), RF_STR("")); }

/* rf_retry asks for another run after delay_ms; 0 is the route's own backoff. */
RF_API void rf_retry(rf_delta *d, int64_t delay_ms, rf_str reason) {
    uint8_t *p = rf_op(d, RF_OP_ACTION, 0, RF_STR("retry"), 8 + reason.n);
    if (p == NULL) return;
    __builtin_memcpy(p, &delay_ms, 8);
    __builtin_memcpy(p + 8, reason.p, reason.n);
}

/* rf_set_body copies the new body into the change. */
RF_API void rf_set_body(rf_delta *d, rf_str body) {
    rf_op_copy(d, RF_OP_BODY, 0, RF_STR(""), body);
}

/* rf_set_body_ref names the new body where it lies; it must stay there until
   the handler has returned. A slice of the message's body is allowed. */
RF_API void rf_set_body_ref(rf_delta *d, rf_str body) {
    uint32_t ref[2] = {(uint32_t)(uintptr_t)body.p, body.n};
    rf_op_copy(d, RF_OP_BODY_REF, 0, RF_STR(""), rf_slice(ref, 8));
}

/* rf_emit starts a new message; what is written after it applies to that. */
RF_API void rf_emit(rf_delta *d) { rf_op_copy(d, RF_OP_EMIT, 0, RF_STR(""), RF_STR("")); }

/* rf_error fails the message: a short code for metrics, a text for people. */
RF_API void rf_error(rf_delta *d, rf_str code, rf_str text) {
    rf_op_copy(d, RF_OP_ERROR, 0, code, text);
}
RF_API void rf_error_retryable(rf_delta *d, rf_str code, rf_str text) {
    rf_op_copy(d, RF_OP_ERROR, 2, code, text);
}

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
RF_IMPORT("body_read") int32_t rf_import_body_read(uint32_t off, uint32_t p, uint32_t cap);
RF_IMPORT("metric_def") int32_t rf_import_metric_def(int32_t kind, uint32_t p, uint32_t n);
RF_IMPORT("metric_add") void rf_metric_add(int32_t id, int64_t v);
RF_IMPORT("metric_obs") void rf_metric_obs(int32_t id, double v);

enum { RF_DEBUG = 0, RF_INFO = 1, RF_WARN = 2, RF_LOG_ERROR = 3 };

RF_API void rf_log(int32_t level, rf_str text) {
    if (rf_import_log_enabled(level)) rf_import_log(level, (uint32_t)text.p, text.n);
}
RF_API void rf_random(void *p, uint32_t n) { rf_import_random((uint32_t)p, n); }
RF_API int32_t rf_body_read(uint32_t off, void *p, uint32_t cap) {
    return rf_import_body_read(off, (uint32_t)p, cap);
}
RF_API int32_t rf_metric_def(int32_t kind, rf_str name) {
    return rf_import_metric_def(kind, (uint32_t)name.p, name.n);
}

#include "router_json.h"

#endif
