/*
 * A filter that conforms, written against docs/ABI.md alone, and with -DBROKEN=x
 * one mistake in it. It answers with a checksum of all that it was given.
 */
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("router"), import_name(name)))

enum mistake {
    NONE,
    START_TRAP, START_CODE, START_REFUSED, START_EMPTY, NEEDS_BITS, NEEDS_BOTH, NAMES_OUTSIDE, NAMES_EMPTY,
    PLAIN, CLOCK, HEAD, FLAGS, MINOR, RESERVED, SLOTS, ORDER, HEADER_TYPE, MALFORMED,
    EMPTY, LEFT_OUT, TRUNCATED, MANY_HEADERS, HUGE_HEADER, BIG_BODY, STRINGS, VALUES, JSON, JSON_DEEP, NO_MEMORY,
    GROWS, UNALIGNED, OUTSIDE, LATER_OUTSIDE, OWN, STATELESS, REPLACED, LEAK, CLOSE, PLACE, NO_BYTES, RULES, BODY_REF, PADDING,
};
#ifndef BROKEN
#define BROKEN NONE
#endif

IMPORT("time_ns") int64_t time_ns(void);
IMPORT("kv_get") int32_t kv_get(const void *key, u32 key_len, void *buf, u32 cap);

static u32 le32(u32 at) { u32 v; __builtin_memcpy(&v, (void *)at, 4); return v; }
static u32 le16(u32 at) { return *(u8 *)at | *(u8 *)(at + 1) << 8; }
static int64_t le64(u32 at) { int64_t v; __builtin_memcpy(&v, (void *)at, 8); return v; }

extern u8 __heap_base;
static u32 buffer, size;
static u32 secret = 0x5ec2e7;

/* The only block of the heap: it grows in place. */
EXPORT("router_buffer") u32 router_buffer(u32 min) {
    if (BROKEN == GROWS && min > 3 << 20) __builtin_trap();
    if (BROKEN == OUTSIDE) return 0x7ffffff8;
    if (BROKEN == LATER_OUTSIDE && min > 1500) return 0x7ffffff8;
    if (min > 64 << 20) return 0;
    buffer = ((u32)&__heap_base + 15) & ~7u;
    size = min;
    int32_t more = (int32_t)((buffer + min + 0xffff) >> 16) - (int32_t)__builtin_wasm_memory_size(0);
    if (more > 0 && __builtin_wasm_memory_grow(0, more) == (u32)-1) return 0;
    if (BROKEN == OWN) *(u32 *)(buffer + ((size - 4) & ~3u)) = secret;
    return BROKEN == UNALIGNED ? buffer + 4 : buffer;
}

EXPORT("router_abi_1") void router_abi_1(void) {}

EXPORT("router_needs") int64_t router_needs(void) {
    if (BROKEN == NEEDS_BITS) return 7 | 16;
    if (BROKEN == NEEDS_BOTH) return 1 | 8 | 10ll << 32;
    return BROKEN == STATELESS || BROKEN == REPLACED ? 7 | 256 : 7;
}

EXPORT("router_needs_headers") int64_t router_needs_headers(void) {
    static char none[2];
    if (BROKEN == NAMES_OUTSIDE) return 0x7fffffffll << 32 | 8;
    return BROKEN == NAMES_EMPTY ? (int64_t)(u32)none << 32 | 2 : 0;
}

/* ---- the answer -------------------------------------------------------- */

static _Alignas(8) u8 delta[256];
static u32 length;

static void op(u8 code, u8 flags, const char *key, u32 klen, const void *value, u32 vlen) {
    u8 *p = delta + length;
    p[0] = code, p[1] = flags, p[2] = (u8)klen, p[3] = 0;
    __builtin_memcpy(p + 4, &vlen, 4);
    __builtin_memcpy(p + 8, key, klen);
    __builtin_memcpy(p + 8 + klen, value, vlen);
    u32 end = (length + 8 + klen + vlen + 7) & ~7u;
    for (u32 i = length + 8 + klen + vlen; i < end; i++) delta[i] = BROKEN == PADDING;
    length = end;
}

static int64_t answer(void) {
    if (BROKEN == PLACE) return 0x7fffff00ll << 32 | length;
    if (BROKEN == NO_BYTES) return (int64_t)(u32)delta << 32;
    return (int64_t)(u32)delta << 32 | length;
}

/* ---- what it is given -------------------------------------------------- */

static u32 sum;
static void add(u32 at, u32 n) {
    for (u32 i = 0; i < n; i++) sum = (sum ^ ((u8 *)at)[i]) * 0x01000193;
    sum = (sum ^ n) * 0x01000193;
}

