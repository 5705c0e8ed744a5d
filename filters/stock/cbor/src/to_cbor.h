/*
 * JSON to CBOR, in the preferred serialization of RFC 8949 section 4.1: the
 * shortest heads, the shortest floats, bignums only for what does not fit 64
 * bits, no indefinite lengths. With sorted keys it is deterministic, section 4.2.
 */
#ifndef TO_CBOR_H
#define TO_CBOR_H

#include "big.h"
#include "json_read.h"
#include "members.h"

static bool sort_keys;

static bool put_be(uint8_t code, uint64_t v, uint32_t size) {
    uint8_t b[9];
    b[0] = code;
    for (uint32_t i = size; i > 0; i--, v >>= 8) b[i] = (uint8_t)v;
    return put(b, size + 1);
}

/* head_size is how many bytes follow the first one of a head with the argument v. */
static uint32_t head_size(uint64_t v) { return v < 24 ? 0 : v <= 0xff ? 1 : v <= 0xffff ? 2 : v <= 0xffffffff ? 4 : 8; }

static uint8_t head_byte(uint32_t major, uint64_t v) {
    uint32_t size = head_size(v);
    uint32_t low = size == 0 ? (uint32_t)v : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27;
    return (uint8_t)(major << 5 | low);
}

static bool put_head(uint32_t major, uint64_t v) {
    uint8_t first = head_byte(major, v);
    return v < 24 ? put1(first) : put_be(first, v, head_size(v));
}

static bool put_str_header(uint32_t n) { return put_head(3, n); }

static uint32_t str_header_size(uint32_t n) { return 1 + head_size(n); }

static bool put_big(const json_number *n) {
    static big a;
    static uint8_t bytes[BIG_BYTES];
    if (!big_read(&a, rf_slice(n->text.p + n->negative, n->text.n - n->negative))) return json_failed("an integer of more than 4096 bits");
    if (n->negative) big_less(&a); /* CBOR has -1 - a */
    uint32_t size = big_bytes(&a, bytes);
    if (size <= 8) return put_head(1, (uint64_t)a.w[1] << 32 | a.w[0]); /* -2^64 */
    return put1(n->negative ? 0xc3 : 0xc2) && put_head(2, size) && put(bytes, size);
}

/* half_of finds the half-precision float that is v, which is not negative. */
static bool half_of(double v, uint16_t *half) {
    uint64_t bits = bits_of(v);
    int exp = (int)(bits >> 52) - 1023;
    if (exp < -14) {
        double steps = v * 16777216.0; /* subnormal: multiples of 2^-24 */
        *half = (uint16_t)steps;
        return steps == (double)*half;
    }
    *half = (uint16_t)((uint32_t)(exp + 15) << 10 | (uint32_t)(bits >> 42 & 0x3ff));
    return exp <= 15 && bits << 22 == 0;
}

static bool put_float(double v) {
    uint64_t bits = bits_of(v);
    uint16_t half;
    if (half_of(double_of(bits & UINT64_MAX >> 1), &half)) return put_be(0xf9, half | (bits >> 63) << 15, 2);
    float single = (float)v;
    if ((double)single != v) return put_be(0xfb, bits, 8);
    uint32_t word;
    __builtin_memcpy(&word, &single, 4);
    return put_be(0xfa, word, 4);
}

static bool put_number(const json_number *n) {
    double d;
    if (!n->integer) return read_float(n, &d) && put_float(d);
    if (!n->fits) return put_big(n);
    return n->negative ? put_head(1, n->v - 1) : put_head(0, n->v);
}

static bool put_word(json_word word) { return put1(word == JSON_NULL ? 0xf6 : word == JSON_TRUE ? 0xf5 : 0xf4); }

static bool put_member(uint32_t at, uint32_t from) { return add_member(at, from); }

/* read_container makes room for the head when it knows how long that is. */
static bool read_container(bool map, int depth) {
    if (depth == MAX_DEPTH) return json_failed("nested too deep");
    uint32_t at = out_n, before = n_members, count = 0;
    if (!put1(0) || !read_members(map, map ? '}' : ']', depth + 1, &count)) return false;
    if (map && !end_members(before, sort_keys)) return false;
    uint32_t more = head_size(count);
    if (more > 0) {
        if (!room(more)) return false;
        __builtin_memmove(out.p + at + 1 + more, out.p + at + 1, out_n - at - 1);
    }
    uint32_t end = out_n + more;
    out_n = at;
    put_head(map ? 5 : 4, count);
    out_n = end;
    return true;
}

static bool json_to_cbor(rf_str in) {
    n_members = 0;
    return read_json(in);
}

#endif
