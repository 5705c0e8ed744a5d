/*
 * JSON to MessagePack. The reader is strict (RFC 8259, UTF-8, no surrogate
 * without its partner). A container's header is written as one byte; those that
 * turn out to need more are noted and widened at the end, from back to front, so
 * that every byte moves at most once.
 */
#ifndef TO_MSGPACK_H
#define TO_MSGPACK_H

#include "convert.h"
#include "decimal.h"

typedef struct {
    uint32_t at, count; /* of the header in the output; elements or members */
    bool map;
} container;

static struct {
    const char *start, *p, *end;
} json;

static rf_buf marks;
static uint32_t n_marks, widen_by;

static bool json_failed(const char *why) { return failed(why, (uint32_t)(json.p - json.start)); }

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

static void skip_space(void) { json.p = rf_json_space(json.p, json.end); }

static bool is_digit(const char *p) { return p < json.end && *p >= '0' && *p <= '9'; }

/* read_number checks the grammar; an integer that fits 64 bits stays one. */
static bool read_number(void) {
    const char *start = json.p, *p = start;
    bool negative = *p == '-', integer = true, fits = true;
    uint64_t v = 0;
    if (negative) p++;
    if (!is_digit(p)) return json_failed("not a value");
    if (*p == '0') {
        p++;
    } else {
        for (; is_digit(p); p++) {
            uint64_t digit = (uint64_t)(*p - '0');
            if (v > (UINT64_MAX - digit) / 10) fits = false;
            v = v * 10 + digit;
        }
    }
    for (int part = 0; part < 2; part++) {
        if (p >= json.end || (part == 0 ? *p != '.' : (*p | 0x20) != 'e')) continue;
        integer = false;
        p++;
        if (part == 1 && p < json.end && (*p == '+' || *p == '-')) p++;
        if (!is_digit(p)) return json_failed("malformed number");
        while (is_digit(p)) p++;
    }
    if (integer && !(negative && v == 0)) {
        if (!fits || (negative && v > (uint64_t)1 << 63)) return json_failed("an integer of more than 64 bits");
        json.p = p;
        return negative ? put_negative((int64_t)(0 - v)) : put_uint(v);
    }
    double d;
    if (!read_double(rf_slice(start, (uint32_t)(p - start)), &d)) return json_failed("a number too big for a double");
    json.p = p;
    return put_be(0xcb, bits_of(d), 8);
}

/* read_text checks a string and appends it unescaped; there is room for it. */
static bool read_text(rf_str text) {
    const char *p = text.p, *end = p + text.n;
    uint8_t *w = out.p + out_n;
    while (p < end) {
        uint8_t c = (uint8_t)*p;
        if (c >= 0x20 && c < 0x80 && c != '\\') {
            *w++ = c;
            p++;
            continue;
        }
        json.p = p;
        if (c < 0x20) return json_failed("a control character in a string");
        if (c == '\\') {
            const char *escape = ++p;
            int32_t r = rf_json_escape(&p, end);
            if (r < 0) return json_failed("malformed escape");
            if (r == 0xfffd && rf_hex4(escape + 1) != 0xfffd) return json_failed("a surrogate without its partner");
            w += rf_utf8((uint32_t)r, (char *)w);
            continue;
        }
        uint32_t n = utf8_len((const uint8_t *)p, (const uint8_t *)end);
        if (n == 0) return json_failed("a string is not UTF-8");
        for (; n > 0; n--) *w++ = (uint8_t)*p++;
    }
    out_n = (uint32_t)(w - out.p);
    return true;
}

static bool read_string(void) {
    rf_str text;
    bool escaped;
    const char *after = rf_json_string(json.p + 1, json.end, &text, &escaped);
    if (after == NULL) return json_failed("a string does not end");
    /* Unescaped text is not longer than the text, but its header may be shorter. */
    uint32_t at = out_n, guess = str_header_size(text.n);
    if (!room(guess + text.n)) return false;
    out_n += guess;
    if (!read_text(text)) return false;
    uint32_t n = out_n - at - guess, header = str_header_size(n);
    if (header != guess) __builtin_memmove(out.p + at + header, out.p + at + guess, n);
    out_n = at;
    put_str_header(n);
    out_n += n;
    json.p = after;
    return true;
}

static bool read_word(rf_str word, uint8_t code) {
    if ((uint32_t)(json.end - json.p) < word.n || !rf_eq(rf_slice(json.p, word.n), word)) return json_failed("not a value");
    json.p += word.n;
    return put1(code);
}

static bool read_value(int depth);

static bool read_members(bool map, char close, int depth, uint32_t *count) {
    json.p++;
    skip_space();
    if (json.p < json.end && *json.p == close) {
        json.p++;
        return true;
    }
    for (;;) {
        if (map) {
            if (json.p >= json.end || *json.p != '"') return json_failed("a member's name is missing");
            if (!read_string()) return false;
            skip_space();
            if (json.p >= json.end || *json.p != ':') return json_failed("a colon is missing");
            json.p++;
            skip_space();
        }
        if (!read_value(depth)) return false;
        ++*count;
        skip_space();
        if (json.p >= json.end) return json_failed("an object or array does not end");
        char c = *json.p;
        if (c != ',' && c != close) return json_failed("a comma is missing");
        json.p++;
        if (c == close) return true;
        skip_space();
    }
}

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

static bool read_value(int depth) {
    if (json.p >= json.end) return json_failed("a value is missing");
    switch (*json.p) {
    case '{': return read_container(true, depth);
    case '[': return read_container(false, depth);
    case '"': return read_string();
    case 't': return read_word(RF_STR("true"), 0xc3);
    case 'f': return read_word(RF_STR("false"), 0xc2);
    case 'n': return read_word(RF_STR("null"), 0xc0);
    default: return read_number();
    }
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
    json.start = json.p = in.p;
    json.end = in.p + in.n;
    n_marks = widen_by = 0;
    skip_space();
    if (!read_value(0)) return false;
    skip_space();
    if (json.p != json.end) return json_failed("something follows the document");
    return widen();
}

#endif
