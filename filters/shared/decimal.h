/*
 * Decimal text to double and back, exact in both directions without a C
 * library: text is rounded to the nearest double (ties to even), a double is
 * written with the fewest digits that read back as the same double.
 *
 * Common numbers take a fast path through one exact floating-point operation.
 * The rest is done in decimal: a number is a row of digits that is doubled and
 * halved until its binary exponent is known. That is slow and simple.
 */
#ifndef ROUTER_DECIMAL_H
#define ROUTER_DECIMAL_H

#include "router_filter.h"

/* 768 digits settle every tie between two doubles; more only say "above". */
enum { MAX_DIGITS = 800, MAX_SHIFT = 28 };

/* 0.d[0]d[1]...d[n-1] times ten to the power of `point` */
typedef struct {
    int n, point;
    bool above; /* digits that are not zero were cut off */
    uint8_t d[MAX_DIGITS];
} decimal;

RF_API void decimal_trim(decimal *a) {
    while (a->n > 0 && a->d[a->n - 1] == 0) a->n--;
    if (a->n == 0) a->point = 0;
}

/* decimal_double multiplies by two to the power of k <= MAX_SHIFT. */
RF_API void decimal_double(decimal *a, int k) {
    uint8_t more[16];
    uint64_t carry = 0;
    int extra = 0;
    for (int i = a->n - 1; i >= 0; i--) {
        carry += (uint64_t)a->d[i] << k;
        a->d[i] = (uint8_t)(carry % 10);
        carry /= 10;
    }
    for (; carry > 0; carry /= 10) more[extra++] = (uint8_t)(carry % 10);
    if (extra == 0) {
        decimal_trim(a);
        return;
    }
    int keep = a->n + extra > MAX_DIGITS ? MAX_DIGITS - extra : a->n;
    for (int i = keep; i < a->n; i++) a->above |= a->d[i] != 0;
    for (int i = keep - 1; i >= 0; i--) a->d[i + extra] = a->d[i];
    for (int i = 0; i < extra; i++) a->d[i] = more[extra - 1 - i];
    a->n = keep + extra;
    a->point += extra;
    decimal_trim(a);
}

/* decimal_halve divides by two to the power of k <= MAX_SHIFT. */
RF_API void decimal_halve(decimal *a, int k) {
    uint64_t rest = 0, mask = ((uint64_t)1 << k) - 1;
    int read = 0, write = 0;
    while (rest >> k == 0) {
        if (read >= a->n && rest == 0) {
            a->n = 0;
            decimal_trim(a);
            return;
        }
        rest = rest * 10 + (read < a->n ? a->d[read] : 0);
        read++;
    }
    a->point -= read - 1;
    for (; read < a->n || rest > 0; read++) {
        uint8_t digit = (uint8_t)(rest >> k);
        rest &= mask;
        if (write < MAX_DIGITS)
            a->d[write++] = digit;
        else
            a->above |= digit != 0;
        rest = rest * 10 + (read < a->n ? a->d[read] : 0);
    }
    a->n = write;
    decimal_trim(a);
}

RF_API void decimal_shift(decimal *a, int k) {
    for (; k > MAX_SHIFT; k -= MAX_SHIFT) decimal_double(a, MAX_SHIFT);
    for (; k < -MAX_SHIFT; k += MAX_SHIFT) decimal_halve(a, MAX_SHIFT);
    if (k > 0) decimal_double(a, k);
    if (k < 0) decimal_halve(a, -k);
}

/* rounds_up says which way the number goes when cut to its first n digits. */
RF_API bool rounds_up(const decimal *a, int n) {
    if (n < 0 || n >= a->n) return false;
    if (a->d[n] == 5 && n + 1 == a->n) {
        if (a->above) return true;
        return n > 0 && (a->d[n - 1] & 1) != 0;
    }
    return a->d[n] >= 5;
}

/* decimal_cut rounds to at most n digits. */
RF_API void decimal_cut(decimal *a, int n) {
    if (n >= a->n) return;
    bool up = rounds_up(a, n);
    a->n = n;
    if (up) {
        while (n > 0 && a->d[n - 1] == 9) n--;
        if (n == 0) {
            a->d[n++] = 1;
            a->point++;
        } else {
            a->d[n - 1]++;
        }
        a->n = n;
    }
    decimal_trim(a);
}

/* decimal_integer returns the number rounded to an integer below 2^64. */
RF_API uint64_t decimal_integer(const decimal *a) {
    uint64_t v = 0;
    for (int i = 0; i < a->point; i++) v = v * 10 + (i < a->n ? a->d[i] : 0);
    return v + rounds_up(a, a->point);
}

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                       1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

RF_API double double_of(uint64_t bits) {
    double v;
    __builtin_memcpy(&v, &bits, 8);
    return v;
}

RF_API uint64_t bits_of(double v) {
    uint64_t bits;
    __builtin_memcpy(&bits, &v, 8);
    return bits;
}

/* decimal_to_double uses a up. False when the number is too big. */
RF_API bool decimal_to_double(decimal *a, double *out) {
    *out = 0;
    if (a->n == 0 || a->point < -330) return true;
    if (a->point > 310) return false;
    int exp = 0;
    /* Bring the number into [0.5, 1). */
    while (a->point > 0) {
        int k = a->point > 8 ? MAX_SHIFT : a->point == 1 ? 1 : 3 * (a->point - 1);
        decimal_halve(a, k);
        exp += k;
    }
    while (a->point < 0 || (a->point == 0 && a->d[0] < 5)) {
        int k = a->point < -8 ? MAX_SHIFT : a->point == 0 ? 1 : -3 * a->point;
        decimal_double(a, k);
        exp -= k;
    }
    exp--; /* [1, 2) */
    if (exp < -1022) {
        decimal_shift(a, exp + 1022);
        exp = -1022;
    }
    if (exp > 1023) return false;
    decimal_shift(a, 53);
    uint64_t m = decimal_integer(a);
    if (m == (uint64_t)1 << 53) {
        m >>= 1;
        if (++exp > 1023) return false;
    }
    uint64_t biased = (m & (uint64_t)1 << 52) ? (uint64_t)(exp + 1023) : 0;
    *out = double_of((m & (((uint64_t)1 << 52) - 1)) | biased << 52);
    return true;
}

