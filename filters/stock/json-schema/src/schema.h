/*
 * JSON Schemas (draft 2020-12), compiled when the filter is configured: what a
 * schema asks for lies in fields, names are hashed, patterns compiled, references
 * resolved. A keyword that is not known here is refused.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

#include "pattern.h"
#include "value.h"

enum { NONE = UINT32_MAX };

typedef struct {
    uint32_t hash;
    rf_str name;
    uint32_t schema; /* its number */
    uint32_t names;  /* dependentRequired: the array's node */
    pattern pattern; /* patternProperties */
} entry;

typedef struct {
    uint32_t n;
    entry *at;
} entries;

typedef struct {
    uint32_t n;
    uint32_t *at; /* numbers of schemas */
} list;

typedef struct {
    uint32_t node;        /* where it is written */
    bool never;           /* false */
    bool unique;          /* uniqueItems */
    uint32_t types;       /* bits by tree_kind, and INTEGER */
    uint32_t values, constant; /* enum and const: nodes, 0 for none */
    uint32_t minimum, maximum, above, below, divisor; /* nodes, 0 for none */
    uint32_t min_length, max_length, min_items, max_items, min_members, max_members, min_contains, max_contains;
    bool has_pattern;
    pattern pattern;
    entries required, properties, patterns, dependent_names, dependents;
    list prefix, all, any, one;
    uint32_t additional, names, items, contains, not, cond, then, otherwise, ref; /* schemas */
} schema;

enum { INTEGER = 1 << 7, ANY_TYPE = 0xff, MAX_SCHEMAS = 20000 };

/* One document of schemas, and the schemas of all. */
static doc text;
static uint32_t root_node; /* of the document within the configuration */
static uint32_t *number_at; /* of the schema that is written at a node */
static schema *schemas;
static uint32_t n_schemas, done_schemas, cap_schemas;

static rf_text schema_fault; /* empty: none */

static bool bad_schema(uint32_t at, const char *why, rf_str what) {
    if (schema_fault.n > 0) return false;
    uint32_t n = 0;
    while (why[n] != 0) n++;
    add_pointer(&schema_fault, &text, root_node, at);
    rf_add(&schema_fault, schema_fault.n > 0 ? RF_STR(": ") : RF_STR(""));
    rf_add(&schema_fault, rf_slice(why, n));
    rf_add(&schema_fault, what);
    return false;
}

static bool refuse_schema(uint32_t at, const char *why) { return bad_schema(at, why, RF_STR("")); }

static void *alloc_for(uint32_t at, uint32_t n, uint32_t size) {
    void *p = (uint64_t)n * size > 0x7fff0000u ? NULL : rf_alloc(n * size);
    if (p == NULL) refuse_schema(at, "out of memory");
    return p;
}

/* schema_at returns the number of the schema that is written at a node, and has
   it compiled if it is new. */
static bool schema_at(uint32_t at, uint32_t *number) {
    if (text.v[at].kind != TREE_OBJECT && text.v[at].kind != TREE_TRUE && text.v[at].kind != TREE_FALSE)
        return refuse_schema(at, "write a schema: an object, true or false");
    if (number_at[at] == NONE) {
        if (n_schemas == cap_schemas) return refuse_schema(at, "out of memory");
        schemas[n_schemas] = (schema){
            .node = at, .types = ANY_TYPE, .min_contains = 1,
            .max_length = NONE, .max_items = NONE, .max_members = NONE, .max_contains = NONE,
            .additional = NONE, .names = NONE, .items = NONE, .contains = NONE, .not = NONE,
            .cond = NONE, .then = NONE, .otherwise = NONE, .ref = NONE,
        };
        number_at[at] = n_schemas++;
    }
    *number = number_at[at];
    return true;
}

/* ---- what keywords have as values -------------------------------------- */

static bool want_kind(uint32_t at, tree_kind kind) {
    static const char *const words[] = {"write an object", "write an array", "write a string", "write a number"};
    return text.v[at].kind == kind || refuse_schema(at, words[kind]);
}

