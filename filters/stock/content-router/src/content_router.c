/*
 * content-router: chooses targets by one field of the message.
 *
 * router_init turns each entry of the configured table into a finished delta
 * and puts it into a hash table, so that a call is: find the field, look it up,
 * return an address.
 */
#include "field.h"
#include "target.h"

enum { MAX_ROUTES = 65536, MAX_LENGTHS = 64 };

typedef struct {
    rf_str key; /* p is NULL in a free entry */
    uint32_t hash;
    bool prefix; /* the key stands for all values that begin with it */
    rf_delta ops;
} route;

static field by;

static route *table;
static uint32_t table_mask;

/* The lengths that prefixes have, in ascending order. */
static uint32_t lengths[MAX_LENGTHS], length_count;

static enum { DEFAULT_REJECT, DEFAULT_DROP, DEFAULT_PASS, DEFAULT_ROUTE } fallback;
static rf_delta fallback_ops;

static const rf_str routes_key = {"routes", 6};

static route *slot_of(rf_str key, uint32_t hash, bool prefix) {
    for (uint32_t i = hash & table_mask;; i = (i + 1) & table_mask) {
        route *r = &table[i];
        if (r->key.p == NULL || (r->hash == hash && r->prefix == prefix && rf_eq(r->key, key))) return r;
    }
}

static bool add_length(uint32_t n) {
    uint32_t i = length_count;
    for (uint32_t k = 0; k < length_count; k++)
        if (lengths[k] == n) return true;
    if (length_count == MAX_LENGTHS) return false;
    for (; i > 0 && lengths[i - 1] > n; i--) lengths[i] = lengths[i - 1];
    lengths[i] = n;
    length_count++;
    return true;
}

/* take_star cuts the asterisk off a prefix, and the backslash off a value that
   ends with an asterisk. */
static bool take_star(rf_str *name) {
    if (name->n == 0 || name->p[name->n - 1] != '*') return false;
    if (name->n > 1 && name->p[name->n - 2] == '\\') {
        char *p = rf_alloc(name->n - 1);
        if (p == NULL) return false;
        __builtin_memcpy(p, name->p, name->n - 2);
        p[name->n - 2] = '*';
        *name = rf_slice(p, name->n - 1);
        return false;
    }
    name->n--;
    return true;
}

static bool read_route(const settings *s, rf_value key, rf_value v) {
    rf_text where = {0};
    rf_str name;
    rf_delta ops;
    if (!st_keep(key, &name)) return st_refuse(s, routes_key, RF_STR("no memory for the table; raise limits.memory"), RF_STR(""));
    rf_add(&where, RF_STR("routes."));
    rf_add(&where, name);
    if (!targets_read(s, rf_text_str(&where), RF_STR("write a target such as \"queue:orders\", or an array of targets"), v, &ops))
        return false;
    bool prefix = take_star(&name);
    if (prefix && !add_length(name.n))
        return st_refuse(s, routes_key, RF_STR("prefixes have at most 64 different lengths"), RF_STR(""));
    uint32_t hash = rf_hash(name);
    *slot_of(name, hash, prefix) = (route){name, hash, prefix, ops};
    return true;
}

static bool read_routes(const settings *s) {
    rf_value routes, v, key = {.kind = RF_JSON_STRING};
    uint32_t count = 0, size = 2;
    if (!st_find(s, routes_key, &routes))
        return st_refuse(s, routes_key, RF_STR("is missing: write for example routes = { created = \"queue:orders.created\" }"), RF_STR(""));
    if (routes.kind != RF_JSON_OBJECT) return st_refuse(s, routes_key, RF_STR("write a table from values to targets"), routes.text);
    rf_json_iter it = rf_json_each(routes);
    while (rf_json_next(&it, &key.text, &key.escaped, &v)) count++;
    if (count == 0) return st_refuse(s, routes_key, RF_STR("the table is empty"), RF_STR(""));
    if (count > MAX_ROUTES) return st_refuse(s, routes_key, RF_STR("write at most 65536"), RF_STR(""));
    while (size < 2 * count) size *= 2;
    table = rf_alloc(size * (uint32_t)sizeof(route));
    if (table == NULL) return st_refuse(s, routes_key, RF_STR("no memory for the table; raise limits.memory"), RF_STR(""));
    for (uint32_t i = 0; i < size; i++) table[i].key.p = NULL;
    table_mask = size - 1;
    it = rf_json_each(routes);
    while (rf_json_next(&it, &key.text, &key.escaped, &v))
        if (!read_route(s, key, v)) return false;
    return true;
}

