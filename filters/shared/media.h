/*
 * Which messages a filter converts between JSON and another format: by its
 * configuration and the content type.
 */
#ifndef ROUTER_MEDIA_H
#define ROUTER_MEDIA_H

#include "router_filter.h"

typedef enum { OFF, AUTO, FROM_JSON, TO_JSON } direction;

/* media_type cuts parameters off a content type and lowers its case. */
RF_API rf_str media_type(rf_str content_type, char *buf, uint32_t cap) {
    rf_str type, parameters;
    rf_cut(content_type, ';', &type, &parameters);
    while (type.n > 0 && type.p[type.n - 1] == ' ') type.n--;
    if (type.n > cap) return rf_slice(buf, 0);
    for (uint32_t i = 0; i < type.n; i++) buf[i] = type.p[i] >= 'A' && type.p[i] <= 'Z' ? type.p[i] + 32 : type.p[i];
    return rf_slice(buf, type.n);
}

RF_API bool ends(rf_str s, rf_str suffix) {
    return s.n >= suffix.n && rf_eq(rf_slice(s.p + s.n - suffix.n, suffix.n), suffix);
}

RF_API bool is_json(rf_str type) { return rf_eq(type, RF_STR("application/json")) || ends(type, RF_STR("+json")); }

/* is_other tells whether a media type is the other format's. The filter defines
   it. */
static bool is_other(rf_str type);

/* resolve says what is to be done with a message of that content type: what is
   labelled as something else is left alone. */
RF_API direction resolve(direction d, bool force, rf_str content_type) {
    char buf[255];
    if (d == OFF || (force && d != AUTO)) return d;
    rf_str type = media_type(content_type, buf, sizeof buf);
    if (is_json(type)) return d == TO_JSON ? OFF : FROM_JSON;
    if (is_other(type)) return d == FROM_JSON ? OFF : TO_JSON;
    return d == AUTO || content_type.n > 0 ? OFF : d;
}

/* put_converted replaces the body, and says what it is now. */
RF_API void put_converted(const rf_msg *msg, rf_delta *d, rf_str body, direction dir, rf_str other) {
    rf_set_body_ref(d, body);
    rf_set_prop(d, RF_CONTENT_TYPE, dir == TO_JSON ? RF_STR("application/json") : other);
    if (rf_prop(msg, RF_CONTENT_ENCODING).n > 0)
        rf_set_prop(d, RF_CONTENT_ENCODING, dir == TO_JSON ? RF_STR("utf-8") : RF_STR("binary"));
}

#endif
