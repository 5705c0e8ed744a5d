/*
 * content-router: chooses targets by one field of the message.
 *
 * router_init turns each entry of the configured table into a finished delta
 * and puts it into a hash table, so that a call is: find the field, look it up,
 * return an address.
 */
#include "router_filter.h"

enum { MAX_ROUTES = 65536, MAX_ROUTE_BYTES = 16 * 1024 };

typedef enum { FROM_BODY, FROM_HEADER, FROM_PROPERTY } origin;

typedef struct {
    rf_str key; /* p is NULL in a free entry */
    uint32_t hash;
    rf_delta ops;
} route;

static origin field_origin;
static rf_str field_name; /* JSON path or header name */
static rf_str field_text; /* as configured, for reasons */
static uint32_t field_hash;
static rf_slot field_slot;

static route *table;
static uint32_t table_mask;

static enum { DEFAULT_REJECT, DEFAULT_DROP, DEFAULT_PASS, DEFAULT_ROUTE } fallback;
static rf_delta fallback_ops;

static const struct {
    rf_str name;
    rf_slot slot;
} property_names[] = {
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

static bool refuse(rf_delta *out, rf_str what, rf_str name) {
    rf_text t = {0};
    rf_add(&t, what);
    rf_add(&t, name);
    rf_error(out, RF_STR("config"), rf_text_str(&t));
    return false;
}

/* keep copies a JSON string, without escapes, to memory of its own. */
static bool keep(rf_value v, rf_str *out) {
    char *p = rf_alloc(v.text.n + 1);
    return p != NULL && v.kind == RF_JSON_STRING && rf_json_unescape(v.text, p, v.text.n + 1, out);
}

static bool read_field(rf_str field, rf_delta *out) {
    rf_str from, name;
    field_text = field;
    if (rf_eq(field, RF_STR("routing_key"))) {
        field_origin = FROM_PROPERTY;
        field_slot = RF_ROUTING_KEY;
        return true;
    }
    if (!rf_cut(field, ':', &from, &name) || name.n == 0)
        return refuse(out, RF_STR("field: write it as body:PATH, header:NAME, property:NAME or routing_key, not "), field);
    field_name = name;
    field_hash = rf_hash(name);
    if (rf_eq(from, RF_STR("body"))) {
        field_origin = FROM_BODY;
        return true;
    }
    if (rf_eq(from, RF_STR("header"))) {
        field_origin = FROM_HEADER;
        return true;
    }
    if (!rf_eq(from, RF_STR("property"))) return refuse(out, RF_STR("field: cannot be read from "), from);
    field_origin = FROM_PROPERTY;
    for (uint32_t i = 0; i < sizeof property_names / sizeof *property_names; i++) {
        if (!rf_eq(property_names[i].name, name)) continue;
        field_slot = property_names[i].slot;
        return true;
    }
    return refuse(out, RF_STR("field: no such property: "), name);
}

/* read_targets turns a target, or an array of targets, into a delta. */
static bool read_targets(rf_value v, rf_str name, rf_delta *ops, rf_delta *out) {
    static _Alignas(8) uint8_t space[MAX_ROUTE_BYTES];
    rf_delta d = {space, 0, sizeof space, false};
    rf_str target;
    if (v.kind == RF_JSON_STRING) {
        if (!keep(v, &target) || !rf_target(&d, target)) return refuse(out, RF_STR("not a target: "), v.text);
    } else if (v.kind == RF_JSON_ARRAY) {
        rf_json_iter it = rf_json_each(v);
        rf_value e;
        while (rf_json_next(&it, NULL, NULL, &e))
            if (!keep(e, &target) || !rf_target(&d, target)) return refuse(out, RF_STR("not a target: "), e.text);
    } else {
        return refuse(out, RF_STR("a route is a target or an array of targets: "), name);
    }
    if (d.n == 0) return refuse(out, RF_STR("no target for "), name);
    if (d.full) return refuse(out, RF_STR("too many targets for "), name);
    d.p = rf_alloc(d.n);
    if (d.p == NULL) return refuse(out, RF_STR("no memory for "), name);
    __builtin_memcpy(d.p, space, d.n);
    *ops = d;
    return true;
}

static route *slot_of(rf_str key, uint32_t hash) {
    for (uint32_t i = hash & table_mask;; i = (i + 1) & table_mask) {
        route *r = &table[i];
        if (r->key.p == NULL || (r->hash == hash && rf_eq(r->key, key))) return r;
    }
}

static bool read_routes(rf_value routes, rf_delta *out) {
    rf_json_iter it = rf_json_each(routes);
    rf_value v, key = {.kind = RF_JSON_STRING};
    uint32_t count = 0, size = 2;
    while (rf_json_next(&it, &key.text, &key.escaped, &v)) count++;
    if (count == 0) return refuse(out, RF_STR("routes: the table is empty"), RF_STR(""));
    if (count > MAX_ROUTES) return refuse(out, RF_STR("routes: more than 65536"), RF_STR(""));
    while (size < 2 * count) size *= 2;
    table = rf_alloc(size * (uint32_t)sizeof(route));
    if (table == NULL) return refuse(out, RF_STR("routes: no memory for the table"), RF_STR(""));
    for (uint32_t i = 0; i < size; i++) table[i].key.p = NULL;
    table_mask = size - 1;
    it = rf_json_each(routes);
    while (rf_json_next(&it, &key.text, &key.escaped, &v)) {
        rf_str name;
        rf_delta ops;
        if (!keep(key, &name)) return refuse(out, RF_STR("routes: no memory for "), key.text);
        if (!read_targets(v, name, &ops, out)) return false;
        uint32_t hash = rf_hash(name);
        *slot_of(name, hash) = (route){name, hash, ops};
    }
    return true;
}

static bool read_default(rf_value v, rf_delta *out) {
    if (v.kind == RF_JSON_STRING) {
        fallback = rf_eq(v.text, RF_STR("drop"))     ? DEFAULT_DROP
                   : rf_eq(v.text, RF_STR("pass"))   ? DEFAULT_PASS
                   : rf_eq(v.text, RF_STR("reject")) ? DEFAULT_REJECT
                                                     : DEFAULT_ROUTE;
        if (fallback != DEFAULT_ROUTE) return true;
    }
    fallback = DEFAULT_ROUTE;
    return read_targets(v, RF_STR("default"), &fallback_ops, out);
}

RF_INIT(config, out) {
    rf_value root, v, key = {.kind = RF_JSON_STRING};
    rf_str field = {0};
    bool have_routes = false;
    if (rf_json_get(rf_body(config), RF_STR(""), &root) != RF_FOUND) root.kind = RF_JSON_NULL;
    rf_json_iter it = rf_json_each(root);
    while (rf_json_next(&it, &key.text, &key.escaped, &v)) {
        if (rf_json_is(key.text, key.escaped, RF_STR("field"))) {
            if (!keep(v, &field)) {
                refuse(out, RF_STR("field: not a string"), RF_STR(""));
                return;
            }
        } else if (rf_json_is(key.text, key.escaped, RF_STR("routes"))) {
            if (!read_routes(v, out)) return;
            have_routes = true;
        } else if (rf_json_is(key.text, key.escaped, RF_STR("default"))) {
            if (!read_default(v, out)) return;
        } else {
            refuse(out, RF_STR("unknown key (field, routes and default are known): "), key.text);
            return;
        }
    }
    if (field.n == 0)
        refuse(out, RF_STR("field is missing: write for example field = \"body:type\""), RF_STR(""));
    else if (!have_routes)
        refuse(out, RF_STR("routes is missing: write for example routes = { created = \"queue:orders.created\" }"), RF_STR(""));
    else
        read_field(field, out);
}

RF_NEEDS(RF_STATELESS | (field_origin == FROM_BODY     ? RF_NEED_BODY
                         : field_origin == FROM_HEADER ? RF_NEED_HEADERS
                                                       : RF_NEED_PROPERTIES))

/* find_value reads the field. False when the message has none (out is then
   empty) or is malformed (out then holds an error). */
static bool find_value(const rf_msg *msg, char *buf, uint32_t cap, rf_str *value, rf_delta *out) {
    if (field_origin == FROM_PROPERTY) {
        *value = rf_prop(msg, field_slot);
        return value->n > 0;
    }
    if (field_origin == FROM_HEADER) {
        rf_header h;
        return rf_header_hashed(msg, field_name, field_hash, &h) && rf_header_text(h, buf, value);
    }
    rf_value v;
    uint32_t at = 0;
    switch (rf_json_find(rf_body(msg), field_name, &v, &at)) {
    case RF_FOUND: return rf_json_text(v, buf, cap, value);
    case RF_ABSENT: return false;
    }
    rf_text t = {0};
    rf_add(&t, RF_STR("the body is not JSON: malformed at byte "));
    rf_add_int(&t, at);
    rf_error(out, RF_STR("malformed"), rf_text_str(&t));
    return false;
}

/* printable says whether a value may stand in a reason, which must be UTF-8. */
static bool printable(rf_str s) {
    for (uint32_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] == 0x7f) return false; /* char is signed: not ASCII either */
    return true;
}

static void no_route(rf_delta *out, bool found, rf_str value) {
    rf_text t = {0};
    if (fallback == DEFAULT_ROUTE) {
        *out = fallback_ops;
        return;
    }
    if (fallback == DEFAULT_PASS) return;
    if (!found) {
        rf_add(&t, RF_STR("no value of "));
        rf_add(&t, field_text);
    } else {
        rf_add(&t, RF_STR("no route for "));
        rf_add(&t, field_text);
        if (printable(value)) {
            rf_add(&t, RF_STR(" = "));
            rf_add(&t, value);
        }
    }
    rf_action(out, fallback == DEFAULT_DROP ? RF_STR("drop") : RF_STR("reject"), rf_text_str(&t));
}

RF_STAGE(decide, msg, out) {
    char buf[512];
    rf_str value = {0};
    bool found = find_value(msg, buf, sizeof buf, &value, out);
    if (out->n > 0) return;
    if (found) {
        route *r = slot_of(value, rf_hash(value));
        if (r->key.p != NULL) {
            *out = r->ops;
            return;
        }
    }
    no_route(out, found, value);
}
