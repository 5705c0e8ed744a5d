/*
 * How the stock filters in C read their configuration. Each reader takes a key,
 * refuses what is wrong with it in words that begin with the key, and returns
 * the value, or what it was given for a key that is not there. Of several
 * mistakes the first is told.
 */
#ifndef ROUTER_SETTINGS_H
#define ROUTER_SETTINGS_H

#include "router_filter.h"

typedef struct {
    rf_value table;
    rf_delta *out;
} settings;

RF_API settings st_open(const rf_msg *config, rf_delta *out) {
    settings s = {.out = out};
    if (rf_json_get(rf_body(config), RF_STR(""), &s.table) != RF_FOUND) s.table.kind = RF_JSON_NULL;
    return s;
}

/* st_ok reports whether nothing was refused so far. */
RF_API bool st_ok(const settings *s) { return s->out->n == 0; }

/* st_refuse refuses the configuration with "KEY: WHAT" and whatever VALUE is to
   blame, if any. It returns false. */
RF_API bool st_refuse(const settings *s, rf_str key, rf_str what, rf_str value) {
    if (!st_ok(s)) return false;
    rf_text t = {0};
    rf_add(&t, key);
    rf_add(&t, RF_STR(": "));
    rf_add(&t, what);
    if (value.n > 0) rf_add(&t, RF_STR(", not "));
    rf_add(&t, value);
    rf_error(s->out, RF_STR("config"), rf_text_str(&t));
    return false;
}

/* st_find finds a key that is there. */
RF_API bool st_find(const settings *s, rf_str key, rf_value *v) {
    rf_json_iter it = rf_json_each(s->table);
    rf_str name;
    bool escaped;
    while (rf_json_next(&it, &name, &escaped, v))
        if (rf_json_is(name, escaped, key)) return true;
    return false;
}

/* st_list adds words that have spaces between, with commas in their place. */
RF_API void st_list(rf_text *t, rf_str words) {
    rf_str word;
    while (words.n > 0) {
        rf_cut(words, ' ', &word, &words);
        rf_add(t, word);
        if (words.n > 0) rf_add(t, RF_STR(", "));
    }
}

/* st_known refuses every key that is not in a list with spaces between. */
RF_API bool st_known(const settings *s, rf_str keys) {
    rf_json_iter it = rf_json_each(s->table);
    rf_str name, rest, key;
    rf_value v;
    bool escaped;
    while (rf_json_next(&it, &name, &escaped, &v)) {
        bool known = false;
        for (rest = keys; !known && rest.n > 0;) {
            rf_cut(rest, ' ', &key, &rest);
            known = rf_json_is(name, escaped, key);
        }
        if (known) continue;
        rf_text t = {0};
        rf_add(&t, RF_STR("unknown key; known are "));
        st_list(&t, keys);
        return st_refuse(s, name, rf_text_str(&t), RF_STR(""));
    }
    return true;
}

/* st_keep copies a JSON string to memory of its own, without its escapes. */
RF_API bool st_keep(rf_value v, rf_str *out) {
    if (v.kind != RF_JSON_STRING) return false;
    char *p = rf_alloc(v.text.n + 1);
    return p != NULL && rf_json_unescape(v.text, p, v.text.n + 1, out);
}

RF_API rf_str st_text(const settings *s, rf_str key, rf_str otherwise) {
    rf_value v;
    if (!st_find(s, key, &v)) return otherwise;
    rf_str text = otherwise;
    if (!st_keep(v, &text)) st_refuse(s, key, RF_STR("write a string"), v.text);
    return text;
}

RF_API bool st_flag(const settings *s, rf_str key, bool otherwise) {
    rf_value v;
    if (!st_find(s, key, &v)) return otherwise;
    if (v.kind != RF_JSON_TRUE && v.kind != RF_JSON_FALSE) st_refuse(s, key, RF_STR("write true or false"), v.text);
    return v.kind == RF_JSON_TRUE;
}

/* st_choice returns the place of a word in a list with spaces between. */
RF_API uint32_t st_choice(const settings *s, rf_str key, rf_str words, uint32_t otherwise) {
    rf_value v;
    if (!st_find(s, key, &v)) return otherwise;
    rf_str rest = words, word;
    for (uint32_t i = 0; rest.n > 0; i++) {
        rf_cut(rest, ' ', &word, &rest);
        if (v.kind == RF_JSON_STRING && rf_json_is(v.text, v.escaped, word)) return i;
    }
    rf_text t = {0};
    rf_add(&t, RF_STR("write one of "));
    st_list(&t, words);
    st_refuse(s, key, rf_text_str(&t), v.text);
    return otherwise;
}

