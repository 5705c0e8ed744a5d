/*
 * Reading JSON strictly (RFC 8259, UTF-8, no surrogate without its partner) to
 * write it in a binary format. What the format writes, its filter defines: the
 * functions that are declared here and no more.
 */
#ifndef ROUTER_JSON_READ_H
#define ROUTER_JSON_READ_H

#include "convert.h"
#include "decimal.h"

static struct {
    const char *start, *p, *end;
} json;

/* A number as it is written. */
typedef struct {
    rf_str text;
    bool negative, integer, fits; /* fits: the magnitude of an integer is v */
    uint64_t v;
} json_number;

typedef enum { JSON_FALSE, JSON_TRUE, JSON_NULL } json_word;

static bool put_number(const json_number *n);
static bool put_word(json_word word);
/* A string's header, and how long it is. */
static bool put_str_header(uint32_t n);
static uint32_t str_header_size(uint32_t n);
/* put_member is told of each member, whose name begins at `at` in the output and
   at `from` in the input and has just been written. */
static bool put_member(uint32_t at, uint32_t from);
static bool read_container(bool map, int depth);

RF_API uint32_t json_at(void) { return (uint32_t)(json.p - json.start); }

RF_API bool json_failed(const char *why) { return failed(why, json_at()); }

RF_API void skip_space(void) { json.p = rf_json_space(json.p, json.end); }

RF_API bool is_digit(const char *p) { return p < json.end && *p >= '0' && *p <= '9'; }

/* read_number checks the grammar. */
RF_API bool read_number(void) {
    const char *start = json.p, *p = start;
    json_number n = {.negative = *p == '-', .integer = true, .fits = true};
    if (n.negative) p++;
    if (!is_digit(p)) return json_failed("not a value");
    if (*p == '0') {
        p++;
    } else {
        for (; is_digit(p); p++) {
            uint64_t digit = (uint64_t)(*p - '0');
            if (n.v > (UINT64_MAX - digit) / 10) n.fits = false;
            n.v = n.v * 10 + digit;
        }
    }
    for (int part = 0; part < 2; part++) {
        if (p >= json.end || (part == 0 ? *p != '.' : (*p | 0x20) != 'e')) continue;
        n.integer = false;
        p++;
        if (part == 1 && p < json.end && (*p == '+' || *p == '-')) p++;
        if (!is_digit(p)) return json_failed("malformed number");
        while (is_digit(p)) p++;
    }
    if (n.negative && n.v == 0 && n.fits) n.integer = false; /* -0 */
    n.text = rf_slice(start, (uint32_t)(p - start));
    if (!put_number(&n)) return false;
    json.p = p;
    return true;
}

/* read_float reads a number as the nearest double. */
RF_API bool read_float(const json_number *n, double *v) {
    return read_double(n->text, v) || json_failed("a number too big for a double");
}

/* read_text checks a string and appends it unescaped; there is room for it. */
RF_API bool read_text(rf_str text) {
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

RF_API bool read_string(void) {
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

RF_API bool read_word(rf_str text, json_word word) {
    if ((uint32_t)(json.end - json.p) < text.n || !rf_eq(rf_slice(json.p, text.n), text)) return json_failed("not a value");
    json.p += text.n;
    return put_word(word);
}

RF_API bool read_value(int depth);

RF_API bool read_members(bool map, char close, int depth, uint32_t *count) {
    json.p++;
    skip_space();
    if (json.p < json.end && *json.p == close) {
        json.p++;
        return true;
    }
    for (;;) {
        if (map) {
            if (json.p >= json.end || *json.p != '"') return json_failed("a member's name is missing");
            uint32_t at = out_n, from = json_at();
            if (!read_string() || !put_member(at, from)) return false;
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

RF_API bool read_value(int depth) {
    if (json.p >= json.end) return json_failed("a value is missing");
    switch (*json.p) {
    case '{': return read_container(true, depth);
    case '[': return read_container(false, depth);
    case '"': return read_string();
    case 't': return read_word(RF_STR("true"), JSON_TRUE);
    case 'f': return read_word(RF_STR("false"), JSON_FALSE);
    case 'n': return read_word(RF_STR("null"), JSON_NULL);
    default: return read_number();
    }
}

/* read_json reads the document. */
RF_API bool read_json(rf_str in) {
    json.start = json.p = in.p;
    json.end = in.p + in.n;
    skip_space();
    if (!read_value(0)) return false;
    skip_space();
    return json.p == json.end || json_failed("something follows the document");
}

#endif
