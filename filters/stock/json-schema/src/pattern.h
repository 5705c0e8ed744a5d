/*
 * Regular expressions: those of ECMA-262 without back references, assertions
 * other than ^ and $, and properties, which are refused. A text is matched in
 * one walk that follows all ways at once, so that no text takes longer than its
 * length times the size of the pattern.
 */
#ifndef PATTERN_H
#define PATTERN_H

#include "router_filter.h"

typedef enum { OP_CHAR, OP_CLASS, OP_NOT_CLASS, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH } op_code;

/* Where an op leads is written as a distance, so that blocks can be moved. */
typedef struct {
    op_code code;
    int32_t x, y; /* the character; or first and count of ranges; or distances */
} op;

typedef struct {
    uint32_t low, high;
} range;

enum { MAX_OPS = 2000, MAX_RANGES = 1000, MAX_GROUPS = 32, MAX_REPEAT = 1000 };

typedef struct {
    const op *ops;
    uint32_t n;
    const range *ranges;
} pattern;

/* What is being compiled. */
static struct {
    const char *p, *end;
    op ops[MAX_OPS], block[MAX_OPS];
    range ranges[MAX_RANGES];
    uint32_t n, n_ranges;
    const char *why; /* it is refused, or NULL */
} re;

static bool re_fail(const char *why) {
    if (re.why == NULL) re.why = why;
    return false;
}

static bool re_emit(op_code code, int32_t x, int32_t y) {
    if (re.n == MAX_OPS) return re_fail("the pattern is too large");
    re.ops[re.n++] = (op){code, x, y};
    return true;
}

/* re_insert puts an op before the block that begins at `at`. */
static bool re_insert(uint32_t at, op_code code, int32_t x, int32_t y) {
    if (!re_emit(code, x, y)) return false;
    op moved = re.ops[re.n - 1];
    for (uint32_t i = re.n - 1; i > at; i--) re.ops[i] = re.ops[i - 1];
    re.ops[at] = moved;
    return true;
}

static bool re_range(uint32_t low, uint32_t high) {
    if (re.n_ranges == MAX_RANGES) return re_fail("the pattern is too large");
    if (low <= high) re.ranges[re.n_ranges++] = (range){low, high};
    return true;
}

static bool re_more(char c) {
    if (re.p >= re.end || *re.p != c) return false;
    re.p++;
    return true;
}

/* next_char reads one character of UTF-8. */
static uint32_t next_char(const char **at) {
    const uint8_t *p = (const uint8_t *)*at;
    uint32_t c = *p, n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (n > 1) c &= 0x7fu >> n;
    for (uint32_t i = 1; i < n; i++) c = c << 6 | (p[i] & 0x3f);
    *at += n;
    return c;
}

