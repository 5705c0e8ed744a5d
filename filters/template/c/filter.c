#include "sdk/router_filter.h"
RF_NEEDS(RF_NEED_BODY | RF_STATELESS)
static rf_text field, target;

RF_INIT(config, out) {
    rf_header h;
    rf_add(&field, rf_get_header(config, RF_STR("field"), &h) ? h.raw : RF_STR("type"));
    rf_add(&target, RF_STR("queue:"));
    if (rf_get_header(config, RF_STR("queue"), &h)) rf_add(&target, h.raw);
    else rf_error(out, RF_STR("config"), RF_STR("queue is missing"));
}

RF_STAGE(decide, msg, out) {
    char buf[256];
    rf_value v;
    rf_str kind;
    if (rf_json_get(rf_body(msg), rf_text_str(&field), &v) == RF_FOUND && rf_json_text(v, buf, sizeof buf, &kind)) {
        rf_set_header(out, RF_STR("kind"), kind);
        rf_target(out, rf_text_str(&target));
    } else rf_reject(out, RF_STR("the body has no such field"));
}
