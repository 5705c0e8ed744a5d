/*
 * sampler: keeps a share of the messages, the same ones every time: a hash of
 * the key decides.
 */
#include "key.h"
#include "target.h"

static fields key_fields;
static uint64_t keep_below; /* of 2^32 */
static enum { OTHERS_DROP, OTHERS_MARK, OTHERS_SEND } others;
static enum { MISSING_KEEP, MISSING_OTHERS, MISSING_REJECT } missing;
static rf_str header, seed;
static rf_delta targets;
static rf_text drop_reason, missing_reason;

/* read_share reads a JSON number from 0 to 1. */
static bool read_share(rf_str text, double *out) {
    double v = 0;
    int32_t scale = 0, exponent = 0;
    uint32_t i = 0;
    bool point = false;
    for (; i < text.n && (text.p[i] == '.' || (text.p[i] >= '0' && text.p[i] <= '9')); i++) {
        if (text.p[i] == '.') {
            point = true;
            continue;
        }
        v = v * 10 + (text.p[i] - '0');
        if (point) scale--;
    }
    if (i < text.n && (text.p[i] | 0x20) == 'e') {
        bool down = ++i < text.n && text.p[i] == '-';
        if (i < text.n && (text.p[i] == '-' || text.p[i] == '+')) i++;
        for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && exponent < 1000; i++)
            exponent = exponent * 10 + (text.p[i] - '0');
        scale += down ? -exponent : exponent;
    }
    if (i < text.n) return false; /* a sign, for one */
    for (; scale < 0 && v > 0; scale++) v /= 10;
    for (; scale > 0 && v <= 1; scale--) v *= 10;
    *out = v;
    return v >= 0 && v <= 1;
}

static void read_keep(const settings *s) {
    rf_value v;
    double share = 0;
    if (!st_find(s, RF_STR("keep"), &v))
        st_refuse(s, RF_STR("keep"), RF_STR("is missing: write the share of messages to keep, for example keep = 0.1"), RF_STR(""));
    else if (v.kind != RF_JSON_NUMBER || !read_share(v.text, &share))
        st_refuse(s, RF_STR("keep"), RF_STR("write a number from 0 to 1"), v.text);
    keep_below = (uint64_t)(share * 4294967296.0 + 0.5);
}

/* read_others turns targets into a finished change. */
static void read_others(const settings *s) {
    rf_value v;
    if (!st_find(s, RF_STR("others"), &v)) return;
    if (v.kind == RF_JSON_STRING && rf_json_is(v.text, v.escaped, RF_STR("drop"))) return;
    if (v.kind == RF_JSON_STRING && rf_json_is(v.text, v.escaped, RF_STR("mark"))) {
        others = OTHERS_MARK;
        return;
    }
    others = OTHERS_SEND;
    targets_read(s, RF_STR("others"), RF_STR("write drop, mark, a target such as \"queue:rest\", or an array of targets"), v, &targets);
}

RF_INIT(config, out) {
    settings s = st_open(config, out);
    rf_value v;
    st_known(&s, RF_STR("keep key others header missing seed"));
    read_keep(&s);
    if (!st_find(&s, RF_STR("key"), &v))
        field_add(&s, RF_STR("key"), &key_fields, RF_STR("property:message_id"));
    else
        fields_read(&s, RF_STR("key"), &key_fields);
    read_others(&s);
    missing = st_choice(&s, RF_STR("missing"), RF_STR("keep others reject"), MISSING_KEEP);
    seed = st_text(&s, RF_STR("seed"), RF_STR(""));
    header = st_header(&s, RF_STR("header"), RF_STR("sampled"));
    if (others != OTHERS_MARK && st_find(&s, RF_STR("header"), &v))
        st_refuse(&s, RF_STR("header"), RF_STR("goes with others = \"mark\"; set that, or leave the header out"), RF_STR(""));

    rf_add(&drop_reason, RF_STR("not in the sample"));
    rf_add(&missing_reason, RF_STR("no value of "));
    rf_add(&missing_reason, rf_text_str(&key_fields.text));
}

RF_NEEDS(RF_STATELESS | fields_need(&key_fields))

/* hash_of spreads keys evenly: FNV-1a, whose high bits depend too little on the
   last bytes, and then the finalizer of MurmurHash3. */
static uint32_t hash_of(rf_str key) {
    uint64_t h = 0xcbf29ce484222325ull;
    for (uint32_t i = 0; i < seed.n; i++) h = (h ^ (uint8_t)seed.p[i]) * 0x100000001b3ull;
    h = (h ^ 0xff) * 0x100000001b3ull;
    for (uint32_t i = 0; i < key.n; i++) h = (h ^ (uint8_t)key.p[i]) * 0x100000001b3ull;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdull;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ull;
    return (uint32_t)(h >> 32);
}

RF_STAGE(decide, msg, out) {
    message_key key;
    bool keep = missing == MISSING_KEEP;
    switch (key_make(msg, &key_fields, &key, out)) {
    case KEY_FAILED: return;
    case KEY_MISSING:
        if (missing == MISSING_REJECT) {
            rf_reject(out, rf_text_str(&missing_reason));
            return;
        }
        break;
    case KEY_OK: keep = hash_of(key_str(&key)) < keep_below; break;
    }
    if (others == OTHERS_MARK) {
        rf_set_header_bool(out, header, keep);
    } else if (keep) {
        return;
    } else if (others == OTHERS_SEND) {
        *out = targets;
    } else {
        rf_drop(out, rf_text_str(&drop_reason));
    }
}