/* The classes \d, \w and \s, and what the dot leaves out, in ascending order. */
static const range digit_class[] = {{'0', '9'}};
static const range word_class[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
static const range space_class[] = {{9, 13},           {32, 32},         {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029},
                                    {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
static const range line_class[] = {{10, 10}, {13, 13}, {0x2028, 0x2029}};

static bool re_class(const range *r, uint32_t n, bool negated) {
    uint32_t low = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(negated ? r[i].low == 0 || re_range(low, r[i].low - 1) : re_range(r[i].low, r[i].high))) return false;
        low = r[i].high + 1;
    }
    return !negated || re_range(low, 0x10ffff);
}

/* re_hex reads n hexadecimal digits. */
static bool re_hex(uint32_t n, uint32_t *c) {
    *c = 0;
    for (uint32_t i = 0; i < n; i++, re.p++) {
        if (re.p >= re.end) return re_fail("an escape does not end");
        char lower = *re.p | 0x20;
        bool digit = *re.p >= '0' && *re.p <= '9';
        if (!digit && (lower < 'a' || lower > 'f')) return re_fail("an escape without its hexadecimal digits");
        *c = *c << 4 | (uint32_t)(digit ? *re.p - '0' : lower - 'a' + 10);
    }
    return true;
}

/* re_escape reads what follows a backslash: a class, whose ranges are added, or
   one character. */
static bool re_escape(bool *is_class, uint32_t *c) {
    *is_class = false;
    if (re.p >= re.end) return re_fail("a backslash at the end");
    *c = next_char(&re.p);
    uint32_t low;
    switch (*c) {
    case 'd':
    case 'D': *is_class = true; return re_class(digit_class, 1, *c == 'D');
    case 'w':
    case 'W': *is_class = true; return re_class(word_class, 4, *c == 'W');
    case 's':
    case 'S': *is_class = true; return re_class(space_class, 10, *c == 'S');
    case 't': *c = 9; return true;
    case 'n': *c = 10; return true;
    case 'v': *c = 11; return true;
    case 'f': *c = 12; return true;
    case 'r': *c = 13; return true;
    case 'x': return re_hex(2, c);
    case 'u':
        if (!re_hex(4, c)) return false;
        if (*c < 0xd800 || *c > 0xdfff) return true;
        if (*c < 0xdc00 && re_more('\\') && re_more('u') && re_hex(4, &low) && low >= 0xdc00 && low <= 0xdfff) {
            *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
            return true;
        }
        return re_fail("a surrogate without its partner");
    }
    if (*c < 0x80 && ((*c >= '0' && *c <= '9') || ((*c | 0x20) >= 'a' && (*c | 0x20) <= 'z')))
        return re_fail("an escape that is not supported: back references, \\b, \\B, \\p, \\P, \\k, \\c and \\0 are not");
    return true;
}

/* re_set reads a class behind its bracket. */
static bool re_set(void) {
    bool negated = re_more('^'), is_class, ends_class;
    uint32_t first = re.n_ranges, low, high;
    while (!re_more(']')) {
        if (re.p >= re.end) return re_fail("a class does not end");
        is_class = false;
        if (re_more('\\')) {
            if (re.p < re.end && *re.p == 'b') {
                re.p++;
                low = 8;
            } else if (!re_escape(&is_class, &low)) {
                return false;
            }
        } else {
            low = next_char(&re.p);
        }
        if (re.end - re.p < 2 || re.p[0] != '-' || re.p[1] == ']') {
            if (!is_class && !re_range(low, low)) return false;
            continue;
        }
        re.p++;
        ends_class = false;
        if (!re_more('\\'))
            high = next_char(&re.p);
        else if (!re_escape(&ends_class, &high))
            return false;
        if (is_class || ends_class || high < low) return re_fail("a range whose ends are the wrong way round");
        if (!re_range(low, high)) return false;
    }
    return re_emit(negated ? OP_NOT_CLASS : OP_CLASS, (int32_t)first, (int32_t)(re.n_ranges - first));
}

static bool re_alternatives(uint32_t depth);

static bool re_atom(uint32_t depth, bool *assertion) {
    bool is_class;
    uint32_t c, first = re.n_ranges;
    *assertion = false;
    c = next_char(&re.p);
    switch (c) {
    case '^': *assertion = true; return re_emit(OP_BEGIN, 0, 0);
    case '$': *assertion = true; return re_emit(OP_END, 0, 0);
    case '.':
        if (!re_class(line_class, 3, false)) return false;
        return re_emit(OP_NOT_CLASS, (int32_t)first, (int32_t)(re.n_ranges - first));
    case '[': return re_set();
    case '(':
        if (re_more('?') && !re_more(':')) return re_fail("a group that is not supported: look-ahead, look-behind and names are not");
        if (depth == MAX_GROUPS) return re_fail("groups nested too deep");
        if (!re_alternatives(depth + 1)) return false;
        return re_more(')') || re_fail("a group does not end");
    case '\\':
        if (!re_escape(&is_class, &c)) return false;
        if (is_class) return re_emit(OP_CLASS, (int32_t)first, (int32_t)(re.n_ranges - first));
        break;
    case '*':
    case '+':
    case '?':
    case '{': return re_fail("nothing to repeat");
    case '}':
    case ']': return re_fail("a bracket without its partner");
    }
    return re_emit(OP_CHAR, (int32_t)c, 0);
}

static bool re_count(uint32_t *n) {
    const char *start = re.p;
    *n = 0;
    for (; re.p < re.end && *re.p >= '0' && *re.p <= '9'; re.p++) {
        *n = *n * 10 + (uint32_t)(*re.p - '0');
        if (*n > MAX_REPEAT) return re_fail("more than 1000 repetitions");
    }
    return re.p > start || re_fail("a repetition without a number");
}

/* re_repeat reads the quantifier behind the block that begins at `at`, and
   repeats the block. */
static bool re_repeat(uint32_t at) {
    uint32_t least = 0, most = UINT32_MAX, size = re.n - at;
    if (re_more('+')) {
        least = 1;
    } else if (re_more('?')) {
        most = 1;
    } else if (re_more('{')) {
        if (!re_count(&least)) return false;
        most = least;
        if (re_more(',')) {
            most = UINT32_MAX;
            if (re.p < re.end && *re.p != '}' && !re_count(&most)) return false;
        }
        if (!re_more('}')) return re_fail("a repetition does not end");
        if (most < least) return re_fail("a repetition whose ends are the wrong way round");
    } else if (!re_more('*')) {
        return true;
    }
    re_more('?'); /* a lazy one matches the same texts */
    if (most == UINT32_MAX && least <= 1)
        return least == 1 ? re_emit(OP_SPLIT, -(int32_t)size, 1) : re_insert(at, OP_SPLIT, 1, (int32_t)size + 2) && re_emit(OP_JUMP, -(int32_t)size - 1, 0);
    for (uint32_t i = 0; i < size; i++) re.block[i] = re.ops[at + i];
    re.n = at;
    for (uint32_t i = 0; i < (most == UINT32_MAX ? least : most); i++) {
        if (i >= least && !re_emit(OP_SPLIT, 1, (int32_t)size + 1)) return false;
        for (uint32_t k = 0; k < size; k++)
            if (!re_emit(re.block[k].code, re.block[k].x, re.block[k].y)) return false;
    }
    return most != UINT32_MAX || re_emit(OP_SPLIT, -(int32_t)size, 1);
}

static bool re_alternatives(uint32_t depth) {
    uint32_t last = UINT32_MAX; /* of the jumps to the end, each of which knows the one before */
    bool assertion;
    for (;;) {
        uint32_t start = re.n;
        while (re.p < re.end && *re.p != '|' && *re.p != ')') {
            uint32_t at = re.n;
            if (!re_atom(depth, &assertion)) return false;
            if (assertion) continue;
            if (!re_repeat(at)) return false;
        }
        if (!re_more('|')) break;
        if (!re_insert(start, OP_SPLIT, 1, (int32_t)(re.n - start) + 2)) return false;
        if (!re_emit(OP_JUMP, (int32_t)last, 0)) return false;
        last = re.n - 1;
    }
    while (last != UINT32_MAX) {
        uint32_t before = (uint32_t)re.ops[last].x;
        re.ops[last].x = (int32_t)(re.n - last);
        last = before;
    }
    return true;
}

/* pattern_compile compiles a pattern that is UTF-8; false with re.why. */
static bool pattern_compile(rf_str text, pattern *out) {
    re.p = text.p;
    re.end = text.p + text.n;
    re.n = re.n_ranges = 0;
    re.why = NULL;
    if (!re_alternatives(0)) return false;
    if (re.p < re.end) return re_fail("a bracket without its partner");
    if (!re_emit(OP_MATCH, 0, 0)) return false;
    op *ops = rf_alloc(re.n * (uint32_t)sizeof(op));
    range *ranges = rf_alloc(re.n_ranges * (uint32_t)sizeof(range));
    if (ops == NULL || ranges == NULL) return re_fail("out of memory");
    __builtin_memcpy(ops, re.ops, re.n * sizeof(op));
    __builtin_memcpy(ranges, re.ranges, re.n_ranges * sizeof(range));
    *out = (pattern){ops, re.n, ranges};
    return true;
}

/* ---- matching --------------------------------------------------------- */

/* The ways that are followed: ops that wait for a character. */
typedef struct {
    uint32_t n;
    uint16_t at[MAX_OPS];
} ways;

static ways here, next;
static uint64_t visited[MAX_OPS], visit; /* the walk in which an op was seen last */
static uint16_t pending[2 * MAX_OPS + 1];

/* follow adds what can be reached from an op without a character; true when that
   is the end of the pattern. */
static bool follow(const pattern *re_, ways *w, uint32_t from, bool begin, bool end) {
    uint32_t n = 0;
    pending[n++] = (uint16_t)from;
    while (n > 0) {
        uint32_t at = pending[--n];
        if (visited[at] == visit) continue;
        visited[at] = visit;
        const op *o = &re_->ops[at];
        switch (o->code) {
        case OP_MATCH: return true;
        case OP_SPLIT:
            pending[n++] = (uint16_t)(at + (uint32_t)o->y);
            pending[n++] = (uint16_t)(at + (uint32_t)o->x);
            break;
        case OP_JUMP: pending[n++] = (uint16_t)(at + (uint32_t)o->x); break;
        case OP_BEGIN:
            if (begin) pending[n++] = (uint16_t)(at + 1);
            break;
        case OP_END:
            if (end) pending[n++] = (uint16_t)(at + 1);
            break;
        default: w->at[w->n++] = (uint16_t)at;
        }
    }
    return false;
}

static bool takes(const pattern *re_, const op *o, uint32_t c) {
    if (o->code == OP_CHAR) return c == (uint32_t)o->x;
    const range *r = re_->ranges + o->x;
    bool in = false;
    for (int32_t i = 0; i < o->y && !in; i++) in = c >= r[i].low && c <= r[i].high;
    return in == (o->code == OP_CLASS);
}

/* pattern_matches looks for the pattern anywhere in a text that is UTF-8. */
static bool pattern_matches(const pattern *re_, rf_str text) {
    const char *p = text.p, *end = p + text.n;
    visit++;
    here.n = 0;
    if (follow(re_, &here, 0, true, p == end)) return true;
    while (p < end) {
        uint32_t c = next_char(&p);
        visit++;
        next.n = 0;
        for (uint32_t i = 0; i < here.n; i++)
            if (takes(re_, &re_->ops[here.at[i]], c) && follow(re_, &next, here.at[i] + 1u, false, p == end)) return true;
        if (follow(re_, &next, 0, false, p == end)) return true;
        here.n = next.n;
        __builtin_memcpy(here.at, next.at, next.n * sizeof *next.at);
        if (here.n == 0 && re_->ops[0].code == OP_BEGIN) return false;
    }
    return false;
}

#endif
