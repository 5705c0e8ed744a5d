/* The change that a handler writes. Included by router_filter.h. */
#ifndef ROUTER_DELTA_H
#define ROUTER_DELTA_H

enum {
    RF_OP_SET_HEADER = 1,
    RF_OP_DEL_HEADER,
    RF_OP_CLEAR_HEADERS,
    RF_OP_SET_PROP,
    RF_OP_TARGET,
    RF_OP_ACTION,
    RF_OP_BODY,
    RF_OP_BODY_REF,
    RF_OP_EMIT,
    RF_OP_ERROR,
};

/* Results below zero; the message fails and the instance lives on. */
enum { RF_NO_MEMORY = -1, RF_MALFORMED = -2, RF_UNSUPPORTED = -3, RF_INTERNAL = -4 };

typedef struct {
    uint8_t *p; /* 8-aligned */
    uint32_t n, cap;
    bool full; /* something did not fit: the message fails */
} rf_delta;

/* rf_copy copies n bytes to another place: short ones in words, of which the last
   overlaps, since the host's own copying is for long ones. */
RF_API void rf_copy(uint8_t *to, const char *from, uint32_t n) {
    if (n > 64) {
        __builtin_memcpy(to, from, n);
        return;
    }
    if (n >= 8) {
        uint64_t last, word;
        __builtin_memcpy(&last, from + n - 8, 8);
        for (uint32_t i = 0; i + 8 < n; i += 8) {
            __builtin_memcpy(&word, from + i, 8);
            __builtin_memcpy(to + i, &word, 8);
        }
        __builtin_memcpy(to + n - 8, &last, 8);
        return;
    }
    if (n >= 4) {
        uint32_t first, last;
        __builtin_memcpy(&first, from, 4);
        __builtin_memcpy(&last, from + n - 4, 4);
        __builtin_memcpy(to, &first, 4);
        __builtin_memcpy(to + n - 4, &last, 4);
        return;
    }
    for (uint32_t i = 0; i < n; i++) to[i] = (uint8_t)from[i];
}

/* rf_op appends one op and returns where its value goes, or NULL when it does
   not fit. */
RF_API uint8_t *rf_op(rf_delta *d, uint8_t op, uint8_t flags, rf_str key, uint32_t vlen) {
    uint64_t need = ((uint64_t)8 + key.n + vlen + 7) & ~7ull;
    if (d->full || key.n > 0xffff || need > d->cap - d->n) {
        d->full = true;
        return NULL;
    }
    uint8_t *p = d->p + d->n;
    uint64_t none = 0, head = (uint64_t)op | (uint64_t)flags << 8 | (uint64_t)key.n << 16 | (uint64_t)vlen << 32;
    __builtin_memcpy(p + need - 8, &none, 8); /* what is behind the value is 0 */
    __builtin_memcpy(p, &head, 8);
    rf_copy(p + 8, key.p, key.n);
    d->n += (uint32_t)need;
    return p + 8 + key.n;
}

RF_API void rf_op_copy(rf_delta *d, uint8_t op, uint8_t flags, rf_str key, rf_str value) {
    uint8_t *p = rf_op(d, op, flags, key, value.n);
    if (p != NULL) rf_copy(p, value.p, value.n);
}

