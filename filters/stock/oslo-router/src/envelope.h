/* The message in an envelope of oslo.messaging, or without one, and what rules ask of it. */
#ifndef OSLO_ENVELOPE_H
#define OSLO_ENVELOPE_H

#include "scan.h"

enum { MAX_MEMBERS = 48, MAX_VALUE = 4096 };

/* The members that every rule may ask for; behind them those of the context. */
enum {
    M_METHOD, M_NAMESPACE, M_VERSION, M_MSG_ID, M_RESULT, M_FAILURE, M_ENDING,
    M_EVENT_TYPE, M_PRIORITY, M_PUBLISHER_ID, M_PROJECT, M_CONTEXT
};

typedef struct {
    rf_str name;
    bool seen, there; /* null is seen, and not there */
    bool header;      /* it is one of the message, and h its value */
    rf_value v;
    rf_header h;
} member;

static member members[MAX_MEMBERS] = {
#define M(text) {.name = {text, sizeof(text) - 1}}
    M("method"), M("namespace"), M("version"), M("_msg_id"), M("result"), M("failure"), M("ending"),
    M("event_type"), M("priority"), M("publisher_id"), M("_context_project_id"),
#undef M
};
static uint32_t member_count = M_CONTEXT;

/* Where the message lies: in the body, or inner, without the escapes of the
   envelope's string. */
static struct {
    rf_str body, message;
    rf_str quoted; /* the envelope's string; p is NULL without an envelope */
} envelope;

static rf_value outer_version, outer_message;
static bool has_version, has_message;

static void found_outer(rf_str name, bool escaped, rf_value v) {
    if (rf_json_is(name, escaped, RF_STR("oslo.version"))) {
        has_version = true;
        outer_version = v;
    } else if (rf_json_is(name, escaped, RF_STR("oslo.message"))) {
        has_message = true;
        outer_message = v;
    }
}

/* found_inner keeps a member; of several with one name the last counts, as in
   Python. */
static void found_inner(rf_str name, bool escaped, rf_value v) {
    for (uint32_t i = 0; i < member_count; i++) {
        if ((!escaped && name.n != members[i].name.n) || !rf_json_is(name, escaped, members[i].name)) continue;
        members[i].seen = true;
        members[i].there = v.kind != RF_JSON_NULL;
        members[i].v = v;
        return;
    }
}

/* unquote_step reads one character of the envelope's string and writes it to
   out, which holds 4 bytes. For a lone surrogate that is U+FFFD, so that values
   are UTF-8; the body keeps it. */
static uint32_t unquote_step(const char **p, const char *end, char *out) {
    const char *q = *p;
    if (*q != '\\') {
        out[0] = *q;
        *p = q + 1;
        return 1;
    }
    q++;
    int32_t r = rf_json_escape(&q, end);
    *p = q;
    return rf_utf8((uint32_t)r, out);
}

static bool unquote(rf_str quoted, rf_str *out) {
    static rf_buf buf;
    const char *p = quoted.p, *end = p + quoted.n;
    if (!rf_reserve(&buf, quoted.n + 8)) return false;
    char *to = (char *)buf.p;
    while (p < end) {
        for (uint64_t w, found; end - p >= 8; p += 8, to += 8) {
            __builtin_memcpy(&w, p, 8);
            found = special(w);
            __builtin_memcpy(to, &w, 8); /* what is too much of it is written over */
            if (found == 0) continue;
            uint32_t k = (uint32_t)__builtin_ctzll(found) >> 3;
            p += k;
            to += k;
            break;
        }
        if (p == end) break;
        if (*p != '\\')
            *to++ = *p++;
        else if (p + 1 < end && (p[1] == '"' || p[1] == '\\')) {
            *to++ = p[1];
            p += 2;
        } else
            to += unquote_step(&p, end, to);
    }
    *out = rf_slice(buf.p, (uint32_t)(to - (char *)buf.p));
    return true;
}

/* in_body finds where in the body a place of the message lies. */
static const char *in_body(const char *at) {
    if (envelope.quoted.p == NULL) return at;
    const char *p = envelope.quoted.p, *end = p + envelope.quoted.n;
    uint32_t n = (uint32_t)(at - envelope.message.p);
    char skipped[4];
    while (n > 0 && p < end) {
        uint32_t k = unquote_step(&p, end, skipped);
        n -= k < n ? k : n;
    }
    return p;
}

/* malformed fails the message; at is a place in the body. */
static bool malformed(rf_delta *out, const char *what, const char *at) {
    rf_text t = {0};
    uint32_t n = 0;
    while (what[n] != 0) n++;
    rf_add(&t, rf_slice(what, n));
    rf_add(&t, RF_STR(" at byte "));
    rf_add_int(&t, at - envelope.body.p);
    rf_error(out, RF_STR("malformed"), rf_text_str(&t));
    return false;
}

/* not_utf8 finds the first character that is none; NULL if all are. */
static const char *not_utf8(rf_str s) {
    const char *p = s.p, *end = p + s.n;
    uint64_t w = 0;
    for (; end - p >= 8; p += 8) {
        __builtin_memcpy(&w, p, 8);
        if (w & 0x8080808080808080ull) break;
    }
    if (rf_is_utf8(rf_slice(p, (uint32_t)(end - p)))) return NULL;
    while (p < end) {
        uint8_t lead = (uint8_t)*p;
        uint32_t n = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (n > (uint32_t)(end - p) || !rf_is_utf8(rf_slice(p, n))) break;
        p += n;
    }
    return p;
}

/* envelope_read finds the members of a message. False when it cannot be decoded;
   out then says where. */
