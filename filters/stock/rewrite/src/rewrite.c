/*
 * rewrite: keeps, removes, renames and sets headers, and sets properties.
 *
 * Values are those of the message as it came. What a table of the configuration
 * does to a header is known at load but for whether the header is there.
 */
#define RF_DELTA_MAX (256 * 1024)
#include "pattern.h"
#include "property.h"
#include "value.h"

enum { MAX_HEADERS = 256, MAX_REMOVALS = 4000 };

typedef struct {
    rf_str name;
    uint32_t hash;
    bool gone; /* keep, remove or rename takes the message's own away */
    value value;
} assignment;

typedef struct {
    rf_str from, to;
    uint32_t hash;
} renaming;

static enum { STAGE_UNPACK, STAGE_PACK } stage;
static bool keeps, walks; /* walks: looks at all headers of a message */
static patterns keep, removals;
static renaming renames[MAX_HEADERS];
static assignment defaults[MAX_HEADERS], sets[MAX_HEADERS];
static uint32_t rename_count, default_count, set_count;

/* ---- configuration ---------------------------------------------------- */

static rf_str joined(rf_text *t, rf_str table, rf_str name) {
    t->n = 0;
    rf_add(t, table);
    rf_add(t, RF_STR("."));
    rf_add(t, name);
    return rf_text_str(t);
}

static bool removed(rf_str name) { return (keeps && !patterns_match(&keep, name)) || patterns_match(&removals, name); }

static void read_patterns(const settings *s, rf_str key, patterns *all) {
    rf_value v;
    if (!st_find(s, key, &v)) return;
    if (!patterns_read(s, key, RF_STR("write the name of a header, in which * stands for any characters, or an array of names"), v, all))
        return;
    for (uint32_t i = 0; i < all->n; i++) {
        if (all->at[i].n == 0 || all->at[i].n > 255) st_refuse(s, key, RF_STR("a header's name has 1 to 255 bytes"), all->at[i]);
        if (!pattern_is_plain(all->at[i])) walks = true;
    }
}

/* next_of steps through a table of headers. */
static bool next_of(const settings *s, rf_str table, rf_json_iter *it, uint32_t n, rf_str *name, rf_value *v) {
    rf_value key = {.kind = RF_JSON_STRING};
    if (!st_ok(s) || !rf_json_next(it, &key.text, &key.escaped, v)) return false;
    if (n == MAX_HEADERS) return st_refuse(s, table, RF_STR("write at most 256 headers"), RF_STR(""));
    return st_keep(key, name) || st_refuse(s, table, RF_STR("no memory; raise limits.memory"), RF_STR(""));
}

static bool open_table(const settings *s, rf_str table, rf_json_iter *it) {
    rf_value v;
    if (!st_find(s, table, &v)) return false;
    if (v.kind != RF_JSON_OBJECT) return st_refuse(s, table, RF_STR("write a table"), v.text);
    *it = rf_json_each(v);
    return true;
}

static const rf_str may_set = {"write the name of a header that a filter may set", 48};

/* plain_name refuses what is no name of a header to look for. */
static bool plain_name(rf_str name) {
    for (uint32_t i = 0; i < name.n; i++)
        if ((uint8_t)name.p[i] < 0x20 || name.p[i] == 0x7f) return false;
    return name.n > 0 && name.n <= 255;
}