/* rf_is_utf8 tells whether a text is UTF-8. */
RF_API bool rf_is_utf8(rf_str s) {
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n;
    while (p < end) {
        uint32_t c = *p++, more = 0, least = 0x80;
        if (c < 0x80) continue;
        if (c >= 0xc2 && c < 0xe0) more = 1, c &= 0x1f;
        else if (c >= 0xe0 && c < 0xf0) more = 2, c &= 0x0f, least = 0x800;
        else if (c >= 0xf0 && c < 0xf5) more = 3, c &= 0x07, least = 0x10000;
        if (more == 0 || (uint32_t)(end - p) < more) return false;
        for (; more > 0; more--, p++) {
            if ((*p & 0xc0) != 0x80) return false;
            c = c << 6 | (*p & 0x3f);
        }
        if (c < least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return false;
    }
    return true;
}

/* rf_set_header sets a header to a text, or to its bytes when it is no UTF-8. */
RF_API void rf_set_header(rf_delta *d, rf_str name, rf_str text) {
    rf_op_copy(d, RF_OP_SET_HEADER, (rf_is_utf8(text) ? RF_T_UTF8 : RF_T_BYTES) << 4, name, text);
}
RF_API void rf_set_header_bytes(rf_delta *d, rf_str name, rf_str bytes) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_BYTES << 4, name, bytes);
}
RF_API void rf_set_header_i64(rf_delta *d, rf_str name, int64_t v) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_I64 << 4, name, rf_slice(&v, 8));
}
RF_API void rf_set_header_f64(rf_delta *d, rf_str name, double v) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_F64 << 4, name, rf_slice(&v, 8));
}
RF_API void rf_set_header_bool(rf_delta *d, rf_str name, bool v) {
    uint8_t b = v;
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_BOOL << 4, name, rf_slice(&b, 1));
}
/* rf_set_header_time sets a timestamp: seconds since 1970. */
RF_API void rf_set_header_time(rf_delta *d, rf_str name, int64_t seconds) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_TIME << 4, name, rf_slice(&seconds, 8));
}
RF_API void rf_set_header_null(rf_delta *d, rf_str name) {
    rf_op_copy(d, RF_OP_SET_HEADER, RF_T_NULL << 4, name, RF_STR(""));
}
RF_API void rf_del_header(rf_delta *d, rf_str name) {
    rf_op_copy(d, RF_OP_DEL_HEADER, 0, name, RF_STR(""));
}
RF_API void rf_clear_headers(rf_delta *d) {
    rf_op_copy(d, RF_OP_CLEAR_HEADERS, 0, RF_STR(""), RF_STR(""));
}

/* rf_cut_utf8 shortens text to at most max bytes without cutting a character. */
RF_API rf_str rf_cut_utf8(rf_str text, uint32_t max) {
    if (text.n <= max) return text;
    while (max > 0 && ((uint8_t)text.p[max] & 0xc0) == 0x80) max--;
    return rf_slice(text.p, max);
}

/* rf_set_prop sets a text property; empty text removes it. */
RF_API void rf_set_prop(rf_delta *d, rf_slot slot, rf_str text) {
    uint16_t s = (uint16_t)slot;
    rf_op_copy(d, RF_OP_SET_PROP, 0, rf_slice(&s, 2), text);
}

RF_API void rf_set_priority(rf_delta *d, uint8_t priority) {
    rf_set_prop(d, RF_PRIORITY, rf_slice(&priority, 1));
}
/* rf_set_delivery_mode: 0 removes the property, 1 is transient, 2 persistent. */
RF_API void rf_set_delivery_mode(rf_delta *d, uint8_t mode) {
    rf_set_prop(d, RF_DELIVERY_MODE, rf_slice(&mode, 1));
}
/* rf_set_timestamp sets the timestamp property: seconds since 1970. An empty
   text in rf_set_prop(d, RF_TIMESTAMP, ...) removes it. */
RF_API void rf_set_timestamp(rf_delta *d, int64_t seconds) {
    rf_set_prop(d, RF_TIMESTAMP, rf_slice(&seconds, 8));
}

/* rf_target_parts adds a target; rest is what follows the NUL byte, for kinds
   that have it. */
RF_API void rf_target_parts(rf_delta *d, rf_str kind, rf_str name, bool has_rest, rf_str rest) {
    uint8_t *p = rf_op(d, RF_OP_TARGET, 0, kind, name.n + (has_rest ? 1 + rest.n : 0));
    if (p == NULL) return;
    __builtin_memcpy(p, name.p, name.n);
    if (!has_rest) return;
    p[name.n] = 0;
    __builtin_memcpy(p + name.n + 1, rest.p, rest.n);
}

/* rf_target adds a target written as in router.toml: queue:NAME,
   exchange:NAME/KEY, topic:[EXCHANGE/]TOPIC, server:[EXCHANGE/]TOPIC.SERVER,
   fanout:TOPIC or notify:[EXCHANGE/]TOPIC.PRIORITY. False when it is none. */
