/* The message of one call: what of it the host is asked for, and how to read it. Included by router_filter.h. */
#ifndef ROUTER_MESSAGE_H
#define ROUTER_MESSAGE_H

enum {
    RF_NEED_BODY = 1,
    RF_NEED_HEADERS = 2,
    RF_NEED_PROPERTIES = 4,
    RF_STATELESS = 1 << 8, /* no state is kept between messages */
};

/* rf_need_header, called in RF_INIT, names a header that the filter reads: only
   those named are then handed over, which makes calls cheaper. False when there
   are more than 64, or too long ones. */
static char rf_names[4096];
static uint32_t rf_names_len, rf_names_count;

RF_API bool rf_need_header(rf_str name) {
    uint32_t at = rf_names_len + (rf_names_count > 0);
    if (name.n == 0 || name.n > 255 || rf_names_count == 64 || at + name.n > sizeof rf_names) return false;
    if (rf_names_count++ > 0) rf_names[rf_names_len] = 0;
    __builtin_memcpy(rf_names + at, name.p, name.n);
    rf_names_len = at + name.n;
    return true;
}

RF_EXPORT("router_needs_headers") int64_t rf_export_names(void) {
    return rf_names_len == 0 ? 0 : (int64_t)((uint64_t)(uint32_t)rf_names << 32 | rf_names_len);
}

/* RF_NEEDS tells the host what to hand over; without it, everything. */
#define RF_NEEDS(bits) \
    RF_EXPORT("router_needs") int64_t rf_needs(void) { return (int64_t)(bits); }

enum {
    RF_REDELIVERED = 1,
    RF_BODY_TRUNCATED = 2,
    RF_NO_BODY = 4,
    RF_NO_HEADERS = 8,
    RF_NO_PROPERTIES = 16,
    RF_CONFIGURATION = 32,
};

typedef enum {
    RF_EXCHANGE,
    RF_ROUTING_KEY,
    RF_CONTENT_TYPE,
    RF_CONTENT_ENCODING,
    RF_CORRELATION_ID,
    RF_REPLY_TO,
    RF_MESSAGE_ID,
    RF_TYPE,
    RF_APP_ID,
    RF_USER_ID,
    RF_SOURCE,
    RF_FILTER_NAME,
    RF_EXPIRATION,
    RF_TARGET,
    RF_PRIORITY = 32,
    RF_DELIVERY_MODE = 33,
    RF_TIMESTAMP = 34,
} rf_slot;

typedef enum {
    RF_T_NULL,
    RF_T_UTF8,
    RF_T_BYTES,
    RF_T_I64,
    RF_T_F64,
    RF_T_BOOL,
    RF_T_TIME,
    RF_T_NESTED, /* JSON text, to read only */
} rf_type;

typedef struct {
    const uint8_t *p;
    uint32_t n;
} rf_msg;

typedef struct {
    rf_type type;
    uint8_t flags;
    rf_str raw; /* text, bytes, or the value's little-endian bytes */
} rf_header;

RF_API bool rf_frame_ok(const rf_msg *m) { return m->n >= 80 && rf_u32(m->p) == 0x31525452u; }

RF_API uint32_t rf_flags(const rf_msg *m) { return rf_u32(m->p + 12); }
RF_API rf_str rf_body(const rf_msg *m) { return rf_slice(m->p + rf_u32(m->p + 24), rf_u32(m->p + 28)); }
RF_API uint64_t rf_body_full_len(const rf_msg *m) { return (uint64_t)rf_i64(m->p + 32); }
RF_API int64_t rf_timestamp_ns(const rf_msg *m) { return rf_i64(m->p + 40); }
RF_API int64_t rf_received_ns(const rf_msg *m) { return rf_i64(m->p + 64); }
RF_API uint8_t rf_priority(const rf_msg *m) { return m->p[56]; }
RF_API uint8_t rf_delivery_mode(const rf_msg *m) { return m->p[57]; }

/* rf_prop returns a property's text, empty when the message has none. */
RF_API rf_str rf_prop(const rf_msg *m, rf_slot slot) {
    if ((uint32_t)slot >= rf_u32(m->p + 52)) return rf_slice(m->p, 0);
    const uint8_t *e = m->p + rf_u32(m->p + 48) + 8 * (uint32_t)slot;
    return rf_slice(m->p + rf_u32(e), rf_u32(e + 4));
}

RF_API uint32_t rf_header_count(const rf_msg *m) { return rf_u32(m->p + 20); }

/* rf_header_at returns the i-th header, i < rf_header_count. */
RF_API rf_header rf_header_at(const rf_msg *m, uint32_t i, rf_str *name) {
    const uint8_t *e = m->p + rf_u32(m->p + 16) + 20 * i;
    if (name != NULL) *name = rf_slice(m->p + rf_u32(e), rf_u16(e + 4));
    return (rf_header){(rf_type)e[6], e[7], rf_slice(m->p + rf_u32(e + 8), rf_u32(e + 12))};
}

/* rf_get_header finds a header by name; false when there is none. */
RF_API bool rf_get_header(const rf_msg *m, rf_str name, rf_header *out) {
    const uint8_t *e = m->p + rf_u32(m->p + 16);
    for (uint32_t n = rf_header_count(m), i = 0; i < n; i++, e += 20) {
        if (rf_u16(e + 4) != name.n || !rf_same((const char *)m->p + rf_u32(e), name.p, name.n)) continue;
        *out = rf_header_at(m, i, NULL);
        return true;
    }
    return false;
}

/* rf_header_hashed is rf_get_header for a name whose hash is known, which spares
   comparing it with other names of its length. */
RF_API bool rf_header_hashed(const rf_msg *m, rf_str name, uint32_t hash, rf_header *out) {
    const uint8_t *e = m->p + rf_u32(m->p + 16);
    for (uint32_t n = rf_header_count(m), i = 0; i < n; i++, e += 20) {
        if (rf_u32(e + 16) != hash) continue;
        rf_str key;
        *out = rf_header_at(m, i, &key);
        if (rf_eq(key, name)) return true;
    }
    return false;
}

/* rf_header_text returns a header as text: strings and bytes as they are,
   integers and booleans written out (buf holds at least 20 bytes); false for
   other types. */
RF_API bool rf_header_text(rf_header h, char *buf, rf_str *out) {
    switch (h.type) {
    case RF_T_UTF8:
    case RF_T_BYTES: *out = h.raw; return true;
    case RF_T_I64:
    case RF_T_TIME: *out = rf_decimal(rf_i64(h.raw.p), buf); return true;
    case RF_T_BOOL: *out = h.raw.p[0] ? RF_STR("true") : RF_STR("false"); return true;
    default: return false;
    }
}

#endif