static void read_renames(const settings *s) {
    static const rf_str table = {"rename", 6};
    rf_text where;
    rf_json_iter it;
    rf_value v;
    rf_str from, to;
    if (!open_table(s, table, &it)) return;
    while (next_of(s, table, &it, rename_count, &from, &v)) {
        rf_str key = joined(&where, table, from);
        if (!st_keep(v, &to)) {
            st_refuse(s, key, RF_STR("write the new name as a string"), v.text);
            return;
        }
        if (!plain_name(from)) st_refuse(s, key, RF_STR("is not the name of a header"), RF_STR(""));
        if (!st_may_set(to)) st_refuse(s, key, may_set, to);
        if (rf_eq(from, to)) st_refuse(s, key, RF_STR("write another name than the old one"), RF_STR(""));
        if (removed(from)) st_refuse(s, key, RF_STR("keep or remove takes it away before; name it there, or leave this out"), RF_STR(""));
        for (uint32_t i = 0; i < rename_count; i++)
            if (rf_eq(renames[i].to, to)) st_refuse(s, key, RF_STR("another header is renamed to the same"), RF_STR(""));
        if (!walks && !rf_need_header(from)) st_refuse(s, key, RF_STR("at most 64 headers can be read"), RF_STR(""));
        renames[rename_count++] = (renaming){from, to, rf_hash(from)};
    }
}

static bool renamed(rf_str name) {
    for (uint32_t i = 0; i < rename_count; i++)
        if (rf_eq(renames[i].from, name)) return true;
    return false;
}

static void read_assignments(const settings *s, const rf_msg *config, rf_str table, assignment *all, uint32_t *n) {
    rf_text where;
    rf_json_iter it;
    rf_value v;
    rf_str name;
    if (!open_table(s, table, &it)) return;
    while (next_of(s, table, &it, *n, &name, &v)) {
        rf_str key = joined(&where, table, name);
        assignment *a = &all[*n];
        *a = (assignment){.name = name, .hash = rf_hash(name), .gone = removed(name) || renamed(name)};
        if (!st_may_set(name))
            st_refuse(s, table, may_set, name);
        else
            value_read(s, config, key, v, &a->value);
        if (all == defaults && !a->gone && !walks && !rf_need_header(name))
            st_refuse(s, key, RF_STR("at most 64 headers can be read"), RF_STR(""));
        ++*n;
    }
}

static void read_properties(const settings *s, const rf_msg *config) {
    static const rf_str table = {"properties", 10};
    rf_json_iter it;
    rf_value v;
    rf_str name;
    if (!open_table(s, table, &it)) return;
    while (next_of(s, table, &it, 0, &name, &v))
        if (!property_read(s, config, name, v)) return;
}

RF_INIT(config, out) {
    settings s = st_open(config, out);
    rf_value v;
    st_known(&s, RF_STR("keep remove rename default set properties missing stage"));
    stage = st_choice(&s, RF_STR("stage"), RF_STR("unpack pack"), STAGE_UNPACK);
    missing = st_choice(&s, RF_STR("missing"), RF_STR("skip empty reject"), MISSING_SKIP);
    keeps = st_find(&s, RF_STR("keep"), &v);
    walks = keeps;
    read_patterns(&s, RF_STR("keep"), &keep);
    read_patterns(&s, RF_STR("remove"), &removals);
    read_renames(&s);
    read_assignments(&s, config, RF_STR("default"), defaults, &default_count);
    read_assignments(&s, config, RF_STR("set"), sets, &set_count);
    read_properties(&s, config);
    if (!keeps && removals.n + rename_count + default_count + set_count + property_count == 0)
        st_refuse(&s, RF_STR("set"), RF_STR("nothing is configured: write at least one of keep, remove, rename, default, set and properties"), RF_STR(""));
    if (walks) rf_names_len = rf_names_count = 0; /* all headers, not those that values name */
}

static int64_t needs(void) {
    int64_t bits = walks || rf_names_count > 0 ? RF_NEED_HEADERS : 0;
    for (uint32_t i = 0; i < source_count; i++) bits |= field_need(&sources[i]);
    return bits;
}

RF_NEEDS(RF_STATELESS | needs())

/* ---- calls ------------------------------------------------------------ */