static bool read_count(uint32_t at, uint32_t *n) {
    if (text.v[at].kind == TREE_NUMBER) {
        number v = number_of(text_at(&text, at));
        if (!v.negative && is_integer(&v) && v.point <= 9) {
            *n = 0;
            for (int64_t i = 0; i < v.point; i++) *n = *n * 10 + next_digit(&v.digits);
            return true;
        }
    }
    return refuse_schema(at, "write a whole number from 0 to 999999999");
}

static bool read_limit(uint32_t at, uint32_t *limit) {
    *limit = at;
    return want_kind(at, TREE_NUMBER);
}

static bool read_divisor(uint32_t at, uint32_t *divisor) {
    if (!read_limit(at, divisor)) return false;
    number v = number_of(text_at(&text, at));
    return (v.n > 0 && !v.negative && v.n <= MAX_DIVISOR_DIGITS) || refuse_schema(at, "write a number above 0 with at most 18 digits");
}

static bool read_type(uint32_t at, uint32_t *types) {
    static const struct {
        rf_str name;
        uint32_t bits;
    } known[] = {
        {{"object", 6}, 1 << TREE_OBJECT}, {{"array", 5}, 1 << TREE_ARRAY}, {{"string", 6}, 1 << TREE_STRING},
        {{"number", 6}, 1 << TREE_NUMBER | INTEGER}, {{"integer", 7}, INTEGER},
        {{"boolean", 7}, 1 << TREE_TRUE | 1 << TREE_FALSE}, {{"null", 4}, 1 << TREE_NULL},
    };
    if (text.v[at].kind == TREE_STRING) {
        for (uint32_t i = 0; i < sizeof known / sizeof *known; i++) {
            if (!rf_eq(text_at(&text, at), known[i].name)) continue;
            *types |= known[i].bits;
            return true;
        }
    }
    return refuse_schema(at, "write one of object, array, string, number, integer, boolean, null, or an array of them");
}

static bool read_types(uint32_t at, uint32_t *types) {
    *types = 0;
    if (text.v[at].kind != TREE_ARRAY) return read_type(at, types);
    for (uint32_t i = at + 1; i < text.v[at].more; i++)
        if (text.v[i].kind != TREE_STRING || !read_type(i, types)) return read_type(i, types);
    return text.v[at].n > 0 || refuse_schema(at, "the array is empty");
}

static bool read_names(uint32_t at, entries *names) {
    if (!want_kind(at, TREE_ARRAY)) return false;
    names->at = alloc_for(at, text.v[at].n, sizeof(entry));
    if (names->at == NULL) return false;
    for (uint32_t i = at + 1; i < text.v[at].more; i = behind(&text, i)) {
        if (!want_kind(i, TREE_STRING)) return false;
        rf_str name = text_at(&text, i);
        names->at[names->n++] = (entry){.hash = rf_hash(name), .name = name};
    }
    return true;
}

/* order sorts entries by hash, for find_entry. */
static void order(entries *e) {
    for (uint32_t gap = e->n / 2; gap > 0; gap /= 2)
        for (uint32_t i = gap; i < e->n; i++) {
            entry moving = e->at[i];
            uint32_t k = i;
            for (; k >= gap && e->at[k - gap].hash > moving.hash; k -= gap) e->at[k] = e->at[k - gap];
            e->at[k] = moving;
        }
}

static const entry *find_entry(const entries *e, rf_str name, uint32_t hash) {
    uint32_t low = 0, high = e->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (e->at[middle].hash < hash) low = middle + 1;
        else high = middle;
    }
    for (; low < e->n && e->at[low].hash == hash; low++)
        if (rf_eq(e->at[low].name, name)) return &e->at[low];
    return NULL;
}

static bool read_pattern(uint32_t at, pattern *p) {
    if (!want_kind(at, TREE_STRING)) return false;
    return pattern_compile(text_at(&text, at), p) || refuse_schema(at, re.why);
}

