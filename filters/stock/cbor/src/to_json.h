/*
 * CBOR to JSON. What JSON cannot say is an error, or becomes what the
 * configuration chose.
 */
#ifndef TO_JSON_H
#define TO_JSON_H

#include "big.h"
#include "json_write.h"
#include "members.h"

enum { MAJOR_UINT, MAJOR_NEGATIVE, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG, MAJOR_SIMPLE };

enum {
    TAG_DATE_TEXT = 0,
    TAG_EPOCH = 1,
    TAG_BIG = 2,
    TAG_BIG_NEGATIVE = 3,
    TAG_BASE64URL = 21,
    TAG_BASE64 = 22,
    TAG_BASE16 = 23,
    TAG_CBOR = 24,
    TAG_URI = 32,
    TAG_MIME = 36,
    TAG_SELF = 55799,
};

static bool keys_to_text, drop_tags;

/* The head of a data item. */
typedef struct {
    uint32_t major, low;
    uint64_t v;
    bool indefinite;
} head;

static bool take_head(head *h) {
    if (src_left() == 0) return src_failed("a value is missing");
    const uint8_t *p = src.p;
    *h = (head){.major = *p >> 5, .low = *p & 31};
    h->v = h->low;
    uint32_t size = h->low < 24 || h->low == 31 ? 0 : 1u << (h->low - 24);
    if (h->low > 27 && h->low != 31) return src_failed("a head that is reserved");
    if (src_left() < 1 + size) return src_failed("the value does not end");
    h->indefinite = h->low == 31;
    if (h->indefinite && (h->major < MAJOR_BYTES || h->major == MAJOR_TAG)) return src_failed("an indefinite length where there is none");
    if (size > 0) h->v = 0;
    for (uint32_t i = 1; i <= size; i++) h->v = h->v << 8 | p[i];
    src.p += 1 + size;
    return true;
}

static bool at_break(void) { return src_left() > 0 && *src.p == 0xff; }

/* next_chunk steps to the next piece of a string whose head is h: *n is its
   length, and *more false at the end. */
typedef struct {
    const head *h;
    bool begun;
} chunks;

static bool next_chunk(chunks *c, uint64_t *n, bool *more) {
    head piece = *c->h;
    *more = c->h->indefinite ? !at_break() : !c->begun;
    if (!*more) {
        src.p += c->h->indefinite;
        return true;
    }
    if (c->h->indefinite) {
        const uint8_t *at = src.p;
        if (!take_head(&piece)) return false;
        if (piece.major != c->h->major || piece.indefinite) {
            src.p = at;
            return src_failed("a piece of a string is none");
        }
    }
    c->begun = true;
    *n = piece.v;
    return *n <= src_left() || src_failed("a string does not end");
}

static bool write_text(const head *h) {
    chunks c = {.h = h};
    uint64_t n;
    bool more;
    if (!put1('"')) return false;
    for (;;) {
        if (!next_chunk(&c, &n, &more)) return false;
        if (!more) return put1('"');
        if (!put_chars(n)) return false;
    }
}

static bool put_base16(uint64_t n) {
    static const char hex[] = "0123456789ABCDEF";
    if (n > 0x3fffffff || !room(2 * (uint32_t)n)) return failed(no_memory, 0);
    for (const uint8_t *end = src.p + n; src.p < end; src.p++) {
        put1((uint8_t)hex[*src.p >> 4]);
        put1((uint8_t)hex[*src.p & 15]);
    }
    return true;
}

/* write_bytes writes a byte string as the tag around it, or around something
   around it, says. */
static bool write_bytes(const head *h, uint32_t form) {
    static const char base64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    base64 b = {.digits = form == TAG_BASE64 ? base64_std : base64_url, .pad = form == TAG_BASE64};
    chunks c = {.h = h};
    uint64_t n;
    bool more;
    if (!put1('"')) return false;
    for (;;) {
        if (!next_chunk(&c, &n, &more)) return false;
        if (!more) return put_base64_end(&b) && put1('"');
        if (!(form == TAG_BASE16 ? put_base16(n) : put_base64_part(&b, n))) return false;
    }
}

static bool write_big(const head *h, bool negative) {
    static big a;
    static char digits[BIG_DIGITS];
    chunks c = {.h = h};
    uint64_t n;
    bool more;
    a.n = 0;
    bool fits = true;
    for (;;) {
        if (!next_chunk(&c, &n, &more)) return false;
        if (!more) break;
        for (const uint8_t *end = src.p + n; fits && src.p < end; src.p++) fits = big_step(&a, 256, *src.p);
        if (!fits) break;
    }
    if (!fits || (negative && !big_step(&a, 1, 1))) return src_failed("an integer of more than 4096 bits");
    return (!negative || put1('-')) && put_str(big_digits(&a, digits));
}

static double half_value(uint64_t bits) {
    uint64_t exp = bits >> 10 & 31, m = bits & 0x3ff;
    double v = exp == 0 ? (double)m * 0x1p-24 : exp == 31 ? double_of((uint64_t)0x7ff << 52 | m << 42) : double_of((exp + 1008) << 52 | m << 42);
    return bits >> 15 ? -v : v;
}

/* float_value is the float whose head is h. */
static double float_value(const head *h) {
    if (h->low == 27) return double_of(h->v);
    if (h->low == 25) return half_value(h->v);
    uint32_t bits = (uint32_t)h->v;
    float f;
    __builtin_memcpy(&f, &bits, 4);
    return (double)f;
}

static bool is_float(const head *h) { return h->major == MAJOR_SIMPLE && h->low >= 25 && h->low <= 27; }

