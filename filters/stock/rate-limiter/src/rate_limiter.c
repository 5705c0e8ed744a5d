/*
 * rate-limiter: at most so many messages within a window, for each key.
 *
 * Time is cut into windows, the same for all lanes, and each key has a counter
 * in each: one atomic addition for a message. A counter dies with its window.
 */
#include "key.h"

static fields key_fields;
static int64_t limit, window_ms;
static enum { OVER_REJECT, OVER_DROP, OVER_RETRY, OVER_MARK } over;
static enum { MISSING_PASS, MISSING_REJECT } missing;
static rf_str header;
static rf_text over_reason, missing_reason;

enum { MAX_RETRY_MS = 15 * 60000 };

/* check_over refuses what does not go together. */
static void check_over(const settings *s) {
    rf_value v;
    if (over != OVER_MARK && st_find(s, RF_STR("header"), &v))
        st_refuse(s, RF_STR("header"), RF_STR("goes with over = \"mark\"; set that, or leave the header out"), RF_STR(""));
    if (over != OVER_RETRY) return;
    /* To a message that is tried again it is still the time when it came. Only
       the grant shows a clock here, where there is no message. */
    if (rf_time_ns() == 0)
        st_refuse(s, RF_STR("over"), RF_STR("retry needs the real time; set clock = true under the filter's grants"), RF_STR(""));
    if (window_ms > MAX_RETRY_MS)
        st_refuse(s, RF_STR("window"), RF_STR("a retry waits for 15m at most; choose a shorter window, or another over"), RF_STR(""));
}

RF_INIT(config, out) {
    settings s = st_open(config, out);
    rf_text window = {0};
    st_known(&s, RF_STR("limit window key over header missing"));
    limit = st_count(&s, RF_STR("limit"), 1000000000, 0);
    if (limit == 0) st_refuse(&s, RF_STR("limit"), RF_STR("is missing: write how many messages may pass in a window"), RF_STR(""));
    window_ms = st_duration(&s, RF_STR("window"), 24ll * 3600000, RF_STR("24h"), &window);
    if (window_ms == 0) st_refuse(&s, RF_STR("window"), RF_STR("is missing: write for example window = \"1s\""), RF_STR(""));
    fields_read(&s, RF_STR("key"), &key_fields);
    over = st_choice(&s, RF_STR("over"), RF_STR("reject drop retry mark"), OVER_REJECT);
    missing = st_choice(&s, RF_STR("missing"), RF_STR("pass reject"), MISSING_PASS);
    header = st_header(&s, RF_STR("header"), RF_STR("rate-limited"));
    check_over(&s);
    if (st_ok(&s)) st_lives(&s, RF_STR("window"), window_ms, rf_text_str(&window));

    rf_add(&over_reason, RF_STR("over the limit of "));
    rf_add_int(&over_reason, limit);
    rf_add(&over_reason, RF_STR(" in "));
    rf_add(&over_reason, rf_text_str(&window));
    if (key_fields.n > 0) {
        rf_add(&over_reason, RF_STR(" with the same "));
        rf_add(&over_reason, rf_text_str(&key_fields.text));
    }
    rf_add(&missing_reason, RF_STR("no value of "));
    rf_add(&missing_reason, rf_text_str(&key_fields.text));
}

RF_NEEDS(RF_STATELESS | fields_need(&key_fields))

RF_STAGE(unpack, msg, out) {
    message_key key;
    switch (key_make(msg, &key_fields, &key, out)) {
    case KEY_FAILED: return;
    case KEY_MISSING:
        if (missing == MISSING_REJECT) rf_reject(out, rf_text_str(&missing_reason));
        return;
    case KEY_OK: break;
    }
    int64_t now_ms = rf_time_ns() / 1000000, window = now_ms / window_ms;
    __builtin_memcpy(key.p + key.n, &window, 8);
    key.n += 8;
    if (rf_kv_add(key_str(&key), 1, window_ms) <= limit) return;
    rf_str reason = rf_text_str(&over_reason);
    switch (over) {
    case OVER_REJECT: rf_reject(out, reason); break;
    case OVER_DROP: rf_drop(out, reason); break;
    case OVER_RETRY: rf_retry(out, (window + 1) * window_ms - now_ms, reason); break;
    case OVER_MARK: rf_set_header_bool(out, header, true); break;
    }
}
