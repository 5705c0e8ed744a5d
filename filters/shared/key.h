/* The key, out of the values of fields, under which a filter keeps what it knows of a message. */
#ifndef ROUTER_KEY_H
#define ROUTER_KEY_H

#include "field.h"
#include "sha256.h"

typedef enum { KEY_OK, KEY_MISSING, KEY_FAILED } key_found;

/* A key: the values with their lengths, or their SHA-256 when they are long.
   There is room behind it, for what a filter adds. */
enum { KEY_MAX = 240 };

typedef struct {
    uint32_t n;
    char p[255];
} message_key;

/* The longest value with JSON escapes that is read. */
enum { KEY_UNESCAPED = 16384 };

/* key_make reads the key of a message. KEY_MISSING when one of the fields has no
   value or an empty one; KEY_FAILED when the body is malformed, with an error in out. */
RF_API key_found key_make(const rf_msg *msg, const fields *of, message_key *key, rf_delta *out) {
    static char buf[KEY_UNESCAPED];
    sha256 sum;
    bool hashed = false;
    key->p[0] = 'v';
    key->n = 1;
    for (uint32_t i = 0; i < of->n; i++) {
        rf_str value;
        bool found = field_get(msg, &of->at[i], buf, sizeof buf, &value, out);
        if (out->n > 0) return KEY_FAILED;
        if (!found || value.n == 0) return KEY_MISSING;
        rf_str length = rf_slice(&value.n, 4);
        if (!hashed && value.n <= KEY_MAX - 4 && key->n <= KEY_MAX - 4 - value.n) {
            __builtin_memcpy(key->p + key->n, length.p, 4);
            __builtin_memcpy(key->p + key->n + 4, value.p, value.n);
            key->n += 4 + value.n;
            continue;
        }
        if (!hashed) {
            sha256_init(&sum);
            sha256_add(&sum, rf_slice(key->p, key->n));
            hashed = true;
        }
        sha256_add(&sum, length);
        sha256_add(&sum, value);
    }
    if (hashed) {
        key->p[0] = 'h';
        sha256_end(&sum, (uint8_t *)key->p + 1);
        key->n = 1 + SHA256_SIZE;
    }
    return KEY_OK;
}

/* key_add_source tells messages of different queues apart: one that is routed to
   two of them is no duplicate. */
RF_API void key_add_source(message_key *key, const rf_msg *msg) {
    rf_str queue = rf_prop(msg, RF_SOURCE);
    uint64_t h = 0xcbf29ce484222325ull;
    for (uint32_t i = 0; i < queue.n; i++) h = (h ^ (uint8_t)queue.p[i]) * 0x100000001b3ull;
    __builtin_memcpy(key->p + key->n, &h, 8);
    key->n += 8;
}

RF_API rf_str key_str(const message_key *key) { return rf_slice(key->p, key->n); }

#endif
