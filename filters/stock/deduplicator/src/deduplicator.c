/*
 * deduplicator: acts on messages whose key was seen within a window.
 *
 * The first message with a key leaves a mark: when it was received. One that
 * meets a mark is a duplicate, unless it may be the very message that left it.
 * That is so if it has the same time, for the router tries it again; if the
 * broker delivers it again; or if a header says that it was put back. Whoever is
 * in doubt passes: a duplicate too many does less harm than a message lost.
 */
#include "key.h"

static fields key_fields;
static int64_t window_ms;
static enum { ACTION_DROP, ACTION_REJECT, ACTION_MARK } action;
static enum { MISSING_PASS, MISSING_REJECT } missing;
static rf_str header;
static fields again; /* headers of messages that were put back */
static rf_text duplicate_reason, missing_reason;

RF_INIT(config, out) {
    settings s = st_open(config, out);
    rf_text window = {0};
    st_known(&s, RF_STR("key window action header missing again"));
    if (!fields_read(&s, RF_STR("key"), &key_fields))
        st_refuse(&s, RF_STR("key"), RF_STR("is missing: write for example key = \"property:message_id\""), RF_STR(""));
    window_ms = st_duration(&s, RF_STR("window"), 720ll * 3600000, RF_STR("720h"), &window);
    if (window_ms == 0) {
        window_ms = 10 * 60000;
        rf_add(&window, RF_STR("10m"));
    }
    action = st_choice(&s, RF_STR("action"), RF_STR("drop reject mark"), ACTION_DROP);
    missing = st_choice(&s, RF_STR("missing"), RF_STR("pass reject"), MISSING_PASS);
    header = st_header(&s, RF_STR("header"), RF_STR("duplicate"));
    fields_read(&s, RF_STR("again"), &again);
    for (uint32_t i = 0; i < again.n; i++)
        if (again.at[i].origin != FIELD_HEADER)
            st_refuse(&s, RF_STR("again"), RF_STR("write header:NAME"), again.at[i].text);
    rf_value v;
    if (action != ACTION_MARK && st_find(&s, RF_STR("header"), &v))
        st_refuse(&s, RF_STR("header"), RF_STR("goes with action = \"mark\"; set that, or leave the header out"), RF_STR(""));
    if (st_ok(&s)) st_lives(&s, RF_STR("window"), window_ms, rf_text_str(&window));

    rf_add(&duplicate_reason, RF_STR("a message with the same key was seen within "));
    rf_add(&duplicate_reason, rf_text_str(&window));
    rf_add(&duplicate_reason, RF_STR(": "));
    rf_add(&duplicate_reason, rf_text_str(&key_fields.text));
    rf_add(&missing_reason, RF_STR("no value of "));
    rf_add(&missing_reason, rf_text_str(&key_fields.text));
}

/* The source is part of the key. */
RF_NEEDS(RF_STATELESS | RF_NEED_PROPERTIES | fields_need(&key_fields) | fields_need(&again))

/* came_back reports whether the message may have been here before. */
static bool came_back(const rf_msg *msg) {
    rf_header h;
    for (uint32_t i = 0; i < again.n; i++)
        if (rf_header_hashed(msg, again.at[i].name, again.at[i].hash, &h)) return true;
    return rf_flags(msg) & RF_REDELIVERED;
}

static bool seen(const rf_msg *msg, rf_str key) {
    int64_t mine = rf_received_ns(msg), first;
    for (int tries = 0; tries < 4; tries++) {
        if (rf_kv_swap(key, NULL, rf_slice(&mine, sizeof mine), window_ms)) return false;
        if (rf_kv_get(key, &first, sizeof first) != sizeof first) continue; /* gone in between */
        return first != mine && !came_back(msg);
    }
    return false;
}

RF_STAGE(unpack, msg, out) {
    message_key key;
    switch (key_make(msg, &key_fields, &key, out)) {
    case KEY_FAILED: return;
    case KEY_MISSING:
        if (missing == MISSING_REJECT) rf_reject(out, rf_text_str(&missing_reason));
        return;
    case KEY_OK: break;
    }
    key_add_source(&key, msg);
    if (!seen(msg, key_str(&key))) return;
    switch (action) {
    case ACTION_DROP: rf_drop(out, rf_text_str(&duplicate_reason)); break;
    case ACTION_REJECT: rf_reject(out, rf_text_str(&duplicate_reason)); break;
    case ACTION_MARK: rf_set_header_bool(out, header, true); break;
    }
}
