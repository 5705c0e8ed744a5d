/*
 * The members of the maps that are being written, to find equal keys and to
 * sort: the output holds them, this their places. Inner maps are done before
 * their members are needed again.
 */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "convert.h"

typedef struct {
    uint32_t at, value; /* in the output: the key, and what lies behind it */
    uint32_t end;       /* of the member, once the map is done */
    uint32_t from;      /* the key in the input */
} member;

static rf_buf members, scratch;
static uint32_t n_members;

static bool add_member(uint32_t at, uint32_t from) {
    if (members.cap / sizeof(member) == n_members && !rf_grow(&members, n_members * (uint32_t)sizeof(member), ((uint64_t)n_members + 1) * sizeof(member)))
        return failed(no_memory, 0);
    ((member *)members.p)[n_members++] = (member){.at = at, .value = out_n, .from = from};
    return true;
}

/* compare orders keys by their bytes. No key is the beginning of another. */
static int compare(const member *a, const member *b) {
    const uint8_t *p = out.p + a->at, *q = out.p + b->at, *end = out.p + a->value, *stop = out.p + b->value;
    for (; p < end && q < stop; p++, q++)
        if (*p != *q) return *p < *q ? -1 : 1;
    return 0;
}

/* sift lets the member at `root` sink to its place in a heap of n. */
static void sift(member *m, uint32_t root, uint32_t n) {
    member moving = m[root];
    for (;;) {
        uint32_t child = 2 * root + 1;
        if (child >= n) break;
        if (child + 1 < n && compare(&m[child], &m[child + 1]) < 0) child++;
        if (compare(&moving, &m[child]) >= 0) break;
        m[root] = m[child];
        root = child;
    }
    m[root] = moving;
}

static void heapsort(member *m, uint32_t n) {
    for (uint32_t i = n / 2; i > 0; i--) sift(m, i - 1, n);
    for (uint32_t last = n - 1; last > 0; last--) {
        member top = m[0];
        m[0] = m[last];
        m[last] = top;
        sift(m, 0, last);
    }
}

/* reorder writes the members, which fill the output from `start`, in the order
   in which they are. */
static bool reorder(const member *m, uint32_t n, uint32_t start) {
    uint32_t size = out_n - start, w = 0;
    if (!rf_reserve(&scratch, size)) return failed(no_memory, 0);
    for (uint32_t i = 0; i < n; i++) {
        __builtin_memcpy(scratch.p + w, out.p + m[i].at, m[i].end - m[i].at);
        w += m[i].end - m[i].at;
    }
    __builtin_memcpy(out.p + start, scratch.p, size);
    return true;
}

/* end_members is called when a map's last member has been written; its members
   are those behind the first `before`. It refuses equal keys, and sorts the
   output when told to. */
static bool end_members(uint32_t before, bool sort) {
    member *m = (member *)members.p + before;
    uint32_t n = n_members - before;
    bool ordered = true;
    n_members = before;
    for (uint32_t i = 1; i < n && ordered; i++) ordered = compare(&m[i - 1], &m[i]) < 0;
    if (n == 0 || ordered) return true;
    uint32_t start = m[0].at;
    for (uint32_t i = 0; i < n; i++) m[i].end = i + 1 < n ? m[i + 1].at : out_n;
    heapsort(m, n);
    for (uint32_t i = 1; i < n; i++)
        if (compare(&m[i - 1], &m[i]) == 0) return failed("a key occurs twice", m[i].from > m[i - 1].from ? m[i].from : m[i - 1].from);
    return !sort || reorder(m, n, start);
}

#endif
