/* Texts with values of the message in them, such as "{header:tenant}-{routing_key}"; {{ is a brace. */
#ifndef ROUTER_TEMPLATE_H
#define ROUTER_TEMPLATE_H

#include "settings.h"

enum { MAX_PARTS = 32 };

typedef struct {
    rf_str literal;
    int32_t source; /* a value of the message, or -1: the literal */
} template_part;

typedef struct {
    template_part *at;
    uint32_t n;
} text_template;

/* A filter's own: finds the value that stands between braces. It returns -1 when
   there is none, having refused it. */
typedef int32_t template_source(const settings *s, rf_str key, rf_str name);

RF_API bool template_read(const settings *s, rf_str key, rf_str text, template_source *find, text_template *out) {
    static template_part parts[MAX_PARTS];
    uint32_t n = 0, i = 0;
    while (i < text.n) {
        if (n == MAX_PARTS) return st_refuse(s, key, RF_STR("write at most 32 parts"), RF_STR(""));
        if (text.p[i] != '{' || (i + 1 < text.n && text.p[i + 1] == '{')) {
            uint32_t from = i + (text.p[i] == '{'); /* of two braces the second */
            for (i = from + 1; i < text.n && text.p[i] != '{'; i++) {}
            parts[n++] = (template_part){rf_slice(text.p + from, i - from), -1};
            continue;
        }
        rf_str name, rest;
        if (!rf_cut(rf_slice(text.p + i + 1, text.n - i - 1), '}', &name, &rest))
            return st_refuse(s, key, RF_STR("a { has no }; write {{ for a brace"), text);
        int32_t source = find(s, key, name);
        if (source < 0) return false;
        parts[n++] = (template_part){name, source};
        i = (uint32_t)(rest.p - text.p);
    }
    out->at = rf_alloc(n * (uint32_t)sizeof(template_part));
    if (out->at == NULL) return st_refuse(s, key, RF_STR("no memory; raise limits.memory"), RF_STR(""));
    __builtin_memcpy(out->at, parts, n * sizeof(template_part));
    out->n = n;
    return true;
}

/* template_is_plain tells whether the text is the same for every message. */
RF_API bool template_is_plain(const text_template *t) {
    for (uint32_t i = 0; i < t->n; i++)
        if (t->at[i].source >= 0) return false;
    return true;
}

#endif