static void read_default(const settings *s) {
    rf_value v;
    if (!st_find(s, RF_STR("default"), &v)) return;
    if (v.kind == RF_JSON_STRING) {
        fallback = rf_json_is(v.text, v.escaped, RF_STR("drop"))     ? DEFAULT_DROP
                   : rf_json_is(v.text, v.escaped, RF_STR("pass"))   ? DEFAULT_PASS
                   : rf_json_is(v.text, v.escaped, RF_STR("reject")) ? DEFAULT_REJECT
                                                                     : DEFAULT_ROUTE;
        if (fallback != DEFAULT_ROUTE) return;
    }
    fallback = DEFAULT_ROUTE;
    targets_read(s, RF_STR("default"), RF_STR("write reject, drop, pass, a target such as \"queue:rest\", or an array of targets"), v,
                 &fallback_ops);
}

RF_INIT(config, out) {
    settings s = st_open(config, out);
    rf_value v;
    st_known(&s, RF_STR("field routes default"));
    if (st_find(&s, RF_STR("field"), &v))
        field_read(&s, RF_STR("field"), st_text(&s, RF_STR("field"), RF_STR("")), &by);
    else
        st_refuse(&s, RF_STR("field"), RF_STR("is missing: write for example field = \"body:type\""), RF_STR(""));
    if (st_ok(&s)) read_routes(&s);
    if (st_ok(&s)) read_default(&s);
}

RF_NEEDS(RF_STATELESS | field_need(&by))

/* find_route finds the entry of a value or, without one, that of the longest
   prefix. */
static const route *find_route(rf_str value) {
    const route *best = NULL;
    uint32_t h = 2166136261u, at = 0;
    for (uint32_t k = 0; k < length_count && lengths[k] <= value.n; k++) {
        for (; at < lengths[k]; at++) h = (h ^ (uint8_t)value.p[at]) * 16777619u;
        const route *r = slot_of(rf_slice(value.p, at), h, true);
        if (r->key.p != NULL) best = r;
    }
    for (; at < value.n; at++) h = (h ^ (uint8_t)value.p[at]) * 16777619u;
    const route *r = slot_of(value, h, false);
    return r->key.p != NULL ? r : best;
}

static void no_route(rf_delta *out, bool found, rf_str value) {
    rf_text t = {0};
    if (fallback == DEFAULT_ROUTE) {
        *out = fallback_ops;
        return;
    }
    if (fallback == DEFAULT_PASS) return;
    rf_add(&t, found ? RF_STR("no route for ") : RF_STR("no value of "));
    rf_add(&t, by.text);
    if (found && printable(value)) {
        rf_add(&t, RF_STR(" = "));
        rf_add(&t, value);
    }
    rf_action(out, fallback == DEFAULT_DROP ? RF_STR("drop") : RF_STR("reject"), rf_text_str(&t));
}

RF_STAGE(decide, msg, out) {
    char buf[512];
    rf_str value = {0};
    bool found = field_get(msg, &by, buf, sizeof buf, &value, out);
    if (out->n > 0) return;
    const route *r = found ? find_route(value) : NULL;
    if (r != NULL)
        *out = r->ops;
    else
        no_route(out, found, value);
}
