/*
 * A reader for JSON fields that allocates nothing and reads no further than the
 * field that was asked for. It finds values; it is no validator: what lies
 * behind the field, and the inside of what is skipped, is not checked. Of
 * members with the same name the first counts. Included by router_filter.h.
 */
#ifndef ROUTER_JSON_H
#define ROUTER_JSON_H

/* What a look-up found. */
enum { RF_FOUND = 1, RF_ABSENT = 0, RF_BAD_JSON = -1 };

typedef enum {
    RF_JSON_OBJECT = '{',
    RF_JSON_ARRAY = '[',
    RF_JSON_STRING = '"',
    RF_JSON_NUMBER = '0',
    RF_JSON_TRUE = 't',
    RF_JSON_FALSE = 'f',
    RF_JSON_NULL = 'n',
} rf_json_kind;

typedef struct {
    rf_json_kind kind;
    bool escaped; /* a string that holds escapes: see rf_json_text */
    rf_str text;  /* without a string's quotes */
} rf_value;

RF_API const char *rf_json_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

/* rf_json_string reads a string whose opening quote lies before p and returns
   the place behind the closing one, or NULL. Eight bytes are looked at in one
   step while none of them is a quote or a backslash. */
RF_API const char *rf_json_string(const char *p, const char *end, rf_str *text, bool *escaped) {
    const char *start = p;
    const uint64_t ones = 0x0101010101010101ull, highs = 0x8080808080808080ull;
    bool esc = false;
    for (;;) {
        while (end - p >= 8) {
            uint64_t w, q, b;
            __builtin_memcpy(&w, p, 8);
            q = w ^ (ones * '"');
            b = w ^ (ones * '\\');
            uint64_t hit = (((q - ones) & ~q) | ((b - ones) & ~b)) & highs;
            if (hit != 0) {
                p += (uint32_t)__builtin_ctzll(hit) >> 3;
                break;
            }
            p += 8;
        }
        if (p >= end) return NULL;
        if (*p == '"') break;
        if (*p == '\\') {
            esc = true;
            p++;
        }
        p++;
    }
    *text = rf_slice(start, (uint32_t)(p - start));
    *escaped = esc;
    return p + 1;
}

/* rf_json_value reads the value at p (no white space before it) and returns
   the place behind it, or NULL. */
RF_API const char *rf_json_value(const char *p, const char *end, rf_value *v) {
    const char *start = p;
    if (p >= end) return NULL;
    v->escaped = false;
    switch (*p) {
    case '"':
        v->kind = RF_JSON_STRING;
        return rf_json_string(p + 1, end, &v->text, &v->escaped);
    case '{':
    case '[': {
        v->kind = (rf_json_kind)*p;
        uint32_t depth = 0;
        while (p < end) {
            char c = *p++;
            if (c == '"') {
                rf_str skipped;
                bool escaped;
                p = rf_json_string(p, end, &skipped, &escaped);
                if (p == NULL) return NULL;
            } else if ((c | 0x20) == '{') { /* { or [ */
                depth++;
            } else if ((c | 0x20) == '}') { /* } or ] */
                if (--depth == 0) {
                    v->text = rf_slice(start, (uint32_t)(p - start));
                    return p;
                }
            }
        }
        return NULL;
    }
    case 't': v->kind = RF_JSON_TRUE; break;
    case 'f': v->kind = RF_JSON_FALSE; break;
    case 'n': v->kind = RF_JSON_NULL; break;
    default:
        if (*p != '-' && (*p < '0' || *p > '9')) return NULL;
        v->kind = RF_JSON_NUMBER;
    }
    while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ' && *p != '\n' && *p != '\r' && *p != '\t') p++;
    v->text = rf_slice(start, (uint32_t)(p - start));
    if (v->kind == RF_JSON_TRUE && !rf_eq(v->text, RF_STR("true"))) return NULL;
    if (v->kind == RF_JSON_FALSE && !rf_eq(v->text, RF_STR("false"))) return NULL;
    if (v->kind == RF_JSON_NULL && !rf_eq(v->text, RF_STR("null"))) return NULL;
    return p;
}