static bool write_simple(const head *h, const uint8_t *at) {
    const uint8_t *behind = src.p;
    src.p = at;
    if (is_float(h)) {
        if (!put_double(float_value(h))) return false;
    } else if (h->low == 20 || h->low == 21) {
        if (!put_str(h->low == 20 ? RF_STR("false") : RF_STR("true"))) return false;
    } else if (h->low == 22 || h->low == 23) { /* undefined is null, too */
        if (!put_str(RF_STR("null"))) return false;
    } else {
        return src_failed(h->indefinite ? "a break where there is none" : "a simple value without a meaning");
    }
    src.p = behind;
    return true;
}

/* write_epoch writes a number of seconds as time, a float to the microsecond. */
static bool write_epoch(const uint8_t *tag) {
    head h;
    if (!take_head(&h)) return false;
    const uint8_t *behind = src.p;
    src.p = tag;
    if (h.major <= MAJOR_NEGATIVE) {
        if (h.v >> 62) return src_failed("a time JSON has no form for");
        if (!put_time(h.major == MAJOR_UINT ? (int64_t)h.v : -1 - (int64_t)h.v, 0)) return false;
    } else if (is_float(&h)) {
        double v = float_value(&h), whole = __builtin_floor(v);
        if (!(v > -1e12 && v < 1e12)) return src_failed("a time JSON has no form for");
        uint32_t us = (uint32_t)((v - whole) * 1e6 + 0.5);
        if (!put_time((int64_t)whole + us / 1000000, us % 1000000 * 1000)) return false;
    } else {
        return src_failed("tag 1 is not on a number");
    }
    src.p = behind;
    return true;
}

static bool write_value(int depth, uint32_t form);

static bool write_tag(uint64_t tag, const uint8_t *at, int depth, uint32_t form) {
    head h;
    const uint8_t *inside = src.p;
    if (depth == MAX_DEPTH) return src_failed("nested too deep");
    switch (tag) {
    case TAG_EPOCH: return write_epoch(at);
    case TAG_BIG:
    case TAG_BIG_NEGATIVE:
        if (!take_head(&h)) return false;
        if (h.major == MAJOR_BYTES) return write_big(&h, tag == TAG_BIG_NEGATIVE);
        src.p = at;
        return src_failed("a bignum that is not a byte string");
    case TAG_BASE64URL:
    case TAG_BASE64:
    case TAG_BASE16: return write_value(depth + 1, (uint32_t)tag);
    case TAG_SELF: return write_value(depth + 1, form);
    }
    if (tag == TAG_DATE_TEXT || (tag >= TAG_URI && tag <= TAG_MIME) || tag == TAG_CBOR) {
        uint32_t want = tag == TAG_CBOR ? MAJOR_BYTES : MAJOR_TEXT;
        if (!take_head(&h)) return false;
        if (h.major == want || (tag == TAG_MIME && h.major == MAJOR_BYTES)) {
            src.p = inside;
            return write_value(depth + 1, form);
        }
        src.p = at;
        return src_failed("a tag that does not fit its value");
    }
    if (drop_tags) return write_value(depth + 1, form);
    src.p = at;
    return src_failed("a tag that is not known");
}

/* write_key writes a key as a string, whatever it is. */
static bool write_key(int depth, uint32_t form) {
    uint32_t at = out_n;
    if (src_left() > 0) {
        uint32_t major = *src.p >> 5;
        if (major != MAJOR_TEXT && !keys_to_text) return src_failed("a key that is not a text");
        if (major == MAJOR_ARRAY || major == MAJOR_MAP) return src_failed("a key that is an array or a map");
    }
    if (!write_value(depth, form)) return false;
    if (out.p[at] == '"') return true;
    if (!room(2)) return false;
    if (out.p[at] == '{' || out.p[at] == '[') return src_failed("a key that is an array or a map");
    __builtin_memmove(out.p + at + 1, out.p + at, out_n - at);
    out.p[at] = '"';
    out_n++;
    return put1('"');
}

static bool write_members(const head *h, int depth, uint32_t form) {
    bool map = h->major == MAJOR_MAP;
    uint32_t before = n_members;
    if (depth == MAX_DEPTH) return src_failed("nested too deep");
    if (!h->indefinite && h->v > src_left()) return src_failed("a map or array does not end");
    if (!put1(map ? '{' : '[')) return false;
    for (uint64_t i = 0; h->indefinite ? !at_break() : i < h->v; i++) {
        if (i > 0 && !put1(',')) return false;
        if (map) {
            uint32_t at = out_n, from = (uint32_t)(src.p - src.start);
            if (!write_key(depth + 1, form) || !add_member(at, from) || !put1(':')) return false;
        }
        if (!write_value(depth + 1, form)) return false;
    }
    src.p += h->indefinite;
    if (map && !end_members(before, false)) return false;
    return put1(map ? '}' : ']');
}

/* write_value writes one data item; form is the tag that says how to write byte
   strings. */
static bool write_value(int depth, uint32_t form) {
    head h;
    const uint8_t *at = src.p;
    if (!take_head(&h)) return false;
    switch (h.major) {
    case MAJOR_UINT: return put_int(false, false, h.v);
    case MAJOR_NEGATIVE:
        if (h.v == UINT64_MAX) return put_str(RF_STR("-18446744073709551616"));
        return put_int(false, true, h.v + 1);
    case MAJOR_BYTES: return write_bytes(&h, form);
    case MAJOR_TEXT: return write_text(&h);
    case MAJOR_TAG: return write_tag(h.v, at, depth, form);
    case MAJOR_SIMPLE: return write_simple(&h, at);
    default: return write_members(&h, depth, form);
    }
}

static bool cbor_to_json(rf_str in) {
    n_members = 0;
    src_open(in);
    if (!write_value(0, TAG_BASE64URL)) return false;
    return src.p == src.end || src_failed("something follows the value");
}

#endif
