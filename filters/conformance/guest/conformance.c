/* The conformance filter of SPEC.md, in C. */
#include "router_filter.h"

enum { MAX_KEY = 64, MAX_VALUE = 1024 };

static int64_t needs = RF_NEED_BODY | RF_NEED_HEADERS | RF_NEED_PROPERTIES;
RF_NEEDS(needs)

/* What the configuration said. */
typedef struct {
    bool set;
    uint32_t n;
    char p[MAX_KEY];
} kept;
static kept text, table_key;
static bool has_int, has_bool, bool_value;
static int64_t int_value;

static int64_t init_time, init_header, init_body;
static int32_t counter, gauge, histogram;
static int64_t count;

static void keep(const rf_msg *config, rf_str name, kept *k) {
    rf_header h;
    if (!rf_get_header(config, name, &h) || h.raw.n > MAX_KEY) return;
    k->set = true;
    k->n = h.raw.n;
    __builtin_memcpy(k->p, h.raw.p, h.raw.n);
}

RF_INIT(config, out) {
    rf_header h;
    if (rf_get_header(config, RF_STR("fail"), &h)) {
        rf_error(out, RF_STR("config"), h.raw);
        return;
    }
    if (rf_get_header(config, RF_STR("needs"), &h) && h.type == RF_T_I64) needs = rf_i64(h.raw.p);
    keep(config, RF_STR("text"), &text);
    keep(config, RF_STR("table.key"), &table_key);
    has_int = rf_get_header(config, RF_STR("int"), &h) && h.type == RF_T_I64;
    if (has_int) int_value = rf_i64(h.raw.p);
    has_bool = rf_get_header(config, RF_STR("bool"), &h) && h.type == RF_T_BOOL;
    if (has_bool) bool_value = h.raw.p[0] != 0;

    uint8_t byte;
    init_time = rf_time_ns();
    init_header = rf_read_header(RF_STR("do"), &byte, 1);
    init_body = rf_read_body(0, &byte, 1);
    counter = rf_metric_def(RF_COUNTER, RF_STR("conf_total"));
    gauge = rf_metric_def(RF_GAUGE, RF_STR("conf_level"));
    histogram = rf_metric_def(RF_HISTOGRAM, RF_STR("conf_seconds"));
}

RF_EXPORT("router_close") void closed(void) { rf_log(RF_INFO, RF_STR("closed")); }

/* argument finds a header in the frame, else asks for it; false when the
   message has none. */
static bool argument(const rf_msg *msg, rf_str name, char *buf, uint32_t cap, rf_str *out) {
    rf_header h;
    if (rf_get_header(msg, name, &h)) {
        *out = h.raw;
        return true;
    }
    int32_t n = rf_read_header(name, buf, cap);
    *out = rf_slice(buf, n < 0 || (uint32_t)n > cap ? 0 : (uint32_t)n);
    return n >= 0;
}

static rf_str text_of(const rf_msg *msg, rf_str name, char *buf, uint32_t cap) {
    rf_str s;
    argument(msg, name, buf, cap, &s);
    return s;
}

static int64_t int_of(const rf_msg *msg, rf_str name) {
    char buf[8];
    rf_str s;
    argument(msg, name, buf, 8, &s);
    return s.n == 8 ? rf_i64(s.p) : 0;
}

static uint32_t cap_of(const rf_msg *msg) {
    int64_t cap = int_of(msg, RF_STR("cap"));
    return cap < 0 || cap > MAX_VALUE ? 0 : (uint32_t)cap;
}

static char key_space[MAX_KEY], value_space[MAX_VALUE], old_space[MAX_VALUE];

static void read_frame(const rf_msg *msg, rf_delta *out) {
    rf_set_header_i64(out, RF_STR("flags"), rf_flags(msg));
    rf_set_header_i64(out, RF_STR("stage"), msg->p[58]);
    rf_set_header_i64(out, RF_STR("priority"), rf_priority(msg));
    rf_set_header_i64(out, RF_STR("delivery_mode"), rf_delivery_mode(msg));
    rf_set_header_i64(out, RF_STR("timestamp_ns"), rf_timestamp_ns(msg));
    rf_set_header_i64(out, RF_STR("received_ns"), rf_received_ns(msg));
    rf_set_header_i64(out, RF_STR("body_len"), rf_body(msg).n);
    rf_set_header_i64(out, RF_STR("body_full_len"), (int64_t)rf_body_full_len(msg));
    rf_set_header_i64(out, RF_STR("headers"), rf_header_count(msg));
}

