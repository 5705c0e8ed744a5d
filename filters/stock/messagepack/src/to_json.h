/*
 * MessagePack to JSON. Byte strings become base64, timestamps RFC 3339; integer
 * map keys become strings. What JSON cannot say is an error.
 */
#ifndef TO_JSON_H
#define TO_JSON_H

#include "convert.h"
#include "decimal.h"

static struct {
    const uint8_t *start, *p, *end;
} mp;

static bool null_for_nan;

static bool mp_failed(const char *why) { return failed(why, (uint32_t)(mp.p - mp.start)); }

static uint32_t mp_left(void) { return (uint32_t)(mp.end - mp.p); }

/* take_be reads a big-endian number of size bytes behind the type byte, and
   steps behind it. */
static bool take_be(uint32_t size, uint64_t *v) {
    if (mp_left() < 1 + size) return mp_failed("the value does not end");
    *v = 0;
    for (uint32_t i = 1; i <= size; i++) *v = *v << 8 | mp.p[i];
    mp.p += 1 + size;
    return true;
}

static bool put_int(bool quoted, bool negative, uint64_t v) {
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

static bool put_signed(bool quoted, uint64_t v, uint32_t size) {
    int64_t s = (int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size);
    return put_int(quoted, s < 0, s < 0 ? 0 - (uint64_t)s : (uint64_t)s);
}

static bool put_double(double v) {
    char buf[32];
    if ((bits_of(v) >> 52 & 0x7ff) != 0x7ff) return put_str(write_double(v, buf));
    if (null_for_nan) return put_str(RF_STR("null"));
    return mp_failed("a number that is not finite");
}

static bool put_string(uint64_t n) {
    if (n > mp_left()) return mp_failed("a string does not end");
    const uint8_t *p = mp.p, *end = p + n;
    static const char hex[] = "0123456789abcdef";
    if (!room((uint32_t)n + 2)) return false;
    put1('"');
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
                mp.p = p;
                return mp_failed("a string is not UTF-8");
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
    mp.p = end;
    return put1('"');
}

static bool put_base64(uint64_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if (n > mp_left()) return mp_failed("a byte string does not end");
    if (n > 0x40000000 || !room(((uint32_t)n + 2) / 3 * 4 + 2)) return failed(no_memory, 0);
    put1('"');
    for (uint32_t i = 0; i < n; i += 3) {
        uint32_t left = (uint32_t)n - i, v = (uint32_t)mp.p[i] << 16;
        if (left > 1) v |= (uint32_t)mp.p[i + 1] << 8;
        if (left > 2) v |= mp.p[i + 2];
        put1((uint8_t)digits[v >> 18]);
        put1((uint8_t)digits[v >> 12 & 63]);
        put1(left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=');
        put1(left > 2 ? (uint8_t)digits[v & 63] : '=');
    }
    mp.p += n;
    return put1('"');
}

static void put_padded(uint32_t v, uint32_t width) {
    char b[10];
    for (uint32_t i = width; i > 0; i--, v /= 10) b[i - 1] = (char)('0' + v % 10);
    put(b, width);
}

/* put_time writes a UTC time of the years 0 to 9999. */
static bool put_time(int64_t sec, uint32_t ns) {
    if (sec < -62167219200 || sec > 253402300799 || ns > 999999999) return mp_failed("a timestamp JSON has no form for");
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

/* write_ext handles the one extension with a meaning of its own: type -1 is a
   timestamp of 4, 8 or 12 bytes. */
static bool write_ext(uint64_t n) {
    if (n + 1 > mp_left()) return mp_failed("an extension does not end");
    const uint8_t *p = mp.p;
    if ((int8_t)p[0] != -1 || (n != 4 && n != 8 && n != 12)) return mp_failed("an extension type that is not known");
    uint64_t v = 0;
    uint32_t ns = 0;
    for (uint32_t i = n == 12 ? 5 : 1; i <= n; i++) v = v << 8 | p[i];
    if (n == 12)
        for (uint32_t i = 1; i < 5; i++) ns = ns << 8 | p[i];
    if (n == 8) {
        ns = (uint32_t)(v >> 34);
        v &= ((uint64_t)1 << 34) - 1;
    }
    if (!put_time((int64_t)v, ns)) return false;
    mp.p += 1 + n;
    return true;
}

static bool write_value(int depth, bool key);

static bool write_members(bool map, uint64_t n, int depth) {
    if (depth == MAX_DEPTH) return mp_failed("nested too deep");
    if (n > mp_left()) return mp_failed("a map or array does not end");
    if (!put1(map ? '{' : '[')) return false;
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0 && !put1(',')) return false;
        if (map && (!write_value(depth + 1, true) || !put1(':'))) return false;
        if (!write_value(depth + 1, false)) return false;
    }
    return put1(map ? '}' : ']');
}

/* write_value writes one value; as a map's key only strings and integers. */
static bool write_value(int depth, bool key) {
    if (mp_left() == 0) return mp_failed("a value is missing");
    uint8_t c = *mp.p;
    uint64_t v;
    if (c < 0x80) {
        mp.p++;
        return put_int(key, false, c);
    }
    if (c >= 0xe0) {
        mp.p++;
        return put_int(key, true, (uint64_t)(0x100 - c));
    }
    if (c >= 0xa0 && c < 0xc0) {
        mp.p++;
        return put_string(c & 31);
    }
    switch (c) {
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: return take_be(1u << (c - 0xcc), &v) && put_int(key, false, v);
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: return take_be(1u << (c - 0xd0), &v) && put_signed(key, v, 1u << (c - 0xd0));
    case 0xd9:
    case 0xda:
    case 0xdb: return take_be(1u << (c - 0xd9), &v) && put_string(v);
    }
    if (key) return mp_failed("a map's key is neither a string nor an integer");
    if (c < 0xa0) {
        mp.p++;
        return write_members(c < 0x90, c & 15, depth);
    }
    const uint8_t *at = mp.p;
    switch (c) {
    case 0xc0: mp.p++; return put_str(RF_STR("null"));
    case 0xc2: mp.p++; return put_str(RF_STR("false"));
    case 0xc3: mp.p++; return put_str(RF_STR("true"));
    case 0xc4:
    case 0xc5:
    case 0xc6: return take_be(1u << (c - 0xc4), &v) && put_base64(v);
    case 0xca: {
        float f;
        uint32_t bits;
        if (!take_be(4, &v)) return false;
        bits = (uint32_t)v;
        __builtin_memcpy(&f, &bits, 4);
        mp.p = at;
        if (!put_double((double)f)) return false;
        mp.p = at + 5;
        return true;
    }
    case 0xcb:
        if (!take_be(8, &v)) return false;
        mp.p = at;
        if (!put_double(double_of(v))) return false;
        mp.p = at + 9;
        return true;
    case 0xc7:
    case 0xc8:
    case 0xc9: return take_be(1u << (c - 0xc7), &v) && write_ext(v);
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: mp.p++; return write_ext(1u << (c - 0xd4));
    case 0xdc:
    case 0xdd: return take_be(2u << (c - 0xdc), &v) && write_members(false, v, depth);
    case 0xde:
    case 0xdf: return take_be(2u << (c - 0xde), &v) && write_members(true, v, depth);
    }
    return mp_failed("the byte c1 begins no value");
}

static bool msgpack_to_json(rf_str in) {
    mp.start = mp.p = (const uint8_t *)in.p;
    mp.end = mp.p + in.n;
    if (!write_value(0, false)) return false;
    if (mp.p != mp.end) return mp_failed("something follows the value");
    return true;
}

#endif