typedef enum { MEMBER_SCHEMAS, MEMBER_NAMES, MEMBER_PATTERNS } member_kind;

/* read_entries reads an object: schemas by name or by pattern, or names by name. */
static bool read_entries(uint32_t at, entries *e, member_kind kind) {
    if (!want_kind(at, TREE_OBJECT)) return false;
    e->at = alloc_for(at, text.v[at].n, sizeof(entry));
    if (e->at == NULL) return false;
    for (uint32_t i = at + 1; i < text.v[at].more; i = behind(&text, i + 1)) {
        entry *to = &e->at[e->n++];
        *to = (entry){.hash = text.v[i].more, .name = text_at(&text, i), .schema = NONE};
        if (kind == MEMBER_PATTERNS && !read_pattern(i, &to->pattern)) return false;
        if (kind != MEMBER_NAMES) {
            if (!schema_at(i + 1, &to->schema)) return false;
            continue;
        }
        to->names = i + 1;
        if (!want_kind(i + 1, TREE_ARRAY)) return false;
        for (uint32_t k = i + 2; k < text.v[i + 1].more; k = behind(&text, k))
            if (!want_kind(k, TREE_STRING)) return false;
    }
    if (kind == MEMBER_SCHEMAS) order(e);
    return true;
}

static bool read_list(uint32_t at, list *l) {
    if (!want_kind(at, TREE_ARRAY)) return false;
    if (text.v[at].n == 0) return refuse_schema(at, "the array is empty");
    l->at = alloc_for(at, text.v[at].n, sizeof *l->at);
    if (l->at == NULL) return false;
    for (uint32_t i = at + 1; i < text.v[at].more; i = behind(&text, i))
        if (!schema_at(i, &l->at[l->n++])) return false;
    return true;
}

/* read_ref follows a JSON pointer within the document. */
static bool read_ref(uint32_t at, uint32_t *number) {
    static char name[256];
    if (!want_kind(at, TREE_STRING)) return false;
    rf_str ref = text_at(&text, at), part;
    uint32_t to = root_node;
    if (ref.n == 0 || *ref.p != '#' || (ref.n > 1 && ref.p[1] != '/')) return refuse_schema(at, "write a pointer within this schema, such as #/$defs/name");
    rf_cut(ref, '/', &part, &ref);
    bool more = part.n < text.v[at].n;
    while (more) {
        more = rf_cut(ref, '/', &part, &ref);
        uint32_t n = 0, digits = 0, index = 0;
        for (uint32_t i = 0; i < part.n && n < sizeof name; i++) {
            char c = part.p[i];
            if (c == '%') return refuse_schema(at, "percent signs in a reference are not supported");
            if (c == '~' && i + 1 < part.n && (part.p[i + 1] == '0' || part.p[i + 1] == '1')) c = part.p[++i] == '0' ? '~' : '/';
            if (c >= '0' && c <= '9' && digits == n && n < 9) {
                index = index * 10 + (uint32_t)(c - '0');
                digits++;
            }
            name[n++] = c;
        }
        if (text.v[to].kind == TREE_OBJECT) {
            to = member_of(&text, to, rf_slice(name, n), rf_hash(rf_slice(name, n)));
        } else if (text.v[to].kind == TREE_ARRAY && n > 0 && digits == n && index < text.v[to].n) {
            for (to++; index > 0; index--) to = behind(&text, to);
        } else {
            to = 0;
        }
        if (to == 0) return refuse_schema(at, "it leads nowhere");
    }
    return schema_at(to, number);
}

/* ---- keywords ----------------------------------------------------------- */

static bool is_word(rf_str word, rf_str words) {
    rf_str w;
    while (words.n > 0) {
        rf_cut(words, ' ', &w, &words);
        if (rf_eq(w, word)) return true;
    }
    return false;
}

