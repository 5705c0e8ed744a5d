/*
 * oslo-router: chooses the targets of oslo.messaging's requests and
 * notifications by rules.
 */
#include "field.h"
#include "rule.h"

static enum { DEFAULT_REJECT, DEFAULT_DROP, DEFAULT_PASS, DEFAULT_SEND } fallback;
static rf_delta fallback_ops;
static const rf_str compression = {"compression", 11};

static void read_default(const settings *s) {
    static const rf_str words = {"reject drop pass", 16};
    rf_value v;
    if (!st_find(s, RF_STR("default"), &v)) return;
    int32_t word = v.kind == RF_JSON_STRING ? word_of(v.text, words) : -1;
    fallback = word < 0 ? DEFAULT_SEND : (uint32_t)word;
    if (word < 0)
        targets_read(s, RF_STR("default"), RF_STR("write reject, drop, pass, a target such as \"queue:rest\", or an array of targets"), v,
                     &fallback_ops);
}

static bool read_rules(const settings *s) {
    static const rf_str key = {"rules", 5};
    rf_value all, v;
    if (!st_find(s, key, &all))
        return st_refuse(s, key, RF_STR("is missing: write for example rules = [{ method = \"build_*\", send = \"topic:builders\" }]"), RF_STR(""));
    if (all.kind != RF_JSON_ARRAY) return st_refuse(s, key, RF_STR("write an array of tables"), all.text);
    uint32_t n = 0;
    rf_json_iter it = rf_json_each(all);
    while (rf_json_next(&it, NULL, NULL, &v)) n++;
    if (n == 0) return st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
    if (n > MAX_RULES) return st_refuse(s, key, RF_STR("write at most 1024"), RF_STR(""));
    rules = rf_alloc(n * (uint32_t)sizeof *rules);
    if (rules == NULL) return no_memory(s, key);
    it = rf_json_each(all);
    while (rf_json_next(&it, NULL, NULL, &v)) {
        rf_text where = {0};
        rf_add(&where, RF_STR("rules."));
        rf_add_int(&where, rule_count);
        rf_str kept = keep_text(rf_text_str(&where));
        if (kept.p == NULL) return no_memory(s, key);
        if (!rule_read(s, kept, v, &rules[rule_count])) return false;
        rule_count++;
    }
    return true;
}

RF_INIT(config, out) {
    settings s = st_open(config, out);
    st_known(&s, RF_STR("rules default"));
    if (st_ok(&s)) read_rules(&s);
    read_default(&s);
    rf_need_header(compression);
    for (uint32_t i = M_PROJECT; i < member_count; i++) rf_need_header(context_name(i));
}

RF_NEEDS(RF_STATELESS | RF_NEED_BODY | RF_NEED_HEADERS | RF_NEED_PROPERTIES)

/* source_text finds a value for a target. */
static bool source_text(const rf_msg *msg, int32_t source, rf_str *text) {
    static const uint32_t of[] = {[S_METHOD] = M_METHOD, [S_NAMESPACE] = M_NAMESPACE, [S_PROJECT] = M_PROJECT, [S_EVENT_TYPE] = M_EVENT_TYPE,
                                  [S_PRIORITY] = M_PRIORITY};
    rf_str key = rf_prop(msg, RF_ROUTING_KEY), topic, server;
    rf_cut(key, '.', &topic, &server);
    switch (source) {
    case S_ROUTING_KEY: *text = key; break;
    case S_TOPIC: *text = topic; break;
    case S_SERVER: *text = server; break;
    default:
        if (!member_text(of[source], value_space, sizeof value_space, text)) return false;
        for (uint32_t i = 0; i < text->n; i++)
            if (text->p[i] == '/') return false; /* it would name an exchange */
    }
    return text->n > 0;
}

/* make_target makes a target out of the message; false, with an error in out,
   when it cannot. */
