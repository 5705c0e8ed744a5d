/* The rules: what they ask of a message, and what becomes of it. */
#ifndef OSLO_RULE_H
#define OSLO_RULE_H

#include "envelope.h"
#include "pattern.h"
#include "target.h"
#include "template.h"
#include "version.h"

enum { MAX_RULES = 1024, MAX_CONDITIONS = 48, MAX_VERSIONS = 16 };

typedef struct {
    uint32_t member;
    patterns values; /* an empty one is for what is absent */
} condition;

/* Values that a target may be made of. */
enum { S_ROUTING_KEY, S_TOPIC, S_SERVER, S_METHOD, S_NAMESPACE, S_PROJECT, S_EVENT_TYPE, S_PRIORITY };
static const rf_str source_names = {"routing_key topic server method namespace project event_type priority", 69};

typedef struct {
    rf_str where; /* "rules.0" */
    uint32_t types; /* a bit for each type; 0 for all */
    uint32_t condition_count, version_count, target_count;
    condition *conditions;
    version_rule *versions;
    patterns routing_keys;
    rf_delta ops;           /* what becomes of it, finished */
    text_template *targets; /* or targets to be made */
    rf_str set_version;
} rule;

static rule *rules;
static uint32_t rule_count;

static bool no_memory(const settings *s, rf_str key) { return st_refuse(s, key, RF_STR("no memory; raise limits.memory"), RF_STR("")); }

static rf_str keep_text(rf_str text) {
    char *p = rf_alloc(text.n);
    if (p == NULL) return (rf_str){NULL, 0};
    __builtin_memcpy(p, text.p, text.n);
    return rf_slice(p, text.n);
}

/* word_of returns the place of a word in a list with spaces between, or -1. */
static int32_t word_of(rf_str word, rf_str words) {
    rf_str one;
    for (int32_t i = 0; words.n > 0; i++) {
        rf_cut(words, ' ', &one, &words);
        if (rf_eq(one, word)) return i;
    }
    return -1;
}

static bool one_of(const settings *s, rf_str key, rf_str words, rf_str not_this) {
    rf_text t = {0};
    rf_add(&t, RF_STR("write one of "));
    st_list(&t, words);
    return st_refuse(s, key, rf_text_str(&t), not_this);
}

static int32_t source_named(const settings *s, rf_str key, rf_str name) {
    int32_t i = word_of(name, source_names);
    if (i < 0) one_of(s, key, source_names, name);
    return i;
}

static const rf_str target_words = {"write a target such as \"topic:compute\", or an array of targets", 62};

static bool read_send(const settings *s, rf_str key, rf_value v, rule *r) {
    static text_template made[MAX_TARGETS];
    rf_str text;
    bool plain = true;
    uint32_t n = 0;
    rf_json_iter it = rf_json_each(v);
    rf_value e = v;
    while (v.kind == RF_JSON_ARRAY ? rf_json_next(&it, NULL, NULL, &e) : n == 0) {
        if (n == MAX_TARGETS) return st_refuse(s, key, RF_STR("write at most 16 targets"), RF_STR(""));
        if (!st_keep(e, &text)) return st_refuse(s, key, target_words, e.text);
        if (!template_read(s, key, text, source_named, &made[n])) return false;
        plain = template_is_plain(&made[n++]) && plain;
    }
    if (plain) return targets_read(s, key, target_words, v, &r->ops);
    r->targets = rf_alloc(n * (uint32_t)sizeof *made);
    if (r->targets == NULL) return no_memory(s, key);
    __builtin_memcpy(r->targets, made, n * sizeof *made);
    r->target_count = n;
    return true;
}

static bool read_types(const settings *s, rf_str key, rf_value v, rule *r) {
    patterns words;
    if (!patterns_read(s, key, RF_STR("write a type, or an array of types"), v, &words)) return false;
    for (uint32_t i = 0; i < words.n; i++) {
        int32_t type = word_of(words.at[i], type_names);
        if (type < 0) return one_of(s, key, type_names, words.at[i]);
        r->types |= 1u << type;
    }
    return words.n > 0 || st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
}

