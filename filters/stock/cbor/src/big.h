/*
 * Integers of more than 64 bits, as decimal text and as CBOR's bignums: bytes,
 * the most significant first.
 */
#ifndef BIG_H
#define BIG_H

#include "router_filter.h"

enum { BIG_BYTES = 512, BIG_WORDS = BIG_BYTES / 4, BIG_DIGITS = 1234 };

/* n words, the least significant first, the last not 0 */
typedef struct {
    uint32_t n, w[BIG_WORDS + 1];
} big;

/* big_step makes a * factor + more of a. False when it has too many bits. */
static bool big_step(big *a, uint32_t factor, uint32_t more) {
    uint64_t carry = more;
    for (uint32_t i = 0; i < a->n; i++) {
        carry += (uint64_t)a->w[i] * factor;
        a->w[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0) a->w[a->n++] = (uint32_t)carry;
    return a->n <= BIG_WORDS;
}

/* big_read reads digits. */
static bool big_read(big *a, rf_str digits) {
    a->n = 0;
    for (uint32_t i = 0; i < digits.n;) {
        uint32_t chunk = 0, factor = 1;
        for (; factor < 1000000000 && i < digits.n; i++, factor *= 10) chunk = chunk * 10 + (uint32_t)(digits.p[i] - '0');
        if (!big_step(a, factor, chunk)) return false;
    }
    return true;
}

/* big_less takes one from a, which is not 0. */
static void big_less(big *a) {
    uint32_t i = 0;
    while (a->w[i]-- == 0) i++;
    while (a->n > 0 && a->w[a->n - 1] == 0) a->n--;
}

/* big_bytes writes a without leading zeros to buf, which holds BIG_BYTES. */
static uint32_t big_bytes(const big *a, uint8_t *buf) {
    uint32_t n = 0;
    for (uint32_t i = a->n * 4; i > 0; i--) {
        uint8_t b = (uint8_t)(a->w[(i - 1) / 4] >> 8 * ((i - 1) % 4));
        if (n > 0 || b != 0) buf[n++] = b;
    }
    return n;
}

/* big_digits writes a in decimal to buf, which holds BIG_DIGITS, and uses a up. */
static rf_str big_digits(big *a, char *buf) {
    uint32_t n = BIG_DIGITS;
    do {
        uint64_t rest = 0;
        for (uint32_t i = a->n; i > 0; i--) {
            rest = rest << 32 | a->w[i - 1];
            a->w[i - 1] = (uint32_t)(rest / 1000000000);
            rest %= 1000000000;
        }
        while (a->n > 0 && a->w[a->n - 1] == 0) a->n--;
        for (uint32_t i = 0; a->n > 0 ? i < 9 : rest > 0 || n == BIG_DIGITS; i++, rest /= 10) buf[--n] = (char)('0' + rest % 10);
    } while (a->n > 0);
    return rf_slice(buf + n, BIG_DIGITS - n);
}

#endif
