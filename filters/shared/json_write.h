/*
 * Writing JSON from a binary format. The functions that read take their bytes
 * from src.
 */
#ifndef ROUTER_JSON_WRITE_H
#define ROUTER_JSON_WRITE_H

#include "convert.h"
#include "decimal.h"

static struct {
    const uint8_t *start, *p, *end;
} src;

static bool null_for_nan;

RF_API bool src_failed(const char *why) { return failed(why, (uint32_t)(src.p - src.start)); }

RF_API uint32_t src_left(void) { return (uint32_t)(src.end - src.p); }

RF_API void src_open(rf_str in) {
    src.start = src.p = (const uint8_t *)in.p;
    src.end = src.p + in.n;
}

RF_API bool put_int(bool quoted, bool negative, uint64_t v) {
    char buf[24];
    uint32_t n = 24;
    if (quoted) buf[--n] = '"';
    do {
        buf[--n] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    if (negative) buf[--n] = '-';
    if (quoted) buf[--n] = '"';
    return put(buf + n, 24 - n);
}

RF_API bool put_double(double v) {
    char buf[32];
    if ((bits_of(v) >> 52 & 0x7ff) != 0x7ff) return put_str(write_double(v, buf));
    if (null_for_nan) return put_str(RF_STR("null"));
    return src_failed("a number that is not finite");
}

/* put_chars writes the next n bytes of src as the inside of a string. */
RF_API bool put_chars(uint64_t n) {
    if (n > src_left()) return src_failed("a string does not end");
    const uint8_t *p = src.p, *end = p + n;
    static const char hex[] = "0123456789abcdef";
    if (!room((uint32_t)n + 2)) return false;
    while (p < end) {
        uint8_t c = *p;
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            const uint8_t *run = p;
            while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
            if (!put(run, (uint32_t)(p - run))) return false;
            continue;
        }
        if (c >= 0x80) {
            uint32_t k = utf8_len(p, end);
            if (k == 0) {
                src.p = p;
                return src_failed("a string is not UTF-8");
            }
            if (!put(p, k)) return false;
            p += k;
            continue;
        }
        char e[6] = {'\\', (char)c, '0', '0', hex[c >> 4], hex[c & 15]};
        uint32_t k = 2;
        switch (c) {
        case '"':
        case '\\': break;
        case '\b': e[1] = 'b'; break;
        case '\f': e[1] = 'f'; break;
        case '\n': e[1] = 'n'; break;
        case '\r': e[1] = 'r'; break;
        case '\t': e[1] = 't'; break;
        default: e[1] = 'u'; k = 6;
        }
        if (!put(e, k)) return false;
        p++;
    }
    src.p = end;
    return true;
}

RF_API bool put_string(uint64_t n) { return put1('"') && put_chars(n) && put1('"'); }

/* Bytes on their way to base64, which may come in pieces. */
typedef struct {
    const char *digits;
    bool pad;
    uint32_t bits, have;
} base64;

static const char base64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* put_base64_part writes the next n bytes of src. */
RF_API bool put_base64_part(base64 *b, uint64_t n) {
    if (n > src_left()) return src_failed("a byte string does not end");
    if (n > 0x40000000 || !room(((uint32_t)n + 2) / 3 * 4 + 4)) return failed(no_memory, 0);
    uint8_t *w = out.p + out_n;
    for (const uint8_t *end = src.p + n; src.p < end; src.p++) {
        b->bits = b->bits << 8 | *src.p;
        for (b->have += 8; b->have >= 6;) {
            b->have -= 6;
            *w++ = (uint8_t)b->digits[b->bits >> b->have & 63];
        }
    }
    out_n = (uint32_t)(w - out.p);
    return true;
}

RF_API bool put_base64_end(base64 *b) {
    if (b->have == 0) return true;
    put1((uint8_t)b->digits[b->bits << (6 - b->have) & 63]);
    if (!b->pad) return true;
    return put1('=') && (b->have == 4 || put1('='));
}

RF_API void put_padded(uint32_t v, uint32_t width) {
    char b[10];
    for (uint32_t i = width; i > 0; i--, v /= 10) b[i - 1] = (char)('0' + v % 10);
    put(b, width);
}

/* put_time writes a UTC time of the years 0 to 9999. */
RF_API bool put_time(int64_t sec, uint32_t ns) {
    if (sec < -62167219200 || sec > 253402300799 || ns > 999999999) return src_failed("a timestamp JSON has no form for");
    /* Days since 0000-03-01, so that leap days end a year of 400-year eras. */
    int64_t day = sec / 86400, rest = sec % 86400;
    if (rest < 0) rest += 86400, day--;
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097;
    uint32_t doe = (uint32_t)(day - era * 146097);
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), m = (5 * doy + 2) / 153;
    uint32_t month = m < 10 ? m + 3 : m - 9, dom = doy - (153 * m + 2) / 5 + 1;
    if (!room(40)) return false;
    put1('"');
    put_padded((uint32_t)((int64_t)yoe + era * 400 + (month <= 2)), 4);
    put1('-');
    put_padded(month, 2);
    put1('-');
    put_padded(dom, 2);
    put1('T');
    put_padded((uint32_t)rest / 3600, 2);
    put1(':');
    put_padded((uint32_t)rest / 60 % 60, 2);
    put1(':');
    put_padded((uint32_t)rest % 60, 2);
    if (ns > 0) {
        uint32_t width = 9;
        for (; ns % 10 == 0; width--) ns /= 10;
        put1('.');
        put_padded(ns, width);
    }
    return put(RF_STR("Z\"").p, 2);
}

#endif
