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

RF_STAGE(unpack, msg, out) {
    char buf[8];
    rf_str old = RF_STR("value"), empty = RF_STR("");
    rf_set_header_bool(out, RF_STR("set"), rf_kv_set(RF_STR("k"), old, 0));
    rf_set_header_bool(out, RF_STR("refused"), !rf_kv_set(empty, old, 0));
    rf_set_header_i64(out, RF_STR("get"), rf_kv_get(RF_STR("k"), buf, sizeof buf));
    rf_set_header(out, RF_STR("value"), rf_slice(buf, 5));
    rf_set_header_bool(out, RF_STR("taken"), !rf_kv_swap(RF_STR("k"), NULL, empty, 1000));
    rf_set_header_bool(out, RF_STR("other"), !rf_kv_swap(RF_STR("k"), &empty, empty, 1000));
    rf_set_header_bool(out, RF_STR("swapped"), rf_kv_swap(RF_STR("k"), &old, empty, 1000));
    rf_set_header_bool(out, RF_STR("again"), rf_kv_swap(RF_STR("k"), &empty, old, 1000));
    rf_set_header_bool(out, RF_STR("first"), rf_kv_swap(RF_STR("new"), NULL, empty, 1000));
    rf_set_header_bool(out, RF_STR("none"), rf_kv_get(RF_STR("absent"), buf, sizeof buf) == -1);
    rf_kv_add(RF_STR("n"), 40, 1000);
    rf_set_header_i64(out, RF_STR("sum"), rf_kv_add(RF_STR("n"), 2, 0));
    rf_set_header_bool(out, RF_STR("deleted"), rf_kv_delete(RF_STR("k")) && !rf_kv_delete(RF_STR("k")));
}

RF_STAGE(pack, msg, out) { rf_retry(out, 250, RF_STR("later")); }

RF_STAGE(encode, msg, out) { rf_error_retryable(out, RF_STR("busy"), RF_STR("try again")); }
