/*
 * JSON as Python reads it: RFC 8259 and the words NaN, Infinity and -Infinity.
 * Unlike the reader of the SDK it checks everything: what passes here is decoded
 * by those who receive it.
 */
#ifndef OSLO_SCAN_H
#define OSLO_SCAN_H

#include "router_filter.h"

enum { MAX_DEPTH = 512 };

/* A text, how far it was read, and what was wrong there. */
typedef struct {
    const char *p, *end;
    const char *wrong; /* NULL: nothing */
} scan;

static bool scan_fail(scan *s, const char *wrong) {
    s->wrong = wrong;
    return false;
}

static void scan_space(scan *s) { s->p = rf_json_space(s->p, s->end); }

static bool scan_word(scan *s, rf_str word) {
    if (!rf_starts(rf_slice(s->p, (uint32_t)(s->end - s->p)), word)) return scan_fail(s, "no value");
    s->p += word.n;
    return true;
}

static bool scan_digits(scan *s) {
    const char *from = s->p;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    return s->p > from || scan_fail(s, "no digits");
}

static bool scan_number(scan *s) {
    if (*s->p == '-') s->p++;
    const char *from = s->p;
    if (s->p < s->end && *s->p == 'I') return scan_word(s, RF_STR("Infinity"));
    if (!scan_digits(s)) return false;
    if (*from == '0' && s->p > from + 1) {
        s->p = from;
        return scan_fail(s, "a number with a leading zero");
    }
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!scan_digits(s)) return false;
    }
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        return scan_digits(s);
    }
    return true;
}

/* special has a bit in the first of eight bytes that is a quote, a backslash or a
   control character, and may have some behind it; 0 when there is none. */
static uint64_t special(uint64_t w) {
    const uint64_t ones = 0x0101010101010101ull, highs = 0x8080808080808080ull;
    uint64_t q = w ^ (ones * '"'), b = w ^ (ones * '\\');
    return (((q - ones) & ~q) | ((b - ones) & ~b) | ((w - ones * 0x20) & ~w)) & highs;
}

/* scan_string reads a string at its opening quote. */
static bool scan_string(scan *s, rf_str *text, bool *escaped) {
    const char *from = ++s->p;
    *escaped = false;
    for (;; s->p++) {
        for (uint64_t w, found; s->end - s->p >= 8; s->p += 8) {
            __builtin_memcpy(&w, s->p, 8);
            found = special(w);
            if (found == 0) continue;
            s->p += (uint32_t)__builtin_ctzll(found) >> 3;
            break;
        }
        if (s->p >= s->end) return scan_fail(s, "a string without an end");
        if (*s->p == '"') break;
        if ((uint8_t)*s->p < 0x20) return scan_fail(s, "a control character in a string");
        if (*s->p != '\\') continue;
        const char *q = s->p + 1;
        *escaped = true;
        if (q < s->end && (*q == '"' || *q == '\\')) { /* nearly all of an envelope's */
            s->p = q;
            continue;
        }
        if (rf_json_escape(&q, s->end) < 0) return scan_fail(s, "a malformed escape");
        s->p = q - 1;
    }
    *text = rf_slice(from, (uint32_t)(s->p - from));
    s->p++;
    return true;
}

static bool scan_scalar(scan *s, rf_value *v) {
    const char *from = s->p;
    bool ok;
    v->escaped = false;
    switch (*s->p) {
    case '"': v->kind = RF_JSON_STRING; return scan_string(s, &v->text, &v->escaped);
    case 't':
        v->kind = RF_JSON_TRUE;
        ok = scan_word(s, RF_STR("true"));
        break;
    case 'f':
        v->kind = RF_JSON_FALSE;
        ok = scan_word(s, RF_STR("false"));
        break;
    case 'n':
        v->kind = RF_JSON_NULL;
        ok = scan_word(s, RF_STR("null"));
        break;
    case 'N':
        v->kind = RF_JSON_NUMBER;
        ok = scan_word(s, RF_STR("NaN"));
        break;
    case 'I':
        v->kind = RF_JSON_NUMBER;
        ok = scan_word(s, RF_STR("Infinity"));
        break;
    default:
        v->kind = RF_JSON_NUMBER;
        if (*s->p != '-' && (*s->p < '0' || *s->p > '9')) return scan_fail(s, "no value");
        ok = scan_number(s);
    }
    v->text = rf_slice(from, (uint32_t)(s->p - from));
    return ok;
}