static void read_header(const rf_msg *msg, rf_delta *out) {
    rf_header h;
    bool found = rf_get_header(msg, text_of(msg, RF_STR("name"), key_space, sizeof key_space), &h);
    rf_set_header_bool(out, RF_STR("found"), found);
    if (!found) return;
    rf_set_header_i64(out, RF_STR("type"), h.type);
    rf_set_header_bytes(out, RF_STR("value"), h.raw);
}

static void each_header(const rf_msg *msg, rf_delta *out) {
    int64_t bytes = 0;
    uint32_t hashes = 0, n = rf_header_count(msg);
    for (uint32_t i = 0; i < n; i++) {
        rf_str name;
        rf_header h = rf_header_at(msg, i, &name);
        bytes += (int64_t)name.n + h.raw.n;
        hashes ^= rf_hash(name);
    }
    rf_set_header_i64(out, RF_STR("count"), n);
    rf_set_header_i64(out, RF_STR("bytes"), bytes);
    rf_set_header_i64(out, RF_STR("xor"), hashes);
}

static void read_json(const rf_msg *msg, rf_delta *out) {
    rf_value v;
    rf_str kind, s;
    int found = rf_json_get(rf_body(msg), text_of(msg, RF_STR("path"), key_space, sizeof key_space), &v);
    if (found != RF_FOUND) {
        rf_set_header(out, RF_STR("kind"), found == RF_ABSENT ? RF_STR("absent") : RF_STR("malformed"));
        return;
    }
    switch (v.kind) {
    case RF_JSON_OBJECT: kind = RF_STR("object"); break;
    case RF_JSON_ARRAY: kind = RF_STR("array"); break;
    case RF_JSON_STRING: kind = RF_STR("string"); break;
    case RF_JSON_NUMBER: kind = RF_STR("number"); break;
    case RF_JSON_TRUE: kind = RF_STR("true"); break;
    case RF_JSON_FALSE: kind = RF_STR("false"); break;
    default: kind = RF_STR("null");
    }
    rf_set_header(out, RF_STR("kind"), kind);
    rf_set_header_bytes(out, RF_STR("raw"), v.text);
    if (rf_json_text(v, value_space, sizeof value_space, &s)) rf_set_header(out, RF_STR("text"), s);
}

static void answer_got(rf_delta *out, int32_t n, uint32_t cap) {
    rf_set_header_i64(out, RF_STR("n"), n);
    if (n >= 0 && (uint32_t)n <= cap) rf_set_header_bytes(out, RF_STR("value"), rf_slice(value_space, (uint32_t)n));
}

static void read_random(rf_delta *out) {
    char a[16], b[16];
    rf_random(a, sizeof a);
    rf_random(b, sizeof b);
    rf_set_header_bytes(out, RF_STR("a"), rf_slice(a, sizeof a));
    rf_set_header_bytes(out, RF_STR("b"), rf_slice(b, sizeof b));
}

static void use_metrics(rf_delta *out) {
    rf_metric_add(counter, 2);
    rf_metric_add(gauge, 5);
    rf_metric_obs(histogram, 0.25);
    bool defined = counter >= 0 && gauge >= 0 && histogram >= 0 && counter != gauge && gauge != histogram && counter != histogram;
    rf_set_header_bool(out, RF_STR("defined"), defined);
}

