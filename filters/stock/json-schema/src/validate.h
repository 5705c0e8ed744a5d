/*
 * Validating a document. The first thing that is wrong is remembered: where, and
 * which keyword says so.
 */
#ifndef VALIDATE_H
#define VALIDATE_H

#include "schema.h"

/* So many schemas may be within one another for one value and what it lies in. */
enum { MAX_NESTED = 400 };

static doc body;
static const char *wrong_keyword; /* NULL: nothing was remembered */
static uint32_t wrong_at, trials, nested;
static rf_str wrong_name; /* that is missing */
static bool too_nested;

/* wrong remembers what is wrong with a value, unless it is only tried out. */
static bool wrong(uint32_t at, const char *keyword) {
    if (trials > 0 || wrong_keyword != NULL) return false;
    wrong_keyword = keyword;
    wrong_at = at;
    wrong_name = RF_STR("");
    return false;
}

static bool missing(uint32_t at, const char *keyword, rf_str name) {
    if (trials > 0 || wrong_keyword != NULL) return false;
    wrong(at, keyword);
    wrong_name = name;
    return false;
}

static bool holds(uint32_t number, uint32_t at, const char *keyword);

/* tried tells whether a schema holds without remembering what is wrong. */
static bool tried(uint32_t number, uint32_t at) {
    trials++;
    bool ok = holds(number, at, "");
    trials--;
    return ok;
}

static bool check_type(const schema *s, uint32_t at) {
    tree_kind kind = body.v[at].kind;
    if (s->types >> kind & 1) return true;
    if (kind == TREE_NUMBER && s->types & INTEGER) {
        number v = number_of(text_at(&body, at));
        if (is_integer(&v)) return true;
    }
    return wrong(at, "type");
}

static bool check_values(const schema *s, uint32_t at) {
    if (s->constant != 0 && !equal(&text, s->constant, &body, at)) return wrong(at, "const");
    if (s->values == 0) return true;
    for (uint32_t i = s->values + 1; i < text.v[s->values].more; i = behind(&text, i))
        if (equal(&text, i, &body, at)) return true;
    return wrong(at, "enum");
}

static int against(number v, uint32_t limit) { return compare_numbers(v, number_of(text_at(&text, limit))); }

static bool check_number(const schema *s, uint32_t at) {
    if ((s->minimum | s->maximum | s->above | s->below | s->divisor) == 0) return true;
    number v = number_of(text_at(&body, at));
    if (s->minimum != 0 && against(v, s->minimum) < 0) return wrong(at, "minimum");
    if (s->maximum != 0 && against(v, s->maximum) > 0) return wrong(at, "maximum");
    if (s->above != 0 && against(v, s->above) <= 0) return wrong(at, "exclusiveMinimum");
    if (s->below != 0 && against(v, s->below) >= 0) return wrong(at, "exclusiveMaximum");
    if (s->divisor != 0 && !is_multiple(v, number_of(text_at(&text, s->divisor)))) return wrong(at, "multipleOf");
    return true;
}

static uint32_t characters(rf_str s) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < s.n; i++) n += ((uint8_t)s.p[i] & 0xc0) != 0x80;
    return n;
}

static bool check_string(const schema *s, uint32_t at) {
    rf_str value = text_at(&body, at);
    if (s->min_length > 0 && characters(value) < s->min_length) return wrong(at, "minLength");
    if (s->max_length < value.n && characters(value) > s->max_length) return wrong(at, "maxLength");
    if (s->has_pattern && !pattern_matches(&s->pattern, value)) return wrong(at, "pattern");
    return true;
}

static bool check_contains(const schema *s, uint32_t at) {
    uint32_t found = 0, end = body.v[at].more;
    for (uint32_t i = at + 1; i < end; i = behind(&body, i)) found += tried(s->contains, i);
    if (found < s->min_contains) return wrong(at, s->min_contains == 1 ? "contains" : "minContains");
    return found <= s->max_contains || wrong(at, "maxContains");
}

static bool check_array(const schema *s, uint32_t at) {
    uint32_t n = body.v[at].n, end = body.v[at].more, index = 0;
    if (n < s->min_items) return wrong(at, "minItems");
    if (n > s->max_items) return wrong(at, "maxItems");
    if (s->prefix.n > 0 || s->items != NONE) {
        for (uint32_t i = at + 1; i < end; i = behind(&body, i), index++) {
            if (index < s->prefix.n) {
                if (!holds(s->prefix.at[index], i, "prefixItems")) return false;
            } else if (s->items == NONE) {
                break;
            } else if (!holds(s->items, i, "items")) {
                return false;
            }
        }
    }
    if (s->unique && !all_distinct(&body, at)) return wrong(at, "uniqueItems");
    return s->contains == NONE || check_contains(s, at);
}

