/* Where messages go: targets of the configuration, turned into finished changes. */
#ifndef ROUTER_TARGET_H
#define ROUTER_TARGET_H

#include "settings.h"

enum { MAX_TARGETS = 16, MAX_TARGETS_BYTES = 16 * 1024 };

/* target_add adds a target that the router takes; false when it is none. */
RF_API bool target_add(rf_delta *d, rf_str text) {
    rf_str kind, rest, exchange, name;
    for (uint32_t i = 0; i < text.n; i++)
        if ((uint8_t)text.p[i] < 0x20 || text.p[i] == 0x7f) return false;
    if (!rf_cut(text, ':', &kind, &rest)) return false;
    bool whole = rf_eq(kind, RF_STR("queue")) || rf_eq(kind, RF_STR("fanout"));
    if (whole || !rf_cut(rest, '/', &exchange, &name)) {
        name = rest;
        exchange = RF_STR("");
    }
    uint32_t most = rf_eq(kind, RF_STR("fanout")) ? 255 - 7 : 255; /* "_fanout" comes behind it */
    return name.n <= most && exchange.n <= 255 && rf_target(d, text);
}

/* targets_read turns a target, or an array of targets, into a change of its own
   memory. What says what a setting may hold. */
RF_API bool targets_read(const settings *s, rf_str key, rf_str what, rf_value v, rf_delta *out) {
    static _Alignas(8) uint8_t space[MAX_TARGETS_BYTES];
    rf_delta d = {space, 0, sizeof space, false};
    rf_str target = RF_STR("");
    uint32_t n = 0;
    if (v.kind == RF_JSON_ARRAY) {
        rf_json_iter it = rf_json_each(v);
        rf_value e;
        for (; rf_json_next(&it, NULL, NULL, &e); n++)
            if (!st_keep(e, &target) || !target_add(&d, target)) return st_refuse(s, key, what, e.text);
        if (n == 0) return st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
    } else if (!st_keep(v, &target) || !target_add(&d, target)) {
        return st_refuse(s, key, what, v.text);
    }
    if (n > MAX_TARGETS || d.full) return st_refuse(s, key, RF_STR("write at most 16 targets"), RF_STR(""));
    d.p = rf_alloc(d.n);
    if (d.p == NULL) return st_refuse(s, key, RF_STR("no memory for the targets; raise limits.memory"), RF_STR(""));
    __builtin_memcpy(d.p, space, d.n);
    *out = d;
    return true;
}

#endif