/* read_definitions compiles what is not used, too, so that its mistakes are found. */
static bool read_definitions(uint32_t at) {
    uint32_t number;
    if (!want_kind(at, TREE_OBJECT)) return false;
    for (uint32_t i = at + 1; i < text.v[at].more; i = behind(&text, i + 1))
        if (!schema_at(i + 1, &number)) return false;
    return true;
}

static bool read_dialect(uint32_t at) {
    if (!want_kind(at, TREE_STRING)) return false;
    rf_str uri = text_at(&text, at);
    if (uri.n > 0 && uri.p[uri.n - 1] == '#') uri.n--;
    return rf_eq(uri, RF_STR("https://json-schema.org/draft/2020-12/schema")) || refuse_schema(at, "only draft 2020-12 is known");
}

/* read_keyword reads the member whose name is at k. */
static bool read_keyword(schema *s, uint32_t k) {
    rf_str name = text_at(&text, k);
    uint32_t v = k + 1;
#define KEYWORD(word, ...) \
    if (rf_eq(name, RF_STR(word))) return __VA_ARGS__
    KEYWORD("$ref", read_ref(v, &s->ref));
    KEYWORD("$defs", read_definitions(v));
    KEYWORD("$schema", read_dialect(v));
    KEYWORD("type", read_types(v, &s->types));
    KEYWORD("enum", (s->values = v, want_kind(v, TREE_ARRAY)));
    KEYWORD("const", (s->constant = v, true));
    KEYWORD("multipleOf", read_divisor(v, &s->divisor));
    KEYWORD("minimum", read_limit(v, &s->minimum));
    KEYWORD("maximum", read_limit(v, &s->maximum));
    KEYWORD("exclusiveMinimum", read_limit(v, &s->above));
    KEYWORD("exclusiveMaximum", read_limit(v, &s->below));
    KEYWORD("minLength", read_count(v, &s->min_length));
    KEYWORD("maxLength", read_count(v, &s->max_length));
    KEYWORD("pattern", (s->has_pattern = true, read_pattern(v, &s->pattern)));
    KEYWORD("minItems", read_count(v, &s->min_items));
    KEYWORD("maxItems", read_count(v, &s->max_items));
    KEYWORD("uniqueItems", (s->unique = text.v[v].kind == TREE_TRUE, s->unique || text.v[v].kind == TREE_FALSE || refuse_schema(v, "write true or false")));
    KEYWORD("prefixItems", read_list(v, &s->prefix));
    KEYWORD("items", schema_at(v, &s->items));
    KEYWORD("contains", schema_at(v, &s->contains));
    KEYWORD("minContains", read_count(v, &s->min_contains));
    KEYWORD("maxContains", read_count(v, &s->max_contains));
    KEYWORD("minProperties", read_count(v, &s->min_members));
    KEYWORD("maxProperties", read_count(v, &s->max_members));
    KEYWORD("required", read_names(v, &s->required));
    KEYWORD("dependentRequired", read_entries(v, &s->dependent_names, MEMBER_NAMES));
    KEYWORD("dependentSchemas", read_entries(v, &s->dependents, MEMBER_SCHEMAS));
    KEYWORD("properties", read_entries(v, &s->properties, MEMBER_SCHEMAS));
    KEYWORD("patternProperties", read_entries(v, &s->patterns, MEMBER_PATTERNS));
    KEYWORD("additionalProperties", schema_at(v, &s->additional));
    KEYWORD("propertyNames", schema_at(v, &s->names));
    KEYWORD("allOf", read_list(v, &s->all));
    KEYWORD("anyOf", read_list(v, &s->any));
    KEYWORD("oneOf", read_list(v, &s->one));
    KEYWORD("not", schema_at(v, &s->not));
    KEYWORD("if", schema_at(v, &s->cond));
    KEYWORD("then", schema_at(v, &s->then));
    KEYWORD("else", schema_at(v, &s->otherwise));
#undef KEYWORD
    if (is_word(name, RF_STR("$comment title description default examples deprecated readOnly writeOnly format contentEncoding contentMediaType contentSchema")))
        return true;
    if (rf_eq(name, RF_STR("$id")))
        return s->node == root_node || refuse_schema(k, "$id is supported at the root only");
    return refuse_schema(k, "this keyword is not supported, and is not ignored");
}