/* scan_member reads a name, its colon, and the space around. */
static bool scan_name(scan *s, rf_str *name, bool *escaped) {
    if (s->p >= s->end || *s->p != '"') return scan_fail(s, "no name");
    if (!scan_string(s, name, escaped)) return false;
    scan_space(s);
    if (s->p >= s->end || *s->p != ':') return scan_fail(s, "no colon behind a name");
    s->p++;
    scan_space(s);
    return true;
}

/* scan_value reads the value at p, whatever it holds; depth is how deep it lies. */
static bool scan_value(scan *s, rf_value *v, uint32_t depth) {
    static bool object[MAX_DEPTH + 1];
    const char *from = s->p;
    uint32_t base = depth;
    rf_value inner;
    rf_str name;
    bool escaped;
    if (s->p >= s->end) return scan_fail(s, "the text ends where a value should be");
    if (*s->p != '{' && *s->p != '[') return scan_scalar(s, v);
    v->kind = (rf_json_kind)*s->p;
    v->escaped = false;
    for (;;) { /* at a value */
        if (s->p >= s->end) return scan_fail(s, "the text ends where a value should be");
        if (*s->p == '{' || *s->p == '[') {
            if (depth == MAX_DEPTH) return scan_fail(s, "nested deeper than 512");
            object[depth++] = *s->p++ == '{';
            scan_space(s);
            if (s->p < s->end && *s->p == (object[depth - 1] ? '}' : ']')) {
                s->p++;
                depth--;
            } else {
                if (object[depth - 1] && !scan_name(s, &name, &escaped)) return false;
                continue;
            }
        } else if (!scan_scalar(s, &inner)) {
            return false;
        }
        for (;;) { /* behind a value */
            if (depth == base) {
                v->text = rf_slice(from, (uint32_t)(s->p - from));
                return true;
            }
            scan_space(s);
            if (s->p >= s->end) return scan_fail(s, object[depth - 1] ? "an object without an end" : "an array without an end");
            if (*s->p == ',') break;
            if (*s->p != (object[depth - 1] ? '}' : ']'))
                return scan_fail(s, object[depth - 1] ? "neither a comma nor the end of an object" : "neither a comma nor the end of an array");
            s->p++;
            depth--;
        }
        s->p++;
        scan_space(s);
        if (object[depth - 1] && !scan_name(s, &name, &escaped)) return false;
    }
}

/* scan_object reads a text that is one object and tells of each member. */
static bool scan_object(scan *s, void (*found)(rf_str name, bool escaped, rf_value v)) {
    rf_str name;
    bool escaped;
    rf_value v;
    scan_space(s);
    if (s->p >= s->end) return scan_fail(s, "the text ends where an object should be");
    if (*s->p != '{') return scan_fail(s, "no object");
    s->p++;
    scan_space(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
    } else {
        for (;;) {
            if (!scan_name(s, &name, &escaped) || !scan_value(s, &v, 1)) return false;
            found(name, escaped, v);
            scan_space(s);
            if (s->p >= s->end) return scan_fail(s, "an object without an end");
            if (*s->p == '}') break;
            if (*s->p != ',') return scan_fail(s, "neither a comma nor the end of an object");
            s->p++;
            scan_space(s);
        }
        s->p++;
    }
    scan_space(s);
    return s->p == s->end || scan_fail(s, "text behind the object");
}

#endif