/* remove_headers returns false when there are too many. */
static bool remove_headers(const rf_msg *msg, rf_delta *out) {
    uint32_t n = 0;
    if (!walks) {
        for (uint32_t i = 0; i < removals.n; i++) rf_del_header(out, removals.at[i]);
        return true;
    }
    if (keeps && keep.n == 0) {
        rf_clear_headers(out);
        return true;
    }
    for (uint32_t i = 0; i < rf_header_count(msg); i++) {
        rf_str name;
        rf_header_at(msg, i, &name);
        if (!removed(name)) continue;
        if (n++ == MAX_REMOVALS) {
            out->n = 0;
            rf_error(out, RF_STR("too-big"), RF_STR("more than 4000 headers would have to be removed"));
            return false;
        }
        rf_del_header(out, name);
    }
    return true;
}

static void set_typed(rf_delta *out, rf_str name, rf_type type, rf_str raw) {
    rf_op_copy(out, RF_OP_SET_HEADER, (uint8_t)(type << 4), name, raw);
}

static void set_header(rf_delta *out, rf_str name, const rf_header *h) {
    if (h->type == RF_T_UTF8)
        rf_set_header(out, name, h->raw);
    else
        set_typed(out, name, h->type, h->raw);
}

/* rename_headers first takes all old names away, so that names can be exchanged. */
static bool rename_headers(const rf_msg *msg, rf_delta *out) {
    static rf_header found[MAX_HEADERS];
    static bool have[MAX_HEADERS];
    for (uint32_t i = 0; i < rename_count; i++) {
        have[i] = rf_header_hashed(msg, renames[i].from, renames[i].hash, &found[i]);
        if (!have[i]) continue;
        if (found[i].type == RF_T_NESTED) {
            rf_text t = {0};
            rf_add(&t, RF_STR("header "));
            rf_add(&t, renames[i].from);
            rf_add(&t, RF_STR(" holds a table or an array, which no filter can set under another name"));
            out->n = 0;
            rf_error(out, RF_STR("nested"), rf_text_str(&t));
            return false;
        }
        rf_del_header(out, renames[i].from);
    }
    for (uint32_t i = 0; i < rename_count; i++)
        if (have[i]) set_header(out, renames[i].to, &found[i]);
    return true;
}

static bool present(const rf_msg *msg, const assignment *a) {
    rf_header h;
    if (!a->gone && rf_header_hashed(msg, a->name, a->hash, &h)) return true;
    for (uint32_t i = 0; i < rename_count; i++)
        if (rf_eq(renames[i].to, a->name) && rf_header_hashed(msg, renames[i].from, renames[i].hash, &h)) return true;
    return false;
}

/* assign returns false when the message goes no further. */
static bool assign(const rf_msg *msg, const assignment *a, rf_delta *out) {
    rf_header h;
    rf_str text;
    uint32_t size = a->value.type == RF_T_BOOL ? 1 : 8;
    if (a->value.type != RF_T_UTF8) {
        set_typed(out, a->name, a->value.type, rf_slice(&a->value.bits, size));
        return true;
    }
    if (copied(msg, &a->value, &h)) {
        set_header(out, a->name, &h);
        return true;
    }
    switch (text_make(msg, &a->value.text, &text, out)) {
    case ENDED: return false;
    case LEFT_OUT: return true;
    case MADE: rf_set_header(out, a->name, text);
    }
    return true;
}

static void rewrite(const rf_msg *msg, rf_delta *out) {
    used = 0;
    if (!remove_headers(msg, out) || !rename_headers(msg, out)) return;
    for (uint32_t i = 0; i < default_count; i++)
        if (!present(msg, &defaults[i]) && !assign(msg, &defaults[i], out)) return;
    for (uint32_t i = 0; i < set_count; i++)
        if (!assign(msg, &sets[i], out)) return;
    for (uint32_t i = 0; i < property_count; i++)
        if (!property_set(msg, &properties[i], out)) return;
}

RF_STAGE(unpack, msg, out) {
    if (stage == STAGE_UNPACK) rewrite(msg, out);
}

RF_STAGE(pack, msg, out) {
    if (stage == STAGE_PACK) rewrite(msg, out);
}
