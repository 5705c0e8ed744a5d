/* Patterns of the configuration: texts in which * stands for any characters, or none. */
#ifndef ROUTER_PATTERN_H
#define ROUTER_PATTERN_H

#include "settings.h"

enum { MAX_PATTERNS = 256 };

typedef struct {
    rf_str *at;
    uint32_t n;
} patterns;

RF_API bool pattern_is_plain(rf_str pattern) {
    for (uint32_t i = 0; i < pattern.n; i++)
        if (pattern.p[i] == '*') return false;
    return true;
}

/* pattern_match compares the whole text, case and all. */
RF_API bool pattern_match(rf_str pattern, rf_str text) {
    uint32_t p = 0, t = 0, star = UINT32_MAX, from = 0;
    while (t < text.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = ++p;
            from = t;
        } else if (p < pattern.n && pattern.p[p] == text.p[t]) {
            p++;
            t++;
        } else if (star != UINT32_MAX) { /* the last star takes one more */
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*') p++;
    return p == pattern.n;
}

RF_API bool patterns_match(const patterns *all, rf_str text) {
    for (uint32_t i = 0; i < all->n; i++)
        if (pattern_match(all->at[i], text)) return true;
    return false;
}

/* patterns_read reads a pattern or an array of patterns. What says what a
   setting may hold. */
RF_API bool patterns_read(const settings *s, rf_str key, rf_str what, rf_value v, patterns *out) {
    static rf_str all[MAX_PATTERNS];
    uint32_t n = 0;
    if (v.kind == RF_JSON_STRING) {
        if (!st_keep(v, &all[n++])) return st_refuse(s, key, what, v.text);
    } else if (v.kind == RF_JSON_ARRAY) {
        rf_json_iter it = rf_json_each(v);
        rf_value e;
        while (rf_json_next(&it, NULL, NULL, &e)) {
            if (n == MAX_PATTERNS) return st_refuse(s, key, RF_STR("write at most 256"), RF_STR(""));
            if (!st_keep(e, &all[n++])) return st_refuse(s, key, what, e.text);
        }
    } else {
        return st_refuse(s, key, what, v.text);
    }
    out->at = rf_alloc(n * (uint32_t)sizeof(rf_str));
    if (out->at == NULL) return st_refuse(s, key, RF_STR("no memory; raise limits.memory"), RF_STR(""));
    __builtin_memcpy(out->at, all, n * sizeof(rf_str));
    out->n = n;
    return true;
}

#endif