static void expect(int ok) {
    if (!ok) __builtin_trap();
}

static int has(u32 at, u32 n, const char *s, u32 len) {
    if (n < len) return 0;
    for (u32 i = 0; i < len; i++)
        if (((char *)at)[i] != s[i]) return 0;
    return 1;
}

static void headers(u32 at) {
    u32 n = le32(at + 20);
    if (BROKEN == EMPTY) expect(n > 0 || (le32(at + 12) & 8));
    if (BROKEN == MANY_HEADERS) expect(n < 500);
    for (u32 i = 0, e = at + le32(at + 16); i < n; i++, e += 20) {
        u32 key = at + le32(e), klen = le16(e + 4), type = ((u8 *)e)[6], value = at + le32(e + 8), vlen = le32(e + 12);
        if (BROKEN == HEADER_TYPE) expect(type <= 7);
        if (BROKEN == HUGE_HEADER) expect(vlen < 100000);
        if (BROKEN == STRINGS)
            for (u32 k = 0; k < klen; k++) expect(((u8 *)key)[k] != 0);
        if (type > 7) continue;
        add(key, klen);
        add(value, vlen);
    }
}

static void body(u32 at) {
    u32 p = at + le32(at + 24), n = le32(at + 28);
    if (BROKEN == PLAIN) expect(!has(p, n, "{\"oslo.version", 14));
    if (BROKEN == BIG_BODY) expect(n < 500000);
    if (BROKEN == JSON) expect(n != 10 || !has(p, n, "{\"type\":\"\\", 10));
    if (BROKEN == JSON_DEEP) expect(!has(p, n, "[[[[", 4));
    add(p, n);
}

static u32 calls;

static int64_t handle(u32 at, u32 len, int stage) {
    length = 0, sum = 0;
    if (len < 80 || le32(at) != 0x31525452) return BROKEN == MALFORMED ? 0 : -2;
    u32 flags = le32(at + 12), head = le16(at + 4), props = le32(at + 52);
    if (BROKEN == LEFT_OUT) expect(!(flags & 4));
    if (BROKEN == TRUNCATED) expect(!(flags & 2));
    if (BROKEN == VALUES) expect(le64(at + 64) >= 0);
    if (BROKEN == NO_MEMORY && le64(at + 64) < 0) return -1;
    if (BROKEN == HEAD) sum += head;
    if (BROKEN == FLAGS) sum += flags >> 8;
    if (BROKEN == MINOR) sum += le16(at + 6);
    if (BROKEN == RESERVED) sum += (u32)le64(at + 72);
    if (BROKEN == SLOTS) sum += props;
    if (BROKEN == ORDER) sum += le32(at + 48) != head;
    if (BROKEN == CLOCK) sum += (u32)time_ns();
    if (BROKEN == STATELESS) sum += ++calls;
    if (BROKEN == REPLACED) {
        u8 byte;
        kv_get("x", 1, &byte, 1);
        sum += ++calls;
    }
    if (BROKEN == OWN) sum += *(u32 *)(buffer + ((size - 4) & ~3u)) == secret;
    if (BROKEN == LEAK && ++calls % 100 == 0) __builtin_wasm_memory_grow(0, 1);
    add(at + 8 * 7, 3);
    for (u32 i = 0; i < props && i < 14; i++) {
        u32 e = at + le32(at + 48) + 8 * i;
        add(at + le32(e), le32(e + 4));
    }
    headers(at);
    body(at);
    u64 v = sum;
    op(1, 3 << 4, "sum", 3, &v, 8);
    if (stage == 2) op(5, 0, "queue", 5, "q", 1);
    if (BROKEN == RULES) op(1, 1 << 4, "X-Router-Key", 12, "v", 1);
    if (BROKEN == BODY_REF) {
        u32 ref[2] = {0x7fffff00, 1};
        op(8, 0, "", 0, ref, 8);
    }
    return answer();
}

EXPORT("router_decide") int64_t router_decide(u32 at, u32 len) { return handle(at, len, 2); }
EXPORT("router_encode") int64_t router_encode(u32 at, u32 len) { return handle(at, len, 4); }

EXPORT("router_init") int64_t router_init(u32 at, u32 len) {
    if (len < 80) return -2;
    length = 0;
    u32 n = le32(at + 20);
    if (BROKEN == START_TRAP) expect(n == 0);
    if (BROKEN == START_CODE && n > 0) return -4;
    if (BROKEN == START_EMPTY) expect(n > 0);
    if (n > 0 && BROKEN != START_REFUSED) return 0;
    op(10, 0, "config", 6, "key is missing", 14);
    return answer();
}

EXPORT("router_close") void router_close(void) { expect(BROKEN != CLOSE); }