static bool envelope_read(rf_str body, rf_delta *out) {
    scan s = {body.p, body.p + body.n, NULL};
    envelope.body = envelope.message = body;
    envelope.quoted = (rf_str){NULL, 0};
    has_version = has_message = false;
    const char *bad = not_utf8(body);
    if (bad != NULL) return malformed(out, "the body is not UTF-8", bad);
    if (!scan_object(&s, found_outer)) return malformed(out, s.wrong, s.p);
    for (uint32_t i = 0; i < member_count; i++) members[i].seen = members[i].there = members[i].header = false;
    if (has_version && has_message) {
        if (outer_version.kind != RF_JSON_STRING || !rf_json_is(outer_version.text, outer_version.escaped, RF_STR("2.0")))
            return malformed(out, "an envelope of another version than 2.0", outer_version.text.p);
        if (outer_message.kind != RF_JSON_STRING) return malformed(out, "oslo.message is no string", outer_message.text.p);
        envelope.quoted = outer_message.text;
        if (!unquote(envelope.quoted, &envelope.message)) {
            rf_error(out, RF_STR("memory"), RF_STR("no memory for the message; raise limits.memory"));
            return false;
        }
    }
    s = (scan){envelope.message.p, envelope.message.p + envelope.message.n, NULL};
    if (!scan_object(&s, found_inner)) return malformed(out, s.wrong, in_body(s.p));
    return true;
}

/* What a message is for. */
enum { TYPE_CALL, TYPE_CAST, TYPE_NOTIFICATION, TYPE_REPLY, TYPE_OTHER };
static const rf_str type_names = {"call cast notification reply other", 34};

/* On a route with format = "oslo" the message has no envelope: its context are
   the headers, and its ids and what it is for are properties. */
static bool opened(const rf_msg *msg) {
    rf_str one, words = type_names, kind = rf_prop(msg, RF_TYPE);
    for (uint32_t i = TYPE_CALL; i < TYPE_OTHER; i++) {
        rf_cut(words, ' ', &one, &words);
        if (rf_eq(one, kind)) return true;
    }
    return false;
}

static rf_str context_name(uint32_t i) {
    uint32_t prefix = sizeof "_context_" - 1;
    return rf_slice(members[i].name.p + prefix, members[i].name.n - prefix);
}

/* read_headers finds what of the context the body does not hold. */
static void read_headers(const rf_msg *msg) {
    for (uint32_t i = M_PROJECT; i < member_count; i++) {
        member *m = &members[i];
        if (m->seen || !rf_get_header(msg, context_name(i), &m->h)) continue;
        m->header = true;
        m->there = m->h.type != RF_T_NULL;
    }
}

static uint32_t message_type(const rf_msg *msg) {
    rf_str kind = rf_prop(msg, RF_TYPE);
    if (members[M_METHOD].there) return members[M_MSG_ID].there || rf_eq(kind, RF_STR("call")) ? TYPE_CALL : TYPE_CAST;
    if (members[M_EVENT_TYPE].there || members[M_PUBLISHER_ID].there) return TYPE_NOTIFICATION;
    bool answers = members[M_RESULT].seen || members[M_FAILURE].seen || members[M_ENDING].seen;
    return answers && (members[M_MSG_ID].there || rf_eq(kind, RF_STR("reply"))) ? TYPE_REPLY : TYPE_OTHER;
}

/* set_version gives the message another version and leaves every other byte as
   it is. */
static void set_version(rf_str version, rf_delta *out) {
    static rf_buf buf;
    const member *m = &members[M_VERSION];
    rf_str quote = envelope.quoted.p != NULL ? RF_STR("\\\"") : RF_STR("\"");
    rf_str body = envelope.body;
    if (!rf_reserve(&buf, body.n + version.n + 64)) {
        rf_error(out, RF_STR("memory"), RF_STR("no memory for the new body; raise limits.memory"));
        return;
    }
    const member *at = m->seen ? m : &members[M_METHOD];
    uint32_t quotes = at->v.kind == RF_JSON_STRING;
    const char *from = in_body(at->v.text.p - quotes), *to = in_body(at->v.text.p + at->v.text.n + quotes);
    rf_str pieces[8];
    uint32_t n = 0, len = 0;
    if (m->seen) {
        pieces[n++] = rf_slice(body.p, (uint32_t)(from - body.p));
    } else { /* behind the method */
        pieces[n++] = rf_slice(body.p, (uint32_t)(to - body.p));
        pieces[n++] = RF_STR(", ");
        pieces[n++] = quote;
        pieces[n++] = RF_STR("version");
        pieces[n++] = quote;
        pieces[n++] = RF_STR(": ");
    }
    for (uint32_t i = 0; i < n; i++, len += pieces[i - 1].n) __builtin_memcpy(buf.p + len, pieces[i].p, pieces[i].n);
    n = 0;
    pieces[n++] = quote;
    pieces[n++] = version;
    pieces[n++] = quote;
    pieces[n++] = rf_slice(to, (uint32_t)(body.p + body.n - to));
    for (uint32_t i = 0; i < n; i++, len += pieces[i - 1].n) __builtin_memcpy(buf.p + len, pieces[i].p, pieces[i].n);
    rf_set_body_ref(out, rf_slice(buf.p, len));
}

/* member_text returns a member's text, empty when it is absent or null. False
   for objects, arrays and what does not fit buf. */
static bool member_text(uint32_t i, char *buf, uint32_t cap, rf_str *text) {
    *text = RF_STR("");
    if (members[i].header) return !members[i].there || rf_header_text(members[i].h, buf, text);
    return !members[i].there || rf_json_text(members[i].v, buf, cap, text);
}

#endif