static bool make_target(const rf_msg *msg, const rule *r, const text_template *t, rf_delta *out) {
    static char space[1024];
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        rf_str piece = t->at[i].literal;
        if (t->at[i].source >= 0 && !source_text(msg, t->at[i].source, &piece)) {
            rf_text why = {0};
            rf_add(&why, r->where);
            rf_add(&why, RF_STR(".send: the message has no fitting value of "));
            rf_add(&why, t->at[i].literal);
            out->n = 0;
            rf_error(out, RF_STR("target"), rf_text_str(&why));
            return false;
        }
        if (piece.n > sizeof space - n) piece.n = sizeof space - n; /* too long for a target in any case */
        for (uint32_t k = 0; k < piece.n; k++) {
            bool lower = t->at[i].source == S_PRIORITY && piece.p[k] >= 'A' && piece.p[k] <= 'Z';
            space[n++] = lower ? (char)(piece.p[k] | 0x20) : piece.p[k];
        }
    }
    if (target_add(out, rf_slice(space, n))) return true;
    rf_text why = {0};
    rf_add(&why, r->where);
    rf_add(&why, RF_STR(".send: what it comes to for this message is no target"));
    out->n = 0;
    rf_error(out, RF_STR("target"), rf_text_str(&why));
    return false;
}

static void apply(const rf_msg *msg, const rule *r, rf_delta *out) {
    bool changes = r->set_version.n > 0 && members[M_METHOD].there;
    if (r->target_count == 0 && !changes) {
        if (r->ops.n > 0) *out = r->ops;
        return;
    }
    if (r->ops.n > out->cap) {
        out->full = true;
        return;
    }
    __builtin_memcpy(out->p, r->ops.p, r->ops.n);
    out->n = r->ops.n;
    for (uint32_t i = 0; i < r->target_count; i++)
        if (!make_target(msg, r, &r->targets[i], out)) return;
    if (changes) set_version(r->set_version, out);
}

/* add_value adds a value of the message to a reason, if it may stand there. */
static void add_value(rf_text *t, rf_str before, uint32_t of) {
    rf_str text;
    if (!members[of].there || !member_text(of, value_space, sizeof value_space, &text) || !printable(text)) return;
    rf_add(t, before);
    rf_add(t, text);
}

static void no_rule(uint32_t type, rf_delta *out) {
    rf_text t = {0};
    rf_str word, rest = type_names;
    if (fallback == DEFAULT_SEND) *out = fallback_ops;
    if (fallback == DEFAULT_SEND || fallback == DEFAULT_PASS) return;
    for (uint32_t i = 0; i <= type; i++) rf_cut(rest, ' ', &word, &rest);
    rf_add(&t, RF_STR("no rule for this "));
    rf_add(&t, type == TYPE_OTHER ? RF_STR("message") : word);
    add_value(&t, RF_STR(": "), type == TYPE_NOTIFICATION ? M_EVENT_TYPE : M_METHOD);
    add_value(&t, RF_STR(", namespace "), M_NAMESPACE);
    add_value(&t, RF_STR(", version "), M_VERSION);
    rf_action(out, fallback == DEFAULT_DROP ? RF_STR("drop") : RF_STR("reject"), rf_text_str(&t));
}

RF_STAGE(decide, msg, out) {
    rf_header h;
    version v;
    rf_str text = RF_STR("");
    bool open = opened(msg);
    if (!open && rf_get_header(msg, compression, &h) && h.raw.n > 0) {
        rf_error(out, RF_STR("compressed"), RF_STR("the body is compressed, as its header compression says: it cannot be read"));
        return;
    }
    if (!envelope_read(rf_body(msg), out)) return;
    if (open && envelope.quoted.p == NULL) read_headers(msg);
    uint32_t type = message_type(msg);
    bool versioned = member_text(M_VERSION, value_space, sizeof value_space, &text);
    if (text.n == 0) text = RF_STR("1.0"); /* as receivers take it */
    versioned = versioned && version_parse(text, &v);
    for (uint32_t i = 0; i < rule_count; i++) {
        if (!rule_matches(&rules[i], msg, type, &v, versioned)) continue;
        apply(msg, &rules[i], out);
        return;
    }
    no_rule(type, out);
}
