/*
 * SHA-256 (FIPS 180-4) and HMAC-SHA256 (RFC 2104), in pieces and without memory
 * of their own.
 */
#ifndef ROUTER_SHA256_H
#define ROUTER_SHA256_H

#include "router_filter.h"

enum { SHA256_BLOCK = 64, SHA256_SIZE = 32 };

typedef struct {
    uint32_t h[8];
    uint64_t n; /* bytes so far */
    uint8_t block[SHA256_BLOCK];
} sha256;

RF_API uint32_t sha256_rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

RF_API void sha256_init(sha256 *s) {
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    __builtin_memcpy(s->h, start, sizeof start);
    s->n = 0;
}

RF_API void sha256_step(sha256 *s, const uint8_t *p) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    };
    uint32_t w[16], a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3];
    uint32_t e = s->h[4], f = s->h[5], g = s->h[6], h = s->h[7];
    for (int i = 0; i < 16; i++) {
        __builtin_memcpy(&w[i], p + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
/* Loops are metered: sixteen rounds without one are several times as fast, and
   eight bring every variable back to its place. */
#define ROUND(a, b, c, d, e, f, g, h, j)                                                     \
    h += (sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25)) + (g ^ (e & (f ^ g))) + k[i + j] + w[j]; \
    d += h;                                                                                  \
    h += (sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22)) + ((a & b) | (c & (a | b)));
#define EIGHT(j)                                                                        \
    ROUND(a, b, c, d, e, f, g, h, j) ROUND(h, a, b, c, d, e, f, g, j + 1)               \
    ROUND(g, h, a, b, c, d, e, f, j + 2) ROUND(f, g, h, a, b, c, d, e, j + 3)           \
    ROUND(e, f, g, h, a, b, c, d, j + 4) ROUND(d, e, f, g, h, a, b, c, j + 5)           \
    ROUND(c, d, e, f, g, h, a, b, j + 6) ROUND(b, c, d, e, f, g, h, a, j + 7)
    for (int i = 0; i < 64; i += 16) {
#pragma clang loop unroll(full)
        for (int j = 0; i > 0 && j < 16; j++) {
            uint32_t x = w[(j + 1) & 15], y = w[(j + 14) & 15];
            w[j] += (sha256_rotate(x, 7) ^ sha256_rotate(x, 18) ^ x >> 3) + w[(j + 9) & 15] +
                    (sha256_rotate(y, 17) ^ sha256_rotate(y, 19) ^ y >> 10);
        }
        EIGHT(0)
        EIGHT(8)
    }
#undef EIGHT
#undef ROUND
    s->h[0] += a, s->h[1] += b, s->h[2] += c, s->h[3] += d;
    s->h[4] += e, s->h[5] += f, s->h[6] += g, s->h[7] += h;
}

RF_API void sha256_add(sha256 *s, rf_str text) {
    const uint8_t *p = (const uint8_t *)text.p, *end = p + text.n;
    uint32_t have = (uint32_t)(s->n % SHA256_BLOCK);
    s->n += text.n;
    if (have > 0) {
        uint32_t n = SHA256_BLOCK - have < text.n ? SHA256_BLOCK - have : text.n;
        __builtin_memcpy(s->block + have, p, n);
        p += n;
        if (have + n < SHA256_BLOCK) return;
        sha256_step(s, s->block);
    }
    for (; end - p >= SHA256_BLOCK; p += SHA256_BLOCK) sha256_step(s, p);
    __builtin_memcpy(s->block, p, (size_t)(end - p));
}

/* sha256_end writes the 32 bytes of the sum. */
RF_API void sha256_end(sha256 *s, uint8_t *sum) {
    uint32_t have = (uint32_t)(s->n % SHA256_BLOCK);
    s->block[have++] = 0x80;
    if (have > SHA256_BLOCK - 8) {
        __builtin_memset(s->block + have, 0, SHA256_BLOCK - have);
        sha256_step(s, s->block);
        have = 0;
    }
    __builtin_memset(s->block + have, 0, SHA256_BLOCK - 8 - have);
    uint64_t bits = __builtin_bswap64(s->n * 8);
    __builtin_memcpy(s->block + SHA256_BLOCK - 8, &bits, 8);
    sha256_step(s, s->block);
    for (int i = 0; i < 8; i++) {
        uint32_t h = __builtin_bswap32(s->h[i]);
        __builtin_memcpy(sum + 4 * i, &h, 4);
    }
}

/* A key of HMAC-SHA256, ready to use: the states after its two pads. */
typedef struct {
    sha256 inner, outer;
} hmac_key;

RF_API void hmac_key_init(hmac_key *k, rf_str secret) {
    uint8_t pad[SHA256_BLOCK] = {0};
    if (secret.n > SHA256_BLOCK) {
        sha256_init(&k->inner);
        sha256_add(&k->inner, secret);
        sha256_end(&k->inner, pad);
    } else {
        __builtin_memcpy(pad, secret.p, secret.n);
    }
    for (int i = 0; i < SHA256_BLOCK; i++) pad[i] ^= 0x36;
    sha256_init(&k->inner);
    sha256_add(&k->inner, rf_slice(pad, SHA256_BLOCK));
    for (int i = 0; i < SHA256_BLOCK; i++) pad[i] ^= 0x36 ^ 0x5c;
    sha256_init(&k->outer);
    sha256_add(&k->outer, rf_slice(pad, SHA256_BLOCK));
}

/* hmac_end ends what began as a copy of k->inner and writes the 32 bytes. */
RF_API void hmac_end(const hmac_key *k, sha256 *inner, uint8_t *mac) {
    uint8_t sum[SHA256_SIZE];
    sha256 outer = k->outer;
    sha256_end(inner, sum);
    sha256_add(&outer, rf_slice(sum, SHA256_SIZE));
    sha256_end(&outer, mac);
}

#endif