RF_API int32_t rf_hex4(const char *p) {
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int32_t d = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

RF_API uint32_t rf_utf8(uint32_t r, char *out) {
    if (r < 0x80) {
        out[0] = (char)r;
        return 1;
    }
    if (r < 0x800) {
        out[0] = (char)(0xc0 | r >> 6);
        out[1] = (char)(0x80 | (r & 63));
        return 2;
    }
    if (r < 0x10000) {
        out[0] = (char)(0xe0 | r >> 12);
        out[1] = (char)(0x80 | (r >> 6 & 63));
        out[2] = (char)(0x80 | (r & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | r >> 18);
    out[1] = (char)(0x80 | (r >> 12 & 63));
    out[2] = (char)(0x80 | (r >> 6 & 63));
    out[3] = (char)(0x80 | (r & 63));
    return 4;
}

/* rf_json_escape reads the escape behind the backslash at *at and returns its
   code point, or -1. A surrogate without its partner becomes U+FFFD. */
RF_API int32_t rf_json_escape(const char **at, const char *end) {
    const char *p = *at;
    if (p >= end) return -1;
    char c = *p++;
    int32_t r = -1;
    switch (c) {
    case '"':
    case '\\':
    case '/': r = c; break;
    case 'b': r = 8; break;
    case 'f': r = 12; break;
    case 'n': r = 10; break;
    case 'r': r = 13; break;
    case 't': r = 9; break;
    case 'u':
        if (end - p < 4 || (r = rf_hex4(p)) < 0) return -1;
        p += 4;
        if (r < 0xd800 || r > 0xdfff) break;
        if (r < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
            int32_t low = rf_hex4(p + 2);
            if (low >= 0xdc00 && low <= 0xdfff) {
                r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
                p += 6;
                break;
            }
        }
        r = 0xfffd;
        break;
    }
    *at = p;
    return r;
}

/* rf_json_unescape writes a string without its escapes to buf. False when it
   does not fit or an escape is malformed. The result is never longer than the
   text. */
RF_API bool rf_json_unescape(rf_str text, char *buf, uint32_t cap, rf_str *out) {
    const char *p = text.p, *end = p + text.n;
    uint32_t n = 0;
    while (p < end) {
        if (cap - n < 4 && (uint32_t)(end - p) > cap - n) return false;
        if (*p != '\\') {
            buf[n++] = *p++;
            continue;
        }
        char utf8[4];
        p++;
        int32_t r = rf_json_escape(&p, end);
        if (r < 0) return false;
        uint32_t k = rf_utf8((uint32_t)r, utf8);
        if (k > cap - n) return false;
        for (uint32_t i = 0; i < k; i++) buf[n++] = utf8[i];
    }
    *out = rf_slice(buf, n);
    return true;
}

/* rf_json_text returns a scalar's text: a string without escapes (unescaped
   into buf when it has some), a number or boolean as written. False for null,
   objects, arrays and strings that do not fit. */
RF_API bool rf_json_text(rf_value v, char *buf, uint32_t cap, rf_str *out) {
    switch (v.kind) {
    case RF_JSON_STRING:
        if (v.escaped) return rf_json_unescape(v.text, buf, cap, out);
        break;
    case RF_JSON_NUMBER:
    case RF_JSON_TRUE:
    case RF_JSON_FALSE: break;
    default: return false;
    }
    *out = v.text;
    return true;
}

/* rf_json_is compares a string, escapes and all, with text. */
RF_API bool rf_json_is(rf_str s, bool escaped, rf_str text) {
    if (!escaped) return rf_eq(s, text);
    const char *p = s.p, *end = p + s.n;
    uint32_t n = 0;
    while (p < end) {
        char utf8[4];
        uint32_t k = 1;
        utf8[0] = *p++;
        if (utf8[0] == '\\') {
            int32_t r = rf_json_escape(&p, end);
            if (r < 0) return false;
            k = rf_utf8((uint32_t)r, utf8);
        }
        if (k > text.n - n) return false;
        for (uint32_t i = 0; i < k; i++)
            if (utf8[i] != text.p[n++]) return false;
    }
    return n == text.n;
}

/* A walk over the members of an object or the elements of an array. */
typedef struct {
    const char *p, *end;
    bool object, first, bad;
    const char *at; /* where it went wrong */
} rf_json_iter;

RF_API rf_json_iter rf_json_each(rf_value v) {
    rf_json_iter it = {v.text.p + 1, v.text.p + v.text.n, v.kind == RF_JSON_OBJECT, true, false, NULL};
    if (v.kind != RF_JSON_OBJECT && v.kind != RF_JSON_ARRAY) it.p = NULL;
    return it;
}

RF_API bool rf_json_fail(rf_json_iter *it, const char *at) {
    it->bad = true;
    it->at = at;
    return false;
}

/* rf_json_key steps to the next member and reads its name (for an array: to
   the next element). False at the end and on malformed text (it->bad). The
   caller then reads the value at it->p. */
RF_API bool rf_json_key(rf_json_iter *it, rf_str *name, bool *escaped) {
    if (it->p == NULL) return false; /* a scalar has no members */
    it->p = rf_json_space(it->p, it->end);
    if (it->p >= it->end) return rf_json_fail(it, it->p);
    char close = it->object ? '}' : ']';
    if (*it->p == close) return false;
    if (!it->first) {
        if (*it->p != ',') return rf_json_fail(it, it->p);
        it->p = rf_json_space(it->p + 1, it->end);
    }
    it->first = false;
    if (!it->object) return it->p < it->end ? true : rf_json_fail(it, it->p);
    if (it->p >= it->end || *it->p != '"') return rf_json_fail(it, it->p);
    const char *q = rf_json_string(it->p + 1, it->end, name, escaped);
    if (q == NULL) return rf_json_fail(it, it->p);
    q = rf_json_space(q, it->end);
    if (q >= it->end || *q != ':') return rf_json_fail(it, q);
    it->p = rf_json_space(q + 1, it->end);
    return true;
}

/* rf_json_next steps to the next member or element and reads its value. */
RF_API bool rf_json_next(rf_json_iter *it, rf_str *name, bool *escaped, rf_value *v) {
    if (!rf_json_key(it, name, escaped)) return false;
    const char *q = rf_json_value(it->p, it->end, v);
    if (q == NULL) return rf_json_fail(it, it->p);
    it->p = q;
    return true;
}

/* rf_json_path_step cuts the first segment off a path: segments are separated
   by dots; "\." is a dot inside one. The segment keeps its backslashes. */
RF_API rf_str rf_json_path_step(rf_str *path, bool *escaped) {
    uint32_t i = 0;
    *escaped = false;
    while (i < path->n && path->p[i] != '.') {
        if (path->p[i] == '\\' && i + 1 < path->n) {
            *escaped = true;
            i++;
        }
        i++;
    }
    rf_str segment = rf_slice(path->p, i);
    uint32_t skip = i < path->n ? i + 1 : i;
    *path = rf_slice(path->p + skip, path->n - skip);
    return segment;
}

/* rf_json_segment_is compares a name, as it is written, with a segment, in which
   a backslash takes the meaning from what follows. */
RF_API bool rf_json_segment_is(rf_str segment, bool segment_escaped, rf_str name, bool escaped) {
    if (!segment_escaped) return rf_json_is(name, escaped, segment);
    const char *p = name.p, *end = p + name.n;
    uint32_t n = 0;
    while (p < end) {
        char utf8[4];
        uint32_t k = 1;
        utf8[0] = *p++;
        if (utf8[0] == '\\') {
            int32_t r = rf_json_escape(&p, end);
            if (r < 0) return false;
            k = rf_utf8((uint32_t)r, utf8);
        }
        for (uint32_t i = 0; i < k; i++, n++) {
            if (n + 1 < segment.n && segment.p[n] == '\\') n++;
            if (n >= segment.n || segment.p[n] != utf8[i]) return false;
        }
    }
    return n == segment.n;
}

/* rf_json_find is rf_json_get that also says where malformed text begins. */
RF_API int rf_json_find(rf_str doc, rf_str path, rf_value *out, uint32_t *bad_at) {
    const char *end = doc.p + doc.n;
    const char *p = rf_json_space(doc.p, end);
    while (path.n > 0) {
        bool segment_escaped;
        rf_str segment = rf_json_path_step(&path, &segment_escaped);
        if (p >= end || (*p != '{' && *p != '[')) {
            rf_value scalar;
            if (rf_json_value(p, end, &scalar) != NULL) return RF_ABSENT;
            *bad_at = (uint32_t)(p - doc.p);
            return RF_BAD_JSON;
        }
        /* The container's end is not looked for: the walk stops at the field. */
        rf_json_iter it = {p + 1, end, *p == '{', true, false, NULL};
        uint32_t index = 0, want = 0;
        bool numeric = !it.object && segment.n > 0 && segment.n < 10;
        for (uint32_t i = 0; numeric && i < segment.n; i++) {
            numeric = segment.p[i] >= '0' && segment.p[i] <= '9';
            want = want * 10 + (uint32_t)(segment.p[i] - '0');
        }
        rf_str name;
        bool escaped, found = false;
        while (rf_json_key(&it, &name, &escaped)) {
            if (it.object ? rf_json_segment_is(segment, segment_escaped, name, escaped) : numeric && index++ == want) {
                found = true;
                break;
            }
            rf_value skipped;
            const char *q = rf_json_value(it.p, end, &skipped);
            if (q == NULL) {
                rf_json_fail(&it, it.p);
                break;
            }
            it.p = q;
        }
        if (it.bad) {
            *bad_at = (uint32_t)(it.at - doc.p);
            return RF_BAD_JSON;
        }
        if (!found) return RF_ABSENT;
        p = it.p;
    }
    if (rf_json_value(p, end, out) == NULL) {
        *bad_at = (uint32_t)(p - doc.p);
        return RF_BAD_JSON;
    }
    return RF_FOUND;
}

/* rf_json_get finds the value at a path like "order.items.0.type"; an empty
   path is the whole document. It returns RF_FOUND, RF_ABSENT or RF_BAD_JSON. */
RF_API int rf_json_get(rf_str doc, rf_str path, rf_value *out) {
    uint32_t at;
    return rf_json_find(doc, path, out, &at);
}

#endif