/* read_double reads a number that is well-formed JSON. */
RF_API bool read_double(rf_str text, double *out) {
    static decimal a;
    const char *p = text.p, *end = p + text.n;
    bool negative = *p == '-', seen_point = false;
    uint64_t m = 0;
    int exp = 0, digits = 0;
    if (negative) p++;
    a.n = a.point = 0;
    a.above = false;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            seen_point = true;
            continue;
        }
        if (a.n > 0 || *p != '0') {
            uint8_t c = (uint8_t)(*p - '0');
            if (digits++ < 19) m = m * 10 + c;
            if (a.n < MAX_DIGITS)
                a.d[a.n++] = c;
            else
                a.above |= c != 0;
            if (!seen_point) a.point++;
        } else if (seen_point) {
            a.point--;
        }
    }
    if (p < end) {
        bool minus = *++p == '-';
        if (*p == '-' || *p == '+') p++;
        for (; p < end; p++)
            if (exp < 100000) exp = exp * 10 + (*p - '0');
        if (minus) exp = -exp;
    }
    a.point += exp;
    double v;
    int scale = a.point - digits;
    if (m == 0) {
        v = 0;
    } else if (digits <= 19 && m <= (uint64_t)1 << 53 && scale >= -22 && scale <= 22) {
        v = scale < 0 ? (double)m / powers_of_ten[-scale] : (double)m * powers_of_ten[scale];
    } else {
        decimal_trim(&a);
        if (!decimal_to_double(&a, &v)) return false;
    }
    *out = negative ? -v : v;
    return true;
}

RF_API void decimal_set(decimal *a, uint64_t m, int exp) {
    uint8_t tmp[20];
    int n = 0;
    a->n = 0;
    a->above = false;
    for (; m > 0; m /= 10) tmp[n++] = (uint8_t)(m % 10);
    while (n > 0) a->d[a->n++] = tmp[--n];
    a->point = a->n;
    decimal_trim(a);
    decimal_shift(a, exp);
}

/* shortest cuts a, the exact value of v, to the fewest digits that read back as
   v: 17 always do, and mostly no fewer than 15. What n digits cannot do, fewer
   cannot either, but for a power of two: the gap to the double below it is half
   as wide as the one above, so that the nearest n digits may be too low where
   fewer, farther up, are not. */
RF_API void shortest(decimal *a, double v) {
    static decimal best, tried, used;
    best = *a;
    decimal_cut(&best, 17);
    for (int n = 16; n > 0; n--) {
        double back;
        tried = *a;
        decimal_cut(&tried, n);
        used = tried;
        if (decimal_to_double(&used, &back) && back == v)
            best = tried;
        else if ((bits_of(v) << 12) != 0 || n < 15)
            break;
    }
    *a = best;
}

/* few_digits finds up to 15 digits by trying powers of ten: m / 10^k is the
   nearest double to that decimal, so if it is v, the decimal reads back as v. */
RF_API bool few_digits(decimal *a, double v) {
    if (v < 1e-7 || v >= 1e15) return false;
    for (int k = 0; k <= 21; k++) {
        double scaled = v * powers_of_ten[k];
        if (scaled >= 1e15) return false;
        uint64_t m = (uint64_t)(scaled + 0.5);
        if ((double)m / powers_of_ten[k] != v) continue;
        decimal_set(a, m, 0);
        a->point -= k;
        return true;
    }
    return false;
}

/* write_double writes a finite number to buf, which holds at least 32 bytes:
   plain from 1e-6 up to 1e21, else with an exponent, always so that it reads as
   a float again. */
RF_API rf_str write_double(double v, char *buf) {
    static decimal a;
    uint64_t bits = bits_of(v);
    uint32_t n = 0;
    if (bits >> 63) {
        buf[n++] = '-';
        v = -v;
    }
    if (v == 0) {
        __builtin_memcpy(buf + n, "0.0", 3);
        return rf_slice(buf, n + 3);
    }
    if (!few_digits(&a, v)) {
        uint64_t m = bits & (((uint64_t)1 << 52) - 1);
        int exp = (int)(bits >> 52 & 0x7ff);
        if (exp == 0)
            exp = 1;
        else
            m |= (uint64_t)1 << 52;
        decimal_set(&a, m, exp - 1075);
        shortest(&a, v);
    }
    int i = 0;
    if (a.point > 21 || a.point < -5) {
        buf[n++] = (char)('0' + a.d[i++]);
        if (a.n > 1) buf[n++] = '.';
        while (i < a.n) buf[n++] = (char)('0' + a.d[i++]);
        buf[n++] = 'e';
        char tmp[20];
        rf_str e = rf_decimal(a.point - 1, tmp);
        __builtin_memcpy(buf + n, tmp, e.n);
        return rf_slice(buf, n + e.n);
    }
    if (a.point <= 0) buf[n++] = '0';
    for (; i < a.point; i++) buf[n++] = (char)('0' + (i < a.n ? a.d[i] : 0));
    buf[n++] = '.';
    for (int zero = a.point; zero < 0; zero++) buf[n++] = '0';
    if (i >= a.n) buf[n++] = '0';
    while (i < a.n) buf[n++] = (char)('0' + a.d[i++]);
    return rf_slice(buf, n);
}

#endif
