/* Says what the JSON reader finds in the body at the path that the header "path"
   has. rust/testdata/json.rs and wat/testdata/json.wat are its twins. */
#include "router_filter.h"

static rf_str header(const rf_msg *msg, rf_str name) {
    rf_header h;
    return rf_get_header(msg, name, &h) ? h.raw : RF_STR("");
}

static const char *kind(rf_json_kind k) {
    switch (k) {
    case RF_JSON_OBJECT: return "{";
    case RF_JSON_ARRAY: return "[";
    case RF_JSON_STRING: return "\"";
    case RF_JSON_NUMBER: return "0";
    case RF_JSON_TRUE: return "t";
    case RF_JSON_FALSE: return "f";
    default: return "n";
    }
}

RF_STAGE(decide, msg, out) {
    static char buf[1024];
    rf_value v;
    rf_str text;
    uint32_t at;
    switch (rf_json_find(rf_body(msg), header(msg, RF_STR("path")), &v, &at)) {
    case RF_ABSENT: return;
    case RF_BAD_JSON: rf_set_header_i64(out, RF_STR("bad"), at); return;
    }
    rf_set_header(out, RF_STR("kind"), rf_slice(kind(v.kind), 1));
    rf_set_header_bytes(out, RF_STR("raw"), v.text);
    if (!rf_json_text(v, buf, sizeof buf, &text)) return;
    rf_set_header(out, RF_STR("text"), text);
    rf_set_header_bool(out, RF_STR("equal"), rf_json_is(v.text, v.escaped, header(msg, RF_STR("is"))));
    rf_set_header_bool(out, RF_STR("self"), rf_json_is(v.text, v.escaped, text));
}
