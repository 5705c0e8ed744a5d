/*
 * messagepack: turns bodies from JSON to MessagePack and back, in the stages
 * decode and encode. See the README beside it.
 */
#include "to_json.h"
#include "to_msgpack.h"

typedef enum { OFF, AUTO, TO_MSGPACK, TO_JSON } direction;

static direction decode_direction, encode_direction;
static bool force;

/* media_type cuts parameters off a content type and lowers its case. */
static rf_str media_type(rf_str content_type, char *buf, uint32_t cap) {
    rf_str type, parameters;
    rf_cut(content_type, ';', &type, &parameters);
    while (type.n > 0 && type.p[type.n - 1] == ' ') type.n--;
    if (type.n > cap) return rf_slice(buf, 0);
    for (uint32_t i = 0; i < type.n; i++) buf[i] = type.p[i] >= 'A' && type.p[i] <= 'Z' ? type.p[i] + 32 : type.p[i];
    return rf_slice(buf, type.n);
}

static bool ends(rf_str s, rf_str suffix) {
    return s.n >= suffix.n && rf_eq(rf_slice(s.p + s.n - suffix.n, suffix.n), suffix);
}

static bool is_json(rf_str type) { return rf_eq(type, RF_STR("application/json")) || ends(type, RF_STR("+json")); }

static bool is_msgpack(rf_str type) {
    return rf_eq(type, RF_STR("application/msgpack")) || rf_eq(type, RF_STR("application/x-msgpack")) ||
           rf_eq(type, RF_STR("application/vnd.msgpack")) || ends(type, RF_STR("+msgpack"));
}

/* resolve says what is to be done with a message of that content type: what is
   labelled as something else is left alone. */
static direction resolve(direction d, rf_str content_type) {
    char buf[255];
    if (d == OFF || (force && d != AUTO)) return d;
    rf_str type = media_type(content_type, buf, sizeof buf);
    if (is_json(type)) return d == TO_JSON ? OFF : TO_MSGPACK;
    if (is_msgpack(type)) return d == TO_MSGPACK ? OFF : TO_JSON;
    return d == AUTO || content_type.n > 0 ? OFF : d;
}

static void report(rf_delta *d, direction dir) {
    rf_text t = {0};
    uint32_t n = 0;
    while (fault[n] != 0) n++;
    rf_add(&t, dir == TO_JSON ? RF_STR("MessagePack to JSON: ") : RF_STR("JSON to MessagePack: "));
    rf_add(&t, rf_slice(fault, n));
    rf_add(&t, RF_STR(" at byte "));
    rf_add_int(&t, fault_at);
    rf_error(d, fault == no_memory ? RF_STR("memory") : RF_STR("malformed"), rf_text_str(&t));
}

static void convert(const rf_msg *msg, rf_delta *d, direction dir) {
    dir = resolve(dir, rf_prop(msg, RF_CONTENT_TYPE));
    if (dir == OFF) return;
    fault = NULL;
    out_n = 0;
    rf_str body = rf_body(msg);
    bool ok = dir == TO_JSON ? msgpack_to_json(body) : json_to_msgpack(body);
    if (!ok) {
        report(d, dir);
        return;
    }
    rf_set_body_ref(d, rf_slice(out.p, out_n));
    rf_set_prop(d, RF_CONTENT_TYPE, dir == TO_JSON ? RF_STR("application/json") : RF_STR("application/msgpack"));
    if (rf_prop(msg, RF_CONTENT_ENCODING).n > 0)
        rf_set_prop(d, RF_CONTENT_ENCODING, dir == TO_JSON ? RF_STR("utf-8") : RF_STR("binary"));
}

static bool read_direction(rf_str s, direction *d) {
    *d = rf_eq(s, RF_STR("off"))               ? OFF
         : rf_eq(s, RF_STR("json-to-msgpack")) ? TO_MSGPACK
         : rf_eq(s, RF_STR("msgpack-to-json")) ? TO_JSON
                                               : AUTO;
    return *d != AUTO || rf_eq(s, RF_STR("auto"));
}

static void refuse(rf_delta *d, rf_str name, rf_str why) {
    rf_text t = {0};
    rf_add(&t, name);
    rf_add(&t, why);
    rf_error(d, RF_STR("config"), rf_text_str(&t));
}

RF_INIT(config, d) {
    for (uint32_t i = 0; i < rf_header_count(config); i++) {
        rf_str name;
        rf_header h = rf_header_at(config, i, &name);
        direction *into = rf_eq(name, RF_STR("decode"))   ? &decode_direction
                          : rf_eq(name, RF_STR("encode")) ? &encode_direction
                                                          : NULL;
        if (into != NULL) {
            if (h.type == RF_T_UTF8 && read_direction(h.raw, into)) continue;
            refuse(d, name, RF_STR(": json-to-msgpack, msgpack-to-json, auto and off are known"));
        } else if (rf_eq(name, RF_STR("force"))) {
            force = h.type == RF_T_BOOL && h.raw.p[0];
            if (h.type == RF_T_BOOL) continue;
            refuse(d, name, RF_STR(": not a boolean"));
        } else if (rf_eq(name, RF_STR("not_finite"))) {
            null_for_nan = rf_eq(h.raw, RF_STR("null"));
            if (null_for_nan || rf_eq(h.raw, RF_STR("error"))) continue;
            refuse(d, name, RF_STR(": error and null are known"));
        } else {
            refuse(d, name, RF_STR(": unknown key; decode, encode, force and not_finite are known"));
        }
        return;
    }
    if (decode_direction == OFF && encode_direction == OFF)
        refuse(d, RF_STR(""), RF_STR("neither decode nor encode is set: write for example decode = \"msgpack-to-json\""));
}

RF_NEEDS(RF_NEED_BODY | RF_NEED_PROPERTIES | RF_STATELESS)

RF_STAGE(decode, msg, d) { convert(msg, d, decode_direction); }

RF_STAGE(encode, msg, d) { convert(msg, d, encode_direction); }