static bool compile_schema(schema *s) {
    if (text.v[s->node].kind != TREE_OBJECT) {
        s->never = text.v[s->node].kind == TREE_FALSE;
        return true;
    }
    for (uint32_t k = s->node + 1; k < text.v[s->node].more; k = behind(&text, k + 1)) {
        if (member_of(&text, s->node, text_at(&text, k), text.v[k].more) != k + 1) return refuse_schema(k, "this keyword is written twice");
        if (!read_keyword(s, k)) return false;
    }
    return true;
}

/* ---- references that lead in a circle ----------------------------------- */

/* each_at_same calls for every schema that s applies to the same value. */
static void each_at_same(const schema *s, uint32_t *counts, int32_t add, uint32_t *stack, uint32_t *top) {
    const uint32_t single[] = {s->ref, s->not, s->cond, s->then, s->otherwise};
    const list *lists[] = {&s->all, &s->any, &s->one};
#define EDGE(to)                                                             \
    do {                                                                     \
        uint32_t edge_ = (to);                                               \
        counts[edge_] += (uint32_t)add;                                      \
        if (add < 0 && counts[edge_] == 0) stack[(*top)++] = edge_;          \
    } while (0)
    for (uint32_t i = 0; i < sizeof single / sizeof *single; i++)
        if (single[i] != NONE) EDGE(single[i]);
    for (uint32_t l = 0; l < 3; l++)
        for (uint32_t i = 0; i < lists[l]->n; i++) EDGE(lists[l]->at[i]);
    for (uint32_t i = 0; i < s->dependents.n; i++) EDGE(s->dependents.at[i].schema);
#undef EDGE
}

/* no_circles refuses schemas that would apply themselves to the same value: it
   takes away what nothing refers to until nothing is left. */
static bool no_circles(uint32_t first) {
    uint32_t *counts = alloc_for(root_node, n_schemas, sizeof *counts), *stack = alloc_for(root_node, n_schemas, sizeof *stack), top = 0;
    if (counts == NULL || stack == NULL) return false;
    for (uint32_t i = 0; i < n_schemas; i++) counts[i] = 0;
    for (uint32_t i = first; i < n_schemas; i++) each_at_same(&schemas[i], counts, 1, stack, &top);
    for (uint32_t i = first; i < n_schemas; i++)
        if (counts[i] == 0) stack[top++] = i;
    for (uint32_t taken = 0; taken < n_schemas - first; taken++) {
        if (top == 0) {
            for (uint32_t i = first; i < n_schemas; i++)
                if (counts[i] > 0) return refuse_schema(schemas[i].node, "it refers to itself for the same value, and would never end");
        }
        each_at_same(&schemas[stack[--top]], counts, -1, stack, &top);
    }
    return true;
}

/* schemas_begin takes a document in which schemas lie. */
static bool schemas_begin(const doc *d, uint32_t count) {
    text = *d;
    number_at = alloc_for(0, count, sizeof *number_at);
    cap_schemas = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (number_at != NULL) number_at[i] = NONE;
        cap_schemas += d->v[i].kind == TREE_OBJECT || d->v[i].kind == TREE_TRUE || d->v[i].kind == TREE_FALSE;
    }
    schemas = alloc_for(0, cap_schemas, sizeof *schemas);
    n_schemas = done_schemas = 0;
    return number_at != NULL && schemas != NULL;
}

/* schemas_add compiles the schema at a node of it, and what that needs. */
static bool schemas_add(uint32_t at, uint32_t *number) {
    uint32_t first = n_schemas;
    root_node = at;
    if (!schema_at(at, number)) return false;
    while (done_schemas < n_schemas)
        if (!compile_schema(&schemas[done_schemas++])) return false;
    return no_circles(first);
}

#endif
