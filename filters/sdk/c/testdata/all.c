/* A filter that uses what the stock filters do not. all/main.go is its twin. */
#include "router_filter.h"

static int32_t seen, took;

RF_NEEDS(0)

RF_INIT(config, out) {
    seen = rf_metric_def(RF_COUNTER, RF_STR("seen"));
    took = rf_metric_def(RF_HISTOGRAM, RF_STR("took"));
    if (seen < 0 || took < 0) rf_error(out, RF_STR("config"), RF_STR("no metrics"));
}

RF_STAGE(decide, msg, out) {
    char body[4], id[8];
    rf_metric_add(seen, 1);
    rf_metric_obs(took, 0.5);
    rf_random(id, sizeof id);
    rf_log(RF_WARN, RF_STR("hello"));
    rf_set_header_bool(out, RF_STR("time"), rf_time_ns() > 0);
    rf_set_header_i64(out, RF_STR("int"), -7);
    rf_set_header_bytes(out, RF_STR("bytes"), rf_slice(body, (uint32_t)rf_read_body(2, body, sizeof body)));
    rf_del_header(out, RF_STR("k"));
    rf_drop(out, RF_STR("split"));
    rf_emit(out);
    rf_set_body(out, RF_STR("one"));
    rf_target(out, RF_STR("queue:a"));
    rf_emit(out);
    rf_clear_headers(out);
    rf_set_prop(out, RF_TYPE, RF_STR("second"));
    rf_target(out, RF_STR("exchange:ex/key"));
    rf_target(out, RF_STR("server:ctl/compute.host"));
}

RF_STAGE(pack, msg, out) { rf_retry(out, 250, RF_STR("later")); }

RF_STAGE(encode, msg, out) { rf_error_retryable(out, RF_STR("busy"), RF_STR("try again")); }