/* st_digits reads decimal digits, at least one and at most 15. */
RF_API bool st_digits(rf_str text, int64_t *out) {
    *out = 0;
    for (uint32_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        *out = *out * 10 + (text.p[i] - '0');
    }
    return text.n > 0 && text.n <= 15;
}

/* st_count returns a whole number from 1 to most. */
RF_API int64_t st_count(const settings *s, rf_str key, int64_t most, int64_t otherwise) {
    rf_value v;
    int64_t n;
    if (!st_find(s, key, &v)) return otherwise;
    if (v.kind == RF_JSON_NUMBER && st_digits(v.text, &n) && n >= 1 && n <= most) return n;
    rf_text t = {0};
    rf_add(&t, RF_STR("write a whole number from 1 to "));
    rf_add_int(&t, most);
    st_refuse(s, key, rf_text_str(&t), v.text);
    return otherwise;
}

/* st_span reads a duration like 1h30m or 500ms; the units are ms, s, m, h. */
RF_API bool st_span(rf_str text, int64_t *ms) {
    static const struct {
        rf_str name;
        int64_t ms;
    } units[] = {{{"ms", 2}, 1}, {{"s", 1}, 1000}, {{"m", 1}, 60000}, {{"h", 1}, 3600000}};
    *ms = 0;
    if (text.n == 0) return false;
    while (text.n > 0) {
        uint32_t digits = 0, letters = 0;
        while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9') digits++;
        while (digits + letters < text.n && (text.p[digits + letters] | 0x20) >= 'a') letters++;
        rf_str unit = rf_slice(text.p + digits, letters);
        int64_t n, factor = 0;
        for (uint32_t i = 0; i < sizeof units / sizeof *units; i++)
            if (rf_eq(unit, units[i].name)) factor = units[i].ms;
        if (digits > 9 || !st_digits(rf_slice(text.p, digits), &n) || factor == 0) return false;
        *ms += n * factor;
        text = rf_slice(text.p + digits + letters, text.n - digits - letters);
    }
    return true;
}

/* st_duration returns milliseconds from 1 to most_ms, which `most` says too. The
   text that was configured goes to shown, for messages to people. */
RF_API int64_t st_duration(const settings *s, rf_str key, int64_t most_ms, rf_str most, rf_text *shown) {
    rf_value v;
    int64_t ms = 0;
    rf_str text = RF_STR("");
    if (!st_find(s, key, &v)) return 0;
    if (v.kind == RF_JSON_STRING) {
        text = v.text;
        if (!st_span(text, &ms)) ms = 0;
    } else if (v.kind == RF_JSON_NUMBER && !st_digits(v.text, &ms)) {
        ms = 0;
    }
    if (ms >= 1 && ms <= most_ms) {
        rf_add(shown, v.text);
        if (text.n == 0) rf_add(shown, RF_STR("ms"));
        return ms;
    }
    rf_text t = {0};
    rf_add(&t, RF_STR("write a duration such as \"10m\", or milliseconds, up to "));
    rf_add(&t, most);
    st_refuse(s, key, rf_text_str(&t), v.text);
    return 0;
}

/* st_may_set tells whether a filter may set a header of that name. */
RF_API bool st_may_set(rf_str name) {
    static const rf_str router = {"x-router-", 9};
    uint32_t same = 0;
    bool fit = name.n > 0 && name.n <= 255;
    for (uint32_t i = 0; i < name.n; i++) {
        if ((uint8_t)name.p[i] < 0x20 || name.p[i] == 0x7f) fit = false;
        if (same == i && i < router.n && (name.p[i] | 0x20) == (router.p[i] | 0x20)) same++;
    }
    return fit && same != router.n && !rf_eq(name, RF_STR("CC")) && !rf_eq(name, RF_STR("BCC"));
}

/* st_header returns the name of a header that a filter may set. */
RF_API rf_str st_header(const settings *s, rf_str key, rf_str otherwise) {
    rf_str name = st_text(s, key, otherwise);
    if (!st_may_set(name)) st_refuse(s, key, RF_STR("write the name of a header that a filter may set"), name);
    return name;
}

/* st_lives refuses a time to live that the cache of the grant kv cuts short. */
RF_API bool st_lives(const settings *s, rf_str key, int64_t ms, rf_str shown) {
    static const rf_str probe = {"\0", 1};
    int32_t stored = rf_import_kv_set((uint32_t)probe.p, probe.n, 0, 0, ms);
    rf_kv_delete(probe);
    if (stored != 2) return true;
    rf_text t = {0};
    rf_add(&t, RF_STR("longer than limits.kv_ttl of this filter allows; set kv_ttl = \""));
    rf_add(&t, shown);
    rf_add(&t, RF_STR("\" under its limits"));
    return st_refuse(s, key, rf_text_str(&t), RF_STR(""));
}

#endif
