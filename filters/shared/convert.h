/*
 * What filters that turn bodies from one format to another share: the input, the
 * output, and how a conversion fails.
 */
#ifndef ROUTER_CONVERT_H
#define ROUTER_CONVERT_H

#include "router_filter.h"

enum { MAX_DEPTH = 128 };

static rf_buf out;
static uint32_t out_n;

static const char *fault; /* why the conversion failed, or NULL */
static uint32_t fault_at; /* where in the input */

RF_API bool failed(const char *why, uint32_t at) {
    if (fault == NULL) {
        fault = why;
        fault_at = at;
    }
    return false;
}

/* convert_begin forgets the conversion before. */
RF_API void convert_begin(void) {
    fault = NULL;
    out_n = 0;
}

static const char no_memory[] = "out of memory";

/* convert_report fails the message; `what` names the conversion. */
RF_API void convert_report(rf_delta *d, rf_str what) {
    rf_text t = {0};
    uint32_t n = 0;
    while (fault[n] != 0) n++;
    rf_add(&t, what);
    rf_add(&t, RF_STR(": "));
    rf_add(&t, rf_slice(fault, n));
    rf_add(&t, RF_STR(" at byte "));
    rf_add_int(&t, fault_at);
    rf_error(d, fault == no_memory ? RF_STR("memory") : RF_STR("malformed"), rf_text_str(&t));
}

/* room makes sure that n more bytes fit the output. */
RF_API bool room(uint32_t n) {
    if (out.cap - out_n >= n) return true;
    return rf_grow(&out, out_n, (uint64_t)out_n + n) || failed(no_memory, 0);
}

RF_API bool put(const void *p, uint32_t n) {
    if (!room(n)) return false;
    __builtin_memcpy(out.p + out_n, p, n);
    out_n += n;
    return true;
}

RF_API bool put1(uint8_t c) {
    if (!room(1)) return false;
    out.p[out_n++] = c;
    return true;
}

RF_API bool put_str(rf_str s) { return put(s.p, s.n); }

/* utf8_len returns the length of the character at p, 0 when there is none that
   is well-formed: no overlong forms, no surrogates, nothing above U+10FFFF. */
RF_API uint32_t utf8_len(const uint8_t *p, const uint8_t *end) {
    uint32_t left = (uint32_t)(end - p), c = p[0];
    if (c < 0x80) return 1;
    if (c < 0xc2 || left < 2 || (p[1] & 0xc0) != 0x80) return 0;
    if (c < 0xe0) return 2;
    if (left < 3 || (p[2] & 0xc0) != 0x80) return 0;
    if (c < 0xf0) {
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f)) return 0;
        return 3;
    }
    if (c > 0xf4 || left < 4 || (p[3] & 0xc0) != 0x80) return 0;
    if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f)) return 0;
    return 4;
}

#endif