static bool check_member(const schema *s, uint32_t at) {
    rf_str name = text_at(&body, at);
    bool known = false;
    const entry *e = find_entry(&s->properties, name, body.v[at].more);
    if (e != NULL) {
        known = true;
        if (!holds(e->schema, at + 1, "properties")) return false;
    }
    for (uint32_t i = 0; i < s->patterns.n; i++) {
        if (!pattern_matches(&s->patterns.at[i].pattern, name)) continue;
        known = true;
        if (!holds(s->patterns.at[i].schema, at + 1, "patternProperties")) return false;
    }
    if (!known && s->additional != NONE && !holds(s->additional, at + 1, "additionalProperties")) return false;
    return s->names == NONE || tried(s->names, at) || wrong(at + 1, "propertyNames");
}

static bool check_object(const schema *s, uint32_t at) {
    uint32_t n = body.v[at].n, end = body.v[at].more;
    if (n < s->min_members) return wrong(at, "minProperties");
    if (n > s->max_members) return wrong(at, "maxProperties");
    for (uint32_t i = 0; i < s->required.n; i++)
        if (member_of(&body, at, s->required.at[i].name, s->required.at[i].hash) == 0) return missing(at, "required", s->required.at[i].name);
    for (uint32_t i = 0; i < s->dependent_names.n; i++) {
        const entry *e = &s->dependent_names.at[i];
        if (member_of(&body, at, e->name, e->hash) == 0) continue;
        for (uint32_t k = e->names + 1; k < text.v[e->names].more; k++) {
            rf_str name = text_at(&text, k);
            if (member_of(&body, at, name, rf_hash(name)) == 0) return missing(at, "dependentRequired", name);
        }
    }
    if (s->properties.n > 0 || s->patterns.n > 0 || s->additional != NONE || s->names != NONE)
        for (uint32_t i = at + 1; i < end; i = behind(&body, i + 1))
            if (!check_member(s, i)) return false;
    for (uint32_t i = 0; i < s->dependents.n; i++) {
        const entry *e = &s->dependents.at[i];
        if (member_of(&body, at, e->name, e->hash) != 0 && !holds(e->schema, at, "dependentSchemas")) return false;
    }
    return true;
}

/* check_others applies the schemas that are for the same value. */
static bool check_others(const schema *s, uint32_t at) {
    uint32_t found = 0;
    if (s->ref != NONE && !holds(s->ref, at, "$ref")) return false;
    for (uint32_t i = 0; i < s->all.n; i++)
        if (!holds(s->all.at[i], at, "allOf")) return false;
    for (uint32_t i = 0; i < s->any.n && found == 0; i++) found += tried(s->any.at[i], at);
    if (s->any.n > 0 && found == 0) return wrong(at, "anyOf");
    found = 0;
    for (uint32_t i = 0; i < s->one.n && found < 2; i++) found += tried(s->one.at[i], at);
    if (s->one.n > 0 && found != 1) return wrong(at, "oneOf");
    if (s->not != NONE && tried(s->not, at)) return wrong(at, "not");
    if (s->cond == NONE || (s->then == NONE && s->otherwise == NONE)) return true;
    uint32_t chosen = tried(s->cond, at) ? s->then : s->otherwise;
    return chosen == NONE || holds(chosen, at, chosen == s->then ? "then" : "else");
}

static bool check(const schema *s, uint32_t at) {
    if (!check_type(s, at) || !check_values(s, at)) return false;
    switch (body.v[at].kind) {
    case TREE_OBJECT:
        if (!check_object(s, at)) return false;
        break;
    case TREE_ARRAY:
        if (!check_array(s, at)) return false;
        break;
    case TREE_STRING:
        if (!check_string(s, at)) return false;
        break;
    case TREE_NUMBER:
        if (!check_number(s, at)) return false;
        break;
    default: break;
    }
    return check_others(s, at);
}

/* holds tells whether a schema, which `keyword` applies, holds for a value. */
static bool holds(uint32_t number, uint32_t at, const char *keyword) {
    const schema *s = &schemas[number];
    if (s->never) return wrong(at, keyword);
    if (nested == MAX_NESTED || too_nested) {
        too_nested = true;
        return false;
    }
    nested++;
    bool ok = check(s, at);
    nested--;
    return ok;
}

/* validate tells whether a schema holds for the body. When it does not,
   wrong_keyword says why, or too_nested or fault is set. */
static bool validate(uint32_t number) {
    wrong_keyword = NULL;
    trials = nested = 0;
    too_nested = false;
    bool ok = holds(number, 0, "false");
    return ok && !too_nested && fault == NULL;
}

#endif