static bool read_versions(const settings *s, rf_str key, rf_value v, rule *r) {
    static const rf_str what = {"write a version such as \"1.4\", \"=1.4\" or \"1.2..2.0\", or an array of them", 72};
    patterns texts;
    if (!patterns_read(s, key, what, v, &texts)) return false;
    if (texts.n == 0) return st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
    r->versions = rf_alloc(texts.n * (uint32_t)sizeof *r->versions);
    if (r->versions == NULL) return no_memory(s, key);
    for (uint32_t i = 0; i < texts.n; i++)
        if (!version_rule_parse(texts.at[i], &r->versions[i])) return st_refuse(s, key, what, texts.at[i]);
    r->version_count = texts.n;
    return true;
}

static bool read_condition(const settings *s, rf_str key, uint32_t of, rf_value v, condition *c) {
    c->member = of;
    if (!patterns_read(s, key, RF_STR("write a text, in which * stands for any characters, or an array of texts"), v, &c->values)) return false;
    if (c->values.n == 0) return st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
    for (uint32_t i = 0; of == M_PRIORITY && i < c->values.n; i++) /* st_keep made these texts */
        for (char *p = (char *)c->values.at[i].p, *end = p + c->values.at[i].n; p < end; p++)
            if (*p >= 'A' && *p <= 'Z') *p |= 0x20;
    return true;
}

/* context_member finds the member of a key of the context. */
static bool context_member(const settings *s, rf_str where, rf_str key, uint32_t *of) {
    rf_text t = {0};
    rf_add(&t, RF_STR("_context_"));
    if (key.n == 0 || key.n > 200) return st_refuse(s, where, RF_STR("a key of the context has 1 to 200 bytes"), RF_STR(""));
    rf_add(&t, key);
    for (*of = M_PROJECT; *of < member_count; ++*of)
        if (rf_eq(members[*of].name, rf_text_str(&t))) return true;
    if (member_count == MAX_MEMBERS) return st_refuse(s, where, RF_STR("the rules ask for more than 37 keys of the context"), RF_STR(""));
    members[member_count].name = keep_text(rf_text_str(&t));
    if (members[member_count].name.p == NULL) return no_memory(s, where);
    member_count++;
    return true;
}

static rf_str joined(rf_text *t, rf_str table, rf_str name) {
    t->n = 0;
    rf_add(t, table);
    rf_add(t, RF_STR("."));
    rf_add(t, name);
    return rf_text_str(t);
}

