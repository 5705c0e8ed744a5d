/* Comparing values: numbers as what they are, not as what a double makes of them. */
#ifndef VALUE_H
#define VALUE_H

#include "tree.h"

/* 0.DIGITS times ten to the power of point; zero has no digits. */
typedef struct {
    rf_str digits; /* with a point among them, without zeros at the ends */
    uint32_t n;    /* of digits alone */
    int64_t point;
    bool negative;
} number;

enum { MAX_POINT = 1 << 30 };

static number number_of(rf_str text) {
    number v = {0};
    const char *p = text.p, *end = p + text.n, *first = NULL, *last = NULL;
    bool seen_point = false, minus = false;
    int64_t exp = 0, zeros = 0;
    if (*p == '-') {
        v.negative = true;
        p++;
    }
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            seen_point = true;
            continue;
        }
        if (*p != '0') {
            if (first == NULL) first = p;
            last = p;
            v.n += (uint32_t)zeros + 1;
            zeros = 0;
        } else if (first != NULL) {
            zeros++;
        }
        if (first != NULL) v.point += !seen_point;
        else v.point -= seen_point;
    }
    if (first == NULL) return (number){0};
    v.digits = rf_slice(first, (uint32_t)(last + 1 - first));
    if (p < end) {
        minus = *++p == '-';
        if (*p == '-' || *p == '+') p++;
        for (; p < end; p++)
            if (exp < MAX_POINT) exp = exp * 10 + (*p - '0');
    }
    v.point += minus ? -exp : exp;
    return v;
}

static bool is_integer(const number *v) { return v->point >= (int64_t)v->n; }

/* next_digit returns the next digit and 0 behind the last. */
static uint32_t next_digit(rf_str *digits) {
    if (digits->n > 0 && *digits->p == '.') *digits = rf_slice(digits->p + 1, digits->n - 1);
    if (digits->n == 0) return 0;
    uint32_t d = (uint32_t)(*digits->p - '0');
    *digits = rf_slice(digits->p + 1, digits->n - 1);
    return d;
}

static int compare_magnitude(number a, number b) {
    if (a.n == 0 || b.n == 0) return (a.n > 0) - (b.n > 0);
    if (a.point != b.point) return a.point < b.point ? -1 : 1;
    while (a.digits.n > 0 || b.digits.n > 0) {
        uint32_t x = next_digit(&a.digits), y = next_digit(&b.digits);
        if (x != y) return x < y ? -1 : 1;
    }
    return 0;
}

static int compare_numbers(number a, number b) {
    if (a.negative != b.negative) return a.negative ? -1 : 1; /* zero is not negative */
    return a.negative ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

enum { MAX_DIVISOR_DIGITS = 18 };

/* is_multiple tells whether a is a whole multiple of b, which is above zero and
   has at most MAX_DIVISOR_DIGITS digits. */
static bool is_multiple(number a, number b) {
    int64_t shift = (a.point - a.n) - (b.point - b.n);
    uint64_t divisor = 0, rest = 0;
    if (a.n == 0) return true;
    if (shift < 0) return false; /* a's last digit is not zero */
    for (uint32_t i = 0; i < b.n; i++) divisor = divisor * 10 + next_digit(&b.digits);
    for (uint32_t i = 0; i < a.n; i++) rest = (rest * 10 + next_digit(&a.digits)) % divisor;
    /* Ten to the power of 64 holds every two and five that the divisor has. */
    for (int64_t i = 0; i < shift && i < 64 && rest != 0; i++) rest = rest * 10 % divisor;
    return rest == 0;
}

static bool equal(const doc *a, uint32_t i, const doc *b, uint32_t k) {
    const node *x = &a->v[i], *y = &b->v[k];
    if (x->kind != y->kind) return false;
    switch (x->kind) {
    case TREE_STRING: return rf_eq(text_at(a, i), text_at(b, k));
    case TREE_NUMBER: return compare_numbers(number_of(text_at(a, i)), number_of(text_at(b, k))) == 0;
    case TREE_ARRAY:
        if (x->n != y->n) return false;
        for (uint32_t end = x->more, p = i + 1, q = k + 1; p < end; p = behind(a, p), q = behind(b, q))
            if (!equal(a, p, b, q)) return false;
        return true;
    case TREE_OBJECT:
        if (x->n != y->n) return false;
        for (uint32_t end = x->more, p = i + 1; p < end; p = behind(a, p + 1)) {
            uint32_t q = member_of(b, k, text_at(a, p), x[p - i].more);
            if (q == 0 || !equal(a, p + 1, b, q)) return false;
        }
        return true;
    default: return true;
    }
}

/* hash_value gives equal values equal hashes. */
static uint32_t hash_value(const doc *d, uint32_t i) {
    const node *x = &d->v[i];
    uint32_t h = (uint32_t)x->kind + 1;
    if (x->kind == TREE_STRING) return rf_hash(text_at(d, i));
    if (x->kind == TREE_NUMBER) {
        number v = number_of(text_at(d, i));
        h += (uint32_t)v.point * 31 + v.negative;
        for (uint32_t k = 0; k < v.n; k++) h = (h ^ next_digit(&v.digits)) * 16777619u;
    } else if (x->kind == TREE_ARRAY) {
        for (uint32_t k = i + 1; k < x->more; k = behind(d, k)) h = (h ^ hash_value(d, k)) * 16777619u;
    } else if (x->kind == TREE_OBJECT) {
        for (uint32_t k = i + 1; k < x->more; k = behind(d, k + 1)) h += (d->v[k].more ^ hash_value(d, k + 1) * 31) * 16777619u;
    }
    return h;
}

typedef struct {
    uint32_t hash, at;
} hashed;

static rf_buf hashes;

static void sink(hashed *m, uint32_t root, uint32_t n) {
    hashed moving = m[root];
    for (uint32_t child; (child = 2 * root + 1) < n; root = child) {
        if (child + 1 < n && m[child].hash < m[child + 1].hash) child++;
        if (moving.hash >= m[child].hash) break;
        m[root] = m[child];
    }
    m[root] = moving;
}

/* all_distinct tells whether no two elements of an array are equal. */
static bool all_distinct(const doc *d, uint32_t array) {
    uint32_t n = d->v[array].n, w = 0;
    if (n < 2) return true;
    if (!rf_reserve(&hashes, n * (uint32_t)sizeof(hashed))) return failed(no_memory, 0);
    hashed *m = (hashed *)hashes.p;
    for (uint32_t i = array + 1; w < n; i = behind(d, i)) m[w++] = (hashed){hash_value(d, i), i};
    for (uint32_t i = n / 2; i > 0; i--) sink(m, i - 1, n);
    for (uint32_t last = n - 1; last > 0; last--) {
        hashed top = m[0];
        m[0] = m[last];
        m[last] = top;
        sink(m, 0, last);
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i + 1; k < n && m[k].hash == m[i].hash; k++)
            if (equal(d, m[i].at, d, m[k].at)) return false;
    return true;
}

#endif
