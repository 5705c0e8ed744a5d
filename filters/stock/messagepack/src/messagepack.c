/*
 * messagepack: turns bodies from JSON to MessagePack and back, in the stages
 * decode and encode. See the README beside it.
 */
#include "media.h"
#include "to_json.h"
#include "to_msgpack.h"

static direction decode_direction, encode_direction;
static bool force;

static bool is_other(rf_str type) {
    return rf_eq(type, RF_STR("application/msgpack")) || rf_eq(type, RF_STR("application/x-msgpack")) ||
           rf_eq(type, RF_STR("application/vnd.msgpack")) || ends(type, RF_STR("+msgpack"));
}

static void convert(const rf_msg *msg, rf_delta *d, direction dir) {
    dir = resolve(dir, force, rf_prop(msg, RF_CONTENT_TYPE));
    if (dir == OFF) return;
    convert_begin();
    rf_str body = rf_body(msg);
    bool ok = dir == TO_JSON ? msgpack_to_json(body) : json_to_msgpack(body);
    if (ok)
        put_converted(msg, d, rf_slice(out.p, out_n), dir, RF_STR("application/msgpack"));
    else
        convert_report(d, dir == TO_JSON ? RF_STR("MessagePack to JSON") : RF_STR("JSON to MessagePack"));
}

static bool read_direction(rf_str s, direction *d) {
    *d = rf_eq(s, RF_STR("off"))               ? OFF
         : rf_eq(s, RF_STR("json-to-msgpack")) ? FROM_JSON
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