RF_API bool rf_target(rf_delta *d, rf_str text) {
    rf_str kind, rest, exchange = RF_STR(""), name = RF_STR("");
    if (text.n > 6 && rf_same(text.p, "queue:", 6)) {
        rf_op_copy(d, RF_OP_TARGET, 0, rf_slice(text.p, 5), rf_slice(text.p + 6, text.n - 6));
        return true;
    }
    if (!rf_cut(text, ':', &kind, &rest)) return false;
    if (rf_eq(kind, RF_STR("fanout"))) {
        if (rest.n == 0) return false;
        rf_target_parts(d, kind, rest, false, exchange);
        return true;
    }
    if (rf_eq(kind, RF_STR("exchange"))) {
        if (!rf_cut(rest, '/', &exchange, &name)) return false;
        rf_target_parts(d, kind, exchange, true, name);
        return true;
    }
    bool server = rf_eq(kind, RF_STR("server")), notify = rf_eq(kind, RF_STR("notify"));
    if (!server && !notify && !rf_eq(kind, RF_STR("topic"))) return false;
    bool at = rf_cut(rest, '/', &exchange, &name);
    if (!at) name = rest, exchange = RF_STR("");
    if (name.n == 0) return false;
    if (!server && !notify) {
        rf_target_parts(d, kind, name, at, exchange);
        return true;
    }
    uint32_t dot = name.n;
    for (uint32_t i = 0; i < name.n; i++)
        if (name.p[i] == '.' && (notify || dot == name.n)) dot = i;
    if (dot == 0 || dot + 1 >= name.n) return false;
    uint32_t more = name.n - dot - 1;
    uint8_t *p = rf_op(d, RF_OP_TARGET, 0, kind, name.n + (at ? 1 + exchange.n : 0));
    if (p == NULL) return true;
    __builtin_memcpy(p, name.p, dot);
    p[dot] = 0;
    __builtin_memcpy(p + dot + 1, name.p + dot + 1, more);
    if (at) {
        p[name.n] = 0;
        __builtin_memcpy(p + name.n + 1, exchange.p, exchange.n);
    }
    return true;
}

RF_API void rf_action(rf_delta *d, rf_str action, rf_str reason) {
    rf_op_copy(d, RF_OP_ACTION, 0, action, reason);
}
RF_API void rf_drop(rf_delta *d, rf_str reason) { rf_action(d, RF_STR("drop"), reason); }
RF_API void rf_reject(rf_delta *d, rf_str reason) { rf_action(d, RF_STR("reject"), reason); }
RF_API void rf_reply(rf_delta *d) { rf_action(d, RF_STR("reply"), RF_STR("")); }
/* rf_forward sends the message to the targets of an earlier filter or of the
   route; a target says so by itself. */
RF_API void rf_forward(rf_delta *d) { rf_action(d, RF_STR("forward"), RF_STR("")); }
/* rf_continue leaves an earlier decision as it is, as writing nothing does. */
RF_API void rf_continue(rf_delta *d) { rf_action(d, RF_STR("continue"), RF_STR("")); }
RF_API void rf_stop(rf_delta *d) { rf_action(d, RF_STR("stop"), RF_STR("")); }

/* rf_retry asks for another run after delay_ms; 0 is the route's own backoff. */
RF_API void rf_retry(rf_delta *d, int64_t delay_ms, rf_str reason) {
    uint8_t *p = rf_op(d, RF_OP_ACTION, 0, RF_STR("retry"), 8 + reason.n);
    if (p == NULL) return;
    __builtin_memcpy(p, &delay_ms, 8);
    __builtin_memcpy(p + 8, reason.p, reason.n);
}

/* rf_set_body copies the new body into the change. */
RF_API void rf_set_body(rf_delta *d, rf_str body) {
    rf_op_copy(d, RF_OP_BODY, 0, RF_STR(""), body);
}

/* rf_set_body_ref names the new body where it lies; it must stay there until
   the handler has returned. A slice of the message's body is allowed. */
RF_API void rf_set_body_ref(rf_delta *d, rf_str body) {
    uint32_t ref[2] = {(uint32_t)(uintptr_t)body.p, body.n};
    rf_op_copy(d, RF_OP_BODY_REF, 0, RF_STR(""), rf_slice(ref, 8));
}

/* rf_emit starts a new message; what is written after it applies to that. */
RF_API void rf_emit(rf_delta *d) { rf_op_copy(d, RF_OP_EMIT, 0, RF_STR(""), RF_STR("")); }

/* rf_error fails the message: a short code for metrics, a text for people. */
RF_API void rf_error(rf_delta *d, rf_str code, rf_str text) {
    rf_op_copy(d, RF_OP_ERROR, 0, code, text);
}
RF_API void rf_error_retryable(rf_delta *d, rf_str code, rf_str text) {
    rf_op_copy(d, RF_OP_ERROR, 2, code, text);
}

#endif
