/* Versions of RPC: two or three numbers with dots between them. */
#ifndef OSLO_VERSION_H
#define OSLO_VERSION_H

#include "settings.h"

typedef struct {
    int64_t part[3];
} version;

static bool version_parse(rf_str text, version *out) {
    rf_str part;
    *out = (version){{0, 0, 0}};
    for (uint32_t i = 0; i < 3; i++) {
        bool more = rf_cut(text, '.', &part, &text);
        if (!st_digits(part, &out->part[i])) return false;
        if (!more) return i > 0;
    }
    return false; /* a fourth */
}

static int version_compare(const version *a, const version *b) {
    for (uint32_t i = 0; i < 3; i++)
        if (a->part[i] != b->part[i]) return a->part[i] < b->part[i] ? -1 : 1;
    return 0;
}

/* What a rule says of versions: "1.4" is what is implemented, which answers 1.0
   to 1.4; "=1.4" is that one; "1.2..2.0" are all from the one to the other. */
typedef struct {
    enum { VERSION_COMPATIBLE, VERSION_SAME, VERSION_RANGE } kind;
    version low, high;
} version_rule;

static bool version_rule_parse(rf_str text, version_rule *out) {
    for (uint32_t i = 0; i + 1 < text.n; i++) {
        if (text.p[i] != '.' || text.p[i + 1] != '.') continue;
        out->kind = VERSION_RANGE;
        return version_parse(rf_slice(text.p, i), &out->low) && version_parse(rf_slice(text.p + i + 2, text.n - i - 2), &out->high) &&
               version_compare(&out->low, &out->high) <= 0;
    }
    out->kind = VERSION_COMPATIBLE;
    if (text.n > 0 && text.p[0] == '=') {
        out->kind = VERSION_SAME;
        text = rf_slice(text.p + 1, text.n - 1);
    }
    out->low = (version){{0, 0, 0}};
    return version_parse(text, &out->high);
}

static bool version_matches(const version_rule *rule, const version *v) {
    switch (rule->kind) {
    case VERSION_SAME: return version_compare(v, &rule->high) == 0;
    case VERSION_RANGE: return version_compare(v, &rule->low) >= 0 && version_compare(v, &rule->high) <= 0;
    default: return v->part[0] == rule->high.part[0] && version_compare(v, &rule->high) <= 0;
    }
}

#endif
