/*
 * Fields of a message that stock filters are configured with: body:PATH,
 * header:NAME, property:NAME or routing_key.
 */
#ifndef ROUTER_FIELD_H
#define ROUTER_FIELD_H

#include "settings.h"

typedef enum { FIELD_BODY, FIELD_HEADER, FIELD_PROPERTY } field_origin;

typedef struct {
    field_origin origin;
    rf_str text; /* as configured */
    rf_str name; /* JSON path or header name */
    uint32_t hash;
    rf_slot slot;
} field;

enum { MAX_FIELDS = 16 };

/* The fields of one setting. */
typedef struct {
    field at[MAX_FIELDS];
    uint32_t n;
    rf_text text; /* all of them, for messages to people */
} fields;

/* field_slot finds a property. */
RF_API bool field_slot(rf_str name, rf_slot *out) {
    static const struct {
        rf_str name;
        rf_slot slot;
    } slots[] = {
#define P(name, slot) {{name, sizeof(name) - 1}, slot}
        P("exchange", RF_EXCHANGE),
        P("routing_key", RF_ROUTING_KEY),
        P("content_type", RF_CONTENT_TYPE),
        P("content_encoding", RF_CONTENT_ENCODING),
        P("correlation_id", RF_CORRELATION_ID),
        P("reply_to", RF_REPLY_TO),
        P("message_id", RF_MESSAGE_ID),
        P("type", RF_TYPE),
        P("app_id", RF_APP_ID),
        P("user_id", RF_USER_ID),
        P("source", RF_SOURCE),
        P("expiration", RF_EXPIRATION),
#undef P
    };
    for (uint32_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        if (!rf_eq(slots[i].name, name)) continue;
        *out = slots[i].slot;
        return true;
    }
    return false;
}

/* field_read reads a field of a setting. */
RF_API bool field_read(const settings *s, rf_str key, rf_str text, field *f) {
    rf_str from;
    *f = (field){.text = text};
    bool two = rf_cut(text, ':', &from, &f->name) && f->name.n > 0;
    if (rf_eq(text, RF_STR("routing_key"))) {
        f->origin = FIELD_PROPERTY;
        f->slot = RF_ROUTING_KEY;
    } else if (two && rf_eq(from, RF_STR("body"))) {
        f->origin = FIELD_BODY;
    } else if (two && rf_eq(from, RF_STR("header"))) {
        f->origin = FIELD_HEADER;
        f->hash = rf_hash(f->name);
        if (!rf_need_header(f->name))
            return st_refuse(s, key, RF_STR("a header's name has at most 255 bytes, and at most 64 can be read"), f->name);
    } else if (two && rf_eq(from, RF_STR("property"))) {
        f->origin = FIELD_PROPERTY;
        if (!field_slot(f->name, &f->slot)) return st_refuse(s, key, RF_STR("write a property that there is"), f->name);
    } else {
        return st_refuse(s, key, RF_STR("write body:PATH, header:NAME, property:NAME or routing_key"), text);
    }
    return true;
}

/* field_add reads one field of a setting that may hold several. */
RF_API bool field_add(const settings *s, rf_str key, fields *all, rf_str text) {
    if (all->n == MAX_FIELDS) return st_refuse(s, key, RF_STR("write at most 16 fields"), RF_STR(""));
    if (!field_read(s, key, text, &all->at[all->n])) return false;
    if (all->n++ > 0) rf_add(&all->text, RF_STR(", "));
    rf_add(&all->text, text);
    return true;
}

/* fields_read reads a setting that holds a field or an array of fields. False
   when it is not there or wrong. */
RF_API bool fields_read(const settings *s, rf_str key, fields *all) {
    rf_value v;
    if (!st_find(s, key, &v)) return false;
    rf_str text;
    if (st_keep(v, &text)) return field_add(s, key, all, text);
    if (v.kind != RF_JSON_ARRAY) return st_refuse(s, key, RF_STR("write a field such as \"header:tenant\", or an array of them"), v.text);
    rf_json_iter it = rf_json_each(v);
    rf_value e;
    while (rf_json_next(&it, NULL, NULL, &e)) {
        if (!st_keep(e, &text)) return st_refuse(s, key, RF_STR("write a field such as \"header:tenant\""), e.text);
        if (!field_add(s, key, all, text)) return false;
    }
    return all->n > 0 || st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
}

/* field_need says what the router must hand over for a field. */
RF_API int64_t field_need(const field *f) {
    return f->origin == FIELD_BODY     ? RF_NEED_BODY
           : f->origin == FIELD_HEADER ? RF_NEED_HEADERS
                                       : RF_NEED_PROPERTIES;
}

RF_API int64_t fields_need(const fields *all) {
    int64_t bits = 0;
    for (uint32_t i = 0; i < all->n; i++) bits |= field_need(&all->at[i]);
    return bits;
}

/* field_get reads a field's text, which may lie in buf and is good until buf is
   used again. False when the message has none, or, with an error in out, when
   its body is malformed. */
RF_API bool field_get(const rf_msg *msg, const field *f, char *buf, uint32_t cap, rf_str *value, rf_delta *out) {
    if (f->origin == FIELD_PROPERTY) {
        *value = rf_prop(msg, f->slot);
        return value->n > 0;
    }
    if (f->origin == FIELD_HEADER) {
        rf_header h;
        return rf_header_hashed(msg, f->name, f->hash, &h) && rf_header_text(h, buf, value);
    }
    rf_value v;
    uint32_t at = 0;
    switch (rf_json_find(rf_body(msg), f->name, &v, &at)) {
    case RF_FOUND: return rf_json_text(v, buf, cap, value);
    case RF_ABSENT: return false;
    }
    rf_text t = {0};
    rf_add(&t, RF_STR("the body is not JSON: malformed at byte "));
    rf_add_int(&t, at);
    rf_error(out, RF_STR("malformed"), rf_text_str(&t));
    return false;
}

/* printable says whether a value of a message may stand in a reason, which must be UTF-8. */
RF_API bool printable(rf_str s) {
    for (uint32_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f) return false; /* char is signed: not ASCII either */
    return true;
}

#endif
