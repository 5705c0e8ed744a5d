/* Masks the numbers of payment cards, wherever in a body they stand: 13 to 19
   digits, with single spaces or hyphens between them, whose check digit is right.
   The last four digits stay. */
#include "sdk/router_filter.h"
RF_NEEDS(RF_NEED_BODY | RF_STATELESS)

enum { FEWEST = 13, MOST = 19, SHOWN = 4 };

static bool digit(char c) { return c >= '0' && c <= '9'; }

/* number returns how many bytes from p on are a card's number, or 0, and tells how
   many digits they have. */
static uint32_t number(const char *p, const char *end, uint32_t *digits) {
    const char *q = p, *last = p;
    uint32_t n = 0, sum[2] = {0, 0};
    for (; q < end; q++) {
        if (!digit(*q)) {
            if ((*q != ' ' && *q != '-') || q + 1 == end || !digit(q[1])) break;
            continue;
        }
        uint32_t v = (uint32_t)(*q - '0'), twice = 2 * v > 9 ? 2 * v - 9 : 2 * v;
        /* Every second digit counts double, from the right: which ones shows at the
           end, so both sums are kept. */
        sum[n & 1] += v;
        sum[!(n & 1)] += twice;
        n++;
        last = q;
    }
    *digits = n;
    if (n < FEWEST || n > MOST) return (uint32_t)(last + 1 - p) | 1u << 31;
    /* The last digit, with index n-1, is not doubled. */
    return (uint32_t)(last + 1 - p) | (sum[(n - 1) & 1] % 10 == 0 ? 0 : 1u << 31);
}

RF_STAGE(unpack, msg, out) {
    static rf_buf copy;
    rf_str body = rf_body(msg);
    const char *end = body.p + body.n;
    int64_t masked = 0;
    bool text = false, escaped = false; /* inside of a JSON string */
    for (const char *p = body.p; p < end;) {
        if (!digit(*p)) {
            if (*p == '"' && !escaped) text = !text;
            escaped = *p == '\\' && !escaped;
            p++;
            continue;
        }
        escaped = false;
        uint32_t digits, n = number(p, end, &digits);
        bool card = n >> 31 == 0;
        n &= ~(1u << 31);
        if (card) {
            if (masked++ == 0) {
                if (!rf_reserve(&copy, body.n)) return rf_error(out, RF_STR("memory"), RF_STR("the body is too large"));
                __builtin_memcpy(copy.p, body.p, body.n);
            }
            uint8_t *to = copy.p + (p - body.p);
            for (uint32_t i = 0, seen = 0; i < n; i++) {
                /* A number that is none of a text has to stay a number. */
                if (digit(p[i]) && seen++ < digits - SHOWN) to[i] = text ? '*' : '9';
            }
        }
        p += n;
    }
    if (masked == 0) return;
    rf_set_body_ref(out, rf_slice(copy.p, body.n));
    rf_set_header_i64(out, RF_STR("cards-masked"), masked);
}
