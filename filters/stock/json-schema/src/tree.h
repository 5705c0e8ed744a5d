/*
 * JSON documents as rows of nodes, in the order of the text: an array is
 * followed by its elements, an object by its members, each a name and a value.
 * The reader is that of filters/shared.
 */
#ifndef TREE_H
#define TREE_H

#include "json_read.h"

typedef enum { TREE_OBJECT, TREE_ARRAY, TREE_STRING, TREE_NUMBER, TREE_TRUE, TREE_FALSE, TREE_NULL } tree_kind;

typedef struct {
    tree_kind kind;
    uint32_t at;   /* of a string's text or a number's digits */
    uint32_t n;    /* its bytes; members or elements */
    uint32_t more; /* of a container: the node behind it; of a name: its hash */
} node;

typedef struct {
    const node *v;
    const char *strings, *numbers; /* what `at` counts from */
} doc;

static rf_buf nodes;
static uint32_t n_nodes;

/* add_node returns the new node's index; UINT32_MAX when memory is out. */
static uint32_t add_node(tree_kind kind, uint32_t at, uint32_t n) {
    if (nodes.cap / sizeof(node) == n_nodes && !rf_grow(&nodes, n_nodes * (uint32_t)sizeof(node), ((uint64_t)n_nodes + 1) * sizeof(node))) {
        failed(no_memory, 0);
        return UINT32_MAX;
    }
    ((node *)nodes.p)[n_nodes] = (node){.kind = kind, .at = at, .n = n};
    return n_nodes++;
}

/* What the reader writes: the texts of strings, one behind the other. */
static uint32_t str_header_size(__attribute__((unused)) uint32_t n) { return 0; }

static bool put_str_header(uint32_t n) { return add_node(TREE_STRING, out_n, n) != UINT32_MAX; }

static bool put_number(const json_number *n) { return add_node(TREE_NUMBER, json_at(), n->text.n) != UINT32_MAX; }

static bool put_word(json_word word) {
    return add_node(word == JSON_TRUE ? TREE_TRUE : word == JSON_FALSE ? TREE_FALSE : TREE_NULL, 0, 0) != UINT32_MAX;
}

static bool put_member(uint32_t at, __attribute__((unused)) uint32_t from) {
    ((node *)nodes.p)[n_nodes - 1].more = rf_hash(rf_slice(out.p + at, out_n - at));
    return true;
}

static bool read_container(bool map, int depth) {
    if (depth == MAX_DEPTH) return json_failed("nested too deep");
    uint32_t count = 0, at = add_node(map ? TREE_OBJECT : TREE_ARRAY, 0, 0);
    if (at == UINT32_MAX || !read_members(map, map ? '}' : ']', depth + 1, &count)) return false;
    ((node *)nodes.p)[at].n = count;
    ((node *)nodes.p)[at].more = n_nodes;
    return true;
}

/* tree_read reads a text; d is good until the next is read. */
static bool tree_read(rf_str text, doc *d) {
    convert_begin();
    n_nodes = 0;
    if (!read_json(text)) return false;
    *d = (doc){(const node *)nodes.p, (const char *)out.p, text.p};
    return true;
}

/* tree_keep copies what was read to memory of its own. */
static bool tree_keep(rf_str text, doc *d) {
    node *v = rf_alloc(n_nodes * (uint32_t)sizeof(node));
    char *strings = rf_alloc(out_n), *numbers = rf_alloc(text.n);
    if (v == NULL || strings == NULL || numbers == NULL) return false;
    __builtin_memcpy(v, nodes.p, n_nodes * sizeof(node));
    __builtin_memcpy(strings, out.p, out_n);
    __builtin_memcpy(numbers, text.p, text.n);
    *d = (doc){v, strings, numbers};
    return true;
}

static uint32_t behind(const doc *d, uint32_t i) { return d->v[i].kind <= TREE_ARRAY ? d->v[i].more : i + 1; }

static rf_str text_at(const doc *d, uint32_t i) {
    return rf_slice((d->v[i].kind == TREE_NUMBER ? d->numbers : d->strings) + d->v[i].at, d->v[i].n);
}

/* member_of returns the value of an object's member, 0 when there is none: no
   value is the first node of a document and in something. */
static uint32_t member_of(const doc *d, uint32_t object, rf_str name, uint32_t hash) {
    for (uint32_t i = object + 1, end = d->v[object].more; i < end; i = behind(d, i + 1))
        if (d->v[i].more == hash && rf_eq(text_at(d, i), name)) return i + 1;
    return 0;
}

/* add_pointer adds the JSON pointer that leads from `from` to `to`. */
static void add_pointer(rf_text *t, const doc *d, uint32_t from, uint32_t to) {
    while (from != to) {
        bool object = d->v[from].kind == TREE_OBJECT;
        uint32_t i = from + 1, index = 0;
        for (; behind(d, i + object) <= to; index++) i = behind(d, i + object);
        rf_add(t, RF_STR("/"));
        if (object) {
            rf_str name = text_at(d, i);
            for (uint32_t k = 0; k < name.n;) {
                uint32_t run = k;
                while (run < name.n && name.p[run] != '~' && name.p[run] != '/') run++;
                rf_add(t, rf_slice(name.p + k, run - k));
                if (run < name.n) rf_add(t, name.p[run] == '~' ? RF_STR("~0") : RF_STR("~1"));
                k = run + 1;
            }
        } else {
            rf_add_int(t, index);
        }
        if (to == i && object) return; /* a name */
        from = i + object;
    }
}

#endif
