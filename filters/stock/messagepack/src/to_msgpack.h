/*
 * JSON to MessagePack. A container's header is written as one byte; those that
 * turn out to need more are noted and widened at the end, from back to front, so
 * that every byte moves at most once.
 */
#ifndef TO_MSGPACK_H
#define TO_MSGPACK_H

#include "json_read.h"

typedef struct {
    uint32_t at, count; /* of the header in the output; elements or members */
    bool map;
} container;

static rf_buf marks;
static uint32_t n_marks, widen_by;

static bool put_be(uint8_t code, uint64_t v, uint32_t size) {
    uint8_t b[9];
    b[0] = code;
    for (uint32_t i = size; i > 0; i--, v >>= 8) b[i] = (uint8_t)v;
    return put(b, size + 1);
}

static bool put_uint(uint64_t v) {
    if (v < 0x80) return put1((uint8_t)v);
    if (v <= 0xff) return put_be(0xcc, v, 1);
    if (v <= 0xffff) return put_be(0xcd, v, 2);
    if (v <= 0xffffffff) return put_be(0xce, v, 4);
    return put_be(0xcf, v, 8);
}

static bool put_negative(int64_t v) {
    if (v >= -32) return put1((uint8_t)v);
    if (v >= -0x80) return put_be(0xd0, (uint64_t)v, 1);
    if (v >= -0x8000) return put_be(0xd1, (uint64_t)v, 2);
    if (v >= -(int64_t)0x80000000) return put_be(0xd2, (uint64_t)v, 4);
    return put_be(0xd3, (uint64_t)v, 8);
}

static bool put_str_header(uint32_t n) {
    if (n < 32) return put1((uint8_t)(0xa0 | n));
    if (n <= 0xff) return put_be(0xd9, n, 1);
    if (n <= 0xffff) return put_be(0xda, n, 2);
    return put_be(0xdb, n, 4);
}

static uint32_t str_header_size(uint32_t n) { return n < 32 ? 1 : n <= 0xff ? 2 : n <= 0xffff ? 3 : 5; }

static bool put_number(const json_number *n) {
    double d;
    if (n->integer) {
        if (!n->fits || (n->negative && n->v > (uint64_t)1 << 63)) return json_failed("an integer of more than 64 bits");
        return n->negative ? put_negative((int64_t)(0 - n->v)) : put_uint(n->v);
    }
    return read_float(n, &d) && put_be(0xcb, bits_of(d), 8);
}

static bool put_word(json_word word) { return put1(word == JSON_NULL ? 0xc0 : word == JSON_TRUE ? 0xc3 : 0xc2); }

static bool put_member(__attribute__((unused)) uint32_t at, __attribute__((unused)) uint32_t from) { return true; }

static bool read_container(bool map, int depth) {
    if (depth == MAX_DEPTH) return json_failed("nested too deep");
    uint32_t mark = n_marks, at = out_n, count = 0;
    if (!rf_grow(&marks, n_marks * (uint32_t)sizeof(container), ((uint64_t)n_marks + 1) * sizeof(container)))
        return failed(no_memory, 0);
    n_marks++;
    if (!put1(0) || !read_members(map, map ? '}' : ']', depth + 1, &count)) return false;
    if (count < 16) {
        out.p[at] = (uint8_t)((map ? 0x80 : 0x90) | count);
        if (n_marks == mark + 1) {
            n_marks = mark; /* nothing inside is wide either */
            return true;
        }
    } else {
        widen_by += count <= 0xffff ? 2 : 4;
    }
    ((container *)marks.p)[mark] = (container){at, count, map};
    return true;
}

/* widen gives the noted containers their headers. */
static bool widen(void) {
    if (!room(widen_by)) return false;
    uint32_t end = out_n, shift = widen_by;
    out_n += widen_by;
    for (const container *c = (container *)marks.p + n_marks; shift > 0;) {
        c--;
        if (c->count < 16) continue;
        uint32_t body = c->at + 1, size = c->count <= 0xffff ? 2 : 4;
        __builtin_memmove(out.p + body + shift, out.p + body, end - body);
        shift -= size;
        uint8_t *h = out.p + c->at + shift;
        h[0] = (uint8_t)((c->map ? 0xde : 0xdc) + (size == 4));
        for (uint32_t i = 0; i < size; i++) h[1 + i] = (uint8_t)(c->count >> 8 * (size - 1 - i));
        end = c->at;
    }
    return true;
}

static bool json_to_msgpack(rf_str in) {
    n_marks = widen_by = 0;
    return read_json(in) && widen();
}

#endif
