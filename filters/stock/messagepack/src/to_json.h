/*
 * MessagePack to JSON. Byte strings become base64, timestamps RFC 3339; integer
 * map keys become strings. What JSON cannot say is an error.
 */
#ifndef TO_JSON_H
#define TO_JSON_H

#include "json_write.h"

/* take_be reads a big-endian number of size bytes behind the type byte, and
   steps behind it. */
static bool take_be(uint32_t size, uint64_t *v) {
    if (src_left() < 1 + size) return src_failed("the value does not end");
    *v = 0;
    for (uint32_t i = 1; i <= size; i++) *v = *v << 8 | src.p[i];
    src.p += 1 + size;
    return true;
}

static bool put_signed(bool quoted, uint64_t v, uint32_t size) {
    int64_t s = (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
    return put_int(quoted, s < 0, s < 0 ? 0 - (uint64_t)s : (uint64_t)s);
}

static bool put_base64(uint64_t n) {
    base64 b = {.digits = base64_std, .pad = true};
    return put1('"') && put_base64_part(&b, n) && put_base64_end(&b) && put1('"');
}

/* write_ext handles the one extension with a meaning of its own: type -1 is a
   timestamp of 4, 8 or 12 bytes. */
static bool write_ext(uint64_t n) {
    if (n + 1 > src_left()) return src_failed("an extension does not end");
    const uint8_t *p = src.p;
    if ((int8_t)p[0] != -1 || (n != 4 && n != 8 && n != 12)) return src_failed("an extension type that is not known");
    uint64_t v = 0;
    uint32_t ns = 0;
    for (uint32_t i = n == 12 ? 5 : 1; i <= n; i++) v = v << 8 | p[i];
    if (n == 12)
        for (uint32_t i = 1; i < 5; i++) ns = ns << 8 | p[i];
    if (n == 8) {
        ns = (uint32_t)(v >> 34);
        v &= ((uint64_t)1 << 34) - 1;
    }
    if (!put_time((int64_t)v, ns)) return false;
    src.p += 1 + n;
    return true;
}

static bool write_value(int depth, bool key);

static bool write_members(bool map, uint64_t n, int depth) {
    if (depth == MAX_DEPTH) return src_failed("nested too deep");
    if (n > src_left()) return src_failed("a map or array does not end");
    if (!put1(map ? '{' : '[')) return false;
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0 && !put1(',')) return false;
        if (map && (!write_value(depth + 1, true) || !put1(':'))) return false;
        if (!write_value(depth + 1, false)) return false;
    }
    return put1(map ? '}' : ']');
}

/* write_value writes one value; as a map's key only strings and integers. */
static bool write_value(int depth, bool key) {
    if (src_left() == 0) return src_failed("a value is missing");
    uint8_t c = *src.p;
    uint64_t v;
    if (c < 0x80) {
        src.p++;
        return put_int(key, false, c);
    }
    if (c >= 0xe0) {
        src.p++;
        return put_int(key, true, (uint64_t)(0x100 - c));
    }
    if (c >= 0xa0 && c < 0xc0) {
        src.p++;
        return put_string(c & 31);
    }
    switch (c) {
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return take_be(1u << (c - 0xcc), &v) && put_int(key, false, v);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return take_be(1u << (c - 0xd0), &v) && put_signed(key, v, 1u << (c - 0xd0));
    case 0xd9:
    case 0xda:
    case 0xdb: return take_be(1u << (c - 0xd9), &v) && put_string(v);
    }
    if (key) return src_failed("a map's key is neither a string nor an integer");
    if (c < 0xa0) {
        src.p++;
        return write_members(c < 0x90, c & 15, depth);
    }
    const uint8_t *at = src.p;
    switch (c) {
    case 0xc0: src.p++; return put_str(RF_STR("null"));
    case 0xc2: src.p++; return put_str(RF_STR("false"));
    case 0xc3: src.p++; return put_str(RF_STR("true"));
    case 0xc4:
    case 0xc5:
    case 0xc6: return take_be(1u << (c - 0xc4), &v) && put_base64(v);
    case 0xca: {
        float f;
        uint32_t bits;
        if (!take_be(4, &v)) return false;
        bits = (uint32_t)v;
        __builtin_memcpy(&f, &bits, 4);
        src.p = at;
        if (!put_double((double)f)) return false;
        src.p = at + 5;
        return true;
    }
    case 0xcb:
        if (!take_be(8, &v)) return false;
        src.p = at;
        if (!put_double(double_of(v))) return false;
        src.p = at + 9;
        return true;
    case 0xc7:
    case 0xc8:
    case 0xc9: return take_be(1u << (c - 0xc7), &v) && write_ext(v);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: src.p++; return write_ext(1u << (c - 0xd4));
    case 0xdc:
    case 0xdd: return take_be(2u << (c - 0xdc), &v) && write_members(false, v, depth);
    case 0xde:
    case 0xdf: return take_be(2u << (c - 0xde), &v) && write_members(true, v, depth);
    }
    return src_failed("the byte c1 begins no value");
}

static bool msgpack_to_json(rf_str in) {
    src_open(in);
    if (!write_value(0, false)) return false;
    if (src.p != src.end) return src_failed("something follows the value");
    return true;
}

#endif