static void use_kv(const rf_msg *msg, rf_delta *out, rf_str op) {
    rf_str key = text_of(msg, RF_STR("key"), key_space, sizeof key_space), old;
    int64_t ttl = int_of(msg, RF_STR("ttl")), n;
    if (rf_eq(op, RF_STR("get"))) {
        uint32_t cap = cap_of(msg);
        answer_got(out, rf_kv_get(key, value_space, cap), cap);
        return;
    }
    if (rf_eq(op, RF_STR("add"))) {
        n = rf_kv_add(key, int_of(msg, RF_STR("by")), ttl);
    } else if (rf_eq(op, RF_STR("delete"))) {
        n = rf_kv_delete(key);
    } else {
        rf_str value = text_of(msg, RF_STR("value"), value_space, sizeof value_space);
        if (rf_eq(op, RF_STR("set"))) {
            n = rf_kv_set(key, value, ttl);
        } else {
            bool has_old = argument(msg, RF_STR("old"), old_space, sizeof old_space, &old);
            n = rf_kv_swap(key, has_old ? &old : NULL, value, ttl);
        }
    }
    rf_set_header_i64(out, RF_STR("n"), n);
}

static void answer_config(rf_delta *out) {
    if (text.set) rf_set_header(out, RF_STR("text"), rf_slice(text.p, text.n));
    if (has_int) rf_set_header_i64(out, RF_STR("int"), int_value);
    if (has_bool) rf_set_header_bool(out, RF_STR("bool"), bool_value);
    if (table_key.set) rf_set_header(out, RF_STR("table.key"), rf_slice(table_key.p, table_key.n));
}

/* change runs the commands that always make the same change. */
static bool change(rf_str command, rf_delta *out) {
#define COMMAND(name) else if (rf_eq(command, RF_STR(name)))
    if (rf_eq(command, RF_STR("pass"))) {
    }
    COMMAND("error") rf_error(out, RF_STR("E1"), RF_STR("no way"));
    COMMAND("error-retry") rf_error_retryable(out, RF_STR("E2"), RF_STR("later perhaps"));
    COMMAND("trap") __builtin_trap();
    COMMAND("count") rf_set_header_i64(out, RF_STR("count"), ++count);
    COMMAND("types") {
        rf_set_header(out, RF_STR("utf8"), RF_STR("grün"));
        rf_set_header_bytes(out, RF_STR("bytes"), RF_STR("\x00\xff\x10"));
        rf_set_header_i64(out, RF_STR("i64"), -7);
        rf_set_header_f64(out, RF_STR("f64"), 0.5);
        rf_set_header_bool(out, RF_STR("bool"), true);
        rf_set_header_time(out, RF_STR("time"), 1700000000);
        rf_set_header_null(out, RF_STR("null"));
    }
    COMMAND("del") rf_del_header(out, RF_STR("k"));
    COMMAND("clear") {
        rf_set_header(out, RF_STR("before"), RF_STR("gone"));
        rf_clear_headers(out);
        rf_set_header(out, RF_STR("after"), RF_STR("kept"));
    }
    COMMAND("props") {
        char p[2] = "p2";
        for (rf_slot slot = RF_CONTENT_TYPE; slot <= RF_APP_ID; slot++, p[1]++) rf_set_prop(out, slot, rf_slice(p, 2));
        rf_set_prop(out, RF_EXPIRATION, RF_STR("60000"));
    }
    COMMAND("attributes") {
        rf_set_priority(out, 7);
        rf_set_delivery_mode(out, 1);
        rf_set_timestamp(out, 1700000000);
    }
    COMMAND("remove") {
        rf_set_prop(out, RF_CONTENT_TYPE, RF_STR(""));
        rf_set_prop(out, RF_APP_ID, RF_STR(""));
        rf_set_prop(out, RF_EXPIRATION, RF_STR(""));
        rf_set_prop(out, RF_TIMESTAMP, RF_STR(""));
    }
    COMMAND("targets") {
        rf_target(out, RF_STR("queue:q"));
        rf_target(out, RF_STR("exchange:ex/key"));
        rf_target(out, RF_STR("exchange:/key"));
        rf_target(out, RF_STR("topic:t"));
        rf_target(out, RF_STR("topic:ex/t"));
        rf_target(out, RF_STR("server:t.s"));
        rf_target(out, RF_STR("server:ex/t.s"));
        rf_target(out, RF_STR("fanout:t"));
        rf_target(out, RF_STR("notify:t.info"));
        rf_target(out, RF_STR("notify:ex/t.info"));
    }
    COMMAND("forward") rf_forward(out);
    COMMAND("continue") rf_continue(out);
    COMMAND("drop") rf_drop(out, RF_STR("not needed"));
    COMMAND("reject") rf_reject(out, RF_STR("zu groß"));
    COMMAND("retry") rf_retry(out, 1500, RF_STR("later"));
    COMMAND("reply") rf_reply(out);
    COMMAND("stop") {
        rf_drop(out, RF_STR(""));
        rf_stop(out);
    }
    COMMAND("emit") {
        rf_drop(out, RF_STR("split"));
        rf_emit(out);
        rf_target(out, RF_STR("queue:a"));
        rf_set_header_i64(out, RF_STR("part"), 1);
        rf_set_body(out, RF_STR("one"));
        rf_emit(out);
        rf_target(out, RF_STR("queue:b"));
        rf_set_prop(out, RF_TYPE, RF_STR("second"));
        rf_del_header(out, RF_STR("k"));
        rf_set_body(out, RF_STR("two"));
    }
    COMMAND("body") rf_set_body(out, RF_STR("new body"));
    COMMAND("empty") rf_set_body(out, RF_STR(""));
    COMMAND("config") answer_config(out);
    COMMAND("time") rf_set_header_i64(out, RF_STR("time"), rf_time_ns());
    COMMAND("random") read_random(out);
    COMMAND("init") {
        rf_set_header_i64(out, RF_STR("time"), init_time);
        rf_set_header_i64(out, RF_STR("header"), init_header);
        rf_set_header_i64(out, RF_STR("body"), init_body);
    }
    COMMAND("metric") use_metrics(out);
    else return false;
    return true;
}