static bool rule_read(const settings *s, rf_str where, rf_value table, rule *r) {
    static const rf_str known = {"type method namespace version event_type priority publisher project context routing_key send action reason set_version", 118};
    static const rf_str by_name = {"method namespace event_type priority publisher project", 54};
    static const uint32_t by_name_member[] = {M_METHOD, M_NAMESPACE, M_EVENT_TYPE, M_PRIORITY, M_PUBLISHER_ID, M_PROJECT};
    static const rf_str actions = {"reject drop pass", 16};
    static condition conditions[MAX_CONDITIONS];
    rf_text key_space, deeper;
    rf_str name, action = RF_STR(""), reason = RF_STR("");
    bool escaped, sends = false;
    rf_value v;
    *r = (rule){.where = where};
    if (table.kind != RF_JSON_OBJECT) return st_refuse(s, where, RF_STR("write a table"), table.text);
    rf_json_iter it = rf_json_each(table);
    while (rf_json_next(&it, &name, &escaped, &v)) {
        rf_str key = joined(&key_space, where, name);
        int32_t of = word_of(name, by_name);
        if (of >= 0) {
            if (!read_condition(s, key, by_name_member[of], v, &conditions[r->condition_count++])) return false;
        } else if (rf_eq(name, RF_STR("context"))) {
            if (v.kind != RF_JSON_OBJECT) return st_refuse(s, key, RF_STR("write a table from keys of the context to texts"), v.text);
            rf_json_iter keys = rf_json_each(v);
            rf_value e, k = {.kind = RF_JSON_STRING};
            while (rf_json_next(&keys, &k.text, &k.escaped, &e)) {
                rf_str text;
                uint32_t member;
                if (!st_keep(k, &text)) return no_memory(s, key);
                rf_str at = joined(&deeper, key, text);
                if (!context_member(s, at, text, &member)) return false;
                if (!read_condition(s, at, member, e, &conditions[r->condition_count++])) return false;
            }
        } else if (rf_eq(name, RF_STR("type"))) {
            if (!read_types(s, key, v, r)) return false;
        } else if (rf_eq(name, RF_STR("version"))) {
            if (!read_versions(s, key, v, r)) return false;
        } else if (rf_eq(name, RF_STR("routing_key"))) {
            if (!patterns_read(s, key, RF_STR("write a text, in which * stands for any characters, or an array of texts"), v, &r->routing_keys))
                return false;
            if (r->routing_keys.n == 0) return st_refuse(s, key, RF_STR("the array is empty"), RF_STR(""));
        } else if (rf_eq(name, RF_STR("send"))) {
            sends = true;
            if (!read_send(s, key, v, r)) return false;
        } else if (rf_eq(name, RF_STR("action"))) {
            if (!st_keep(v, &action) || word_of(action, actions) < 0) return one_of(s, key, actions, v.text);
        } else if (rf_eq(name, RF_STR("reason"))) {
            if (!st_keep(v, &reason) || reason.n == 0 || reason.n > 256) return st_refuse(s, key, RF_STR("write a text of 1 to 256 bytes"), v.text);
        } else if (rf_eq(name, RF_STR("set_version"))) {
            version parsed;
            if (!st_keep(v, &r->set_version) || !version_parse(r->set_version, &parsed))
                return st_refuse(s, key, RF_STR("write a version such as \"1.4\""), v.text);
        } else {
            rf_text t = {0};
            rf_add(&t, RF_STR("unknown key; known are "));
            st_list(&t, known);
            return st_refuse(s, key, rf_text_str(&t), RF_STR(""));
        }
    }
    bool passes = rf_eq(action, RF_STR("pass"));
    if (sends == (action.n > 0)) return st_refuse(s, where, RF_STR("write one of send and action"), RF_STR(""));
    if (reason.n > 0 && (sends || passes)) return st_refuse(s, where, RF_STR("a reason goes with the actions reject and drop"), RF_STR(""));
    if (r->set_version.n > 0 && !sends && !passes) return st_refuse(s, where, RF_STR("set_version goes with send and with the action pass"), RF_STR(""));
    if (!sends && !passes) {
        rf_text t = {0};
        rf_add(&t, RF_STR("by "));
        rf_add(&t, where);
        r->ops = (rf_delta){rf_alloc(512), 0, 512, false};
        if (r->ops.p == NULL) return no_memory(s, where);
        rf_action(&r->ops, action, reason.n > 0 ? reason : rf_text_str(&t));
    }
    r->conditions = rf_alloc(r->condition_count * (uint32_t)sizeof *conditions);
    if (r->conditions == NULL) return no_memory(s, where);
    __builtin_memcpy(r->conditions, conditions, r->condition_count * sizeof *conditions);
    return true;
}

/* ---- matching ---------------------------------------------------------- */

static char value_space[MAX_VALUE];

static bool condition_matches(const condition *c) {
    rf_str text;
    if (!members[c->member].there) { /* which no star stands for */
        for (uint32_t i = 0; i < c->values.n; i++)
            if (c->values.at[i].n == 0) return true;
        return false;
    }
    if (!member_text(c->member, value_space, sizeof value_space, &text)) return false;
    if (c->member == M_PRIORITY && text.n <= sizeof value_space) {
        for (uint32_t i = 0; i < text.n; i++)
            value_space[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] | 0x20) : text.p[i];
        text = rf_slice(value_space, text.n);
    }
    return patterns_match(&c->values, text);
}

static bool rule_matches(const rule *r, const rf_msg *msg, uint32_t type, const version *v, bool versioned) {
    if (r->types != 0 && !(r->types >> type & 1)) return false;
    for (uint32_t i = 0; i < r->condition_count; i++)
        if (!condition_matches(&r->conditions[i])) return false;
    if (r->routing_keys.n > 0 && !patterns_match(&r->routing_keys, rf_prop(msg, RF_ROUTING_KEY))) return false;
    if (r->version_count == 0) return true;
    for (uint32_t i = 0; versioned && i < r->version_count; i++)
        if (version_matches(&r->versions[i], v)) return true;
    return false;
}

#endif