static void run(const rf_msg *msg, rf_delta *out) {
    char buf[16];
    rf_str command, body = rf_body(msg);
    if (!argument(msg, RF_STR("do"), buf, sizeof buf, &command)) return;
    if (change(command, out)) return;
    if (rf_starts(command, RF_STR("kv-"))) use_kv(msg, out, rf_slice(command.p + 3, command.n - 3));
    COMMAND("target") {
        if (!rf_target(out, text_of(msg, RF_STR("target"), value_space, sizeof value_space)))
            rf_error(out, RF_STR("target"), RF_STR("not a target"));
    }
    COMMAND("ref") rf_set_body_ref(out, body);
    COMMAND("slice") rf_set_body_ref(out, body.n < 2 ? rf_slice(body.p, 0) : rf_slice(body.p + 1, body.n - 2));
    COMMAND("upper") {
        for (char *p = (char *)body.p; p < body.p + body.n; p++)
            if (*p >= 'a' && *p <= 'z') *p -= 'a' - 'A';
        rf_set_body_ref(out, body);
    }
    COMMAND("frame") read_frame(msg, out);
    COMMAND("prop") rf_set_header(out, RF_STR("value"), rf_prop(msg, (rf_slot)int_of(msg, RF_STR("slot"))));
    COMMAND("header") read_header(msg, out);
    COMMAND("each") each_header(msg, out);
    COMMAND("header-get") {
        uint32_t cap = cap_of(msg);
        rf_str name = text_of(msg, RF_STR("name"), key_space, sizeof key_space);
        answer_got(out, rf_read_header(name, value_space, cap), cap);
    }
    COMMAND("body-read") {
        uint32_t cap = cap_of(msg);
        answer_got(out, rf_read_body((uint32_t)int_of(msg, RF_STR("off")), value_space, cap), cap);
    }
    COMMAND("json") read_json(msg, out);
    COMMAND("log") {
        rf_log((int32_t)int_of(msg, RF_STR("level")), text_of(msg, RF_STR("text"), value_space, sizeof value_space));
    }
    else rf_error(out, RF_STR("do"), RF_STR("unknown command"));
}

RF_STAGE(decode, msg, out) { run(msg, out); }
RF_STAGE(unpack, msg, out) { run(msg, out); }
RF_STAGE(decide, msg, out) { run(msg, out); }
RF_STAGE(pack, msg, out) { run(msg, out); }
RF_STAGE(encode, msg, out) { run(msg, out); }
