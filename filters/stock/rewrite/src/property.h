/* The properties that a message can be given, and what each takes. */
#ifndef REWRITE_PROPERTY_H
#define REWRITE_PROPERTY_H

#include "value.h"

enum { MAX_PROPERTIES = 11 };

typedef struct {
    rf_slot slot;
    rf_str name; /* as "properties.NAME" */
    value value;
} property;

static property properties[MAX_PROPERTIES];
static uint32_t property_count;

static bool property_slot(rf_str name, rf_slot *slot) {
    if (rf_eq(name, RF_STR("priority"))) {
        *slot = RF_PRIORITY;
    } else if (rf_eq(name, RF_STR("delivery_mode"))) {
        *slot = RF_DELIVERY_MODE;
    } else if (rf_eq(name, RF_STR("timestamp"))) {
        *slot = RF_TIMESTAMP;
    } else {
        return field_slot(name, slot) && *slot != RF_EXCHANGE && *slot != RF_ROUTING_KEY && *slot != RF_USER_ID && *slot != RF_SOURCE;
    }
    return true;
}

static rf_str property_takes(rf_slot slot) {
    switch (slot) {
    case RF_PRIORITY: return RF_STR("a whole number from 0 to 255");
    case RF_DELIVERY_MODE: return RF_STR("1 (transient) or 2 (persistent)");
    case RF_TIMESTAMP: return RF_STR("seconds since 1970");
    case RF_EXPIRATION: return RF_STR("milliseconds, as a whole number");
    default: return RF_STR("UTF-8 text of at most 255 bytes without control characters");
    }
}

/* property_write sets a property to a text; empty removes it. False when the
   property does not take the text. */
static bool property_write(rf_delta *out, rf_slot slot, rf_str text) {
    int64_t n = 0;
    bool number = text.n == 0 || st_digits(text, &n);
    switch (slot) {
    case RF_PRIORITY:
        if (!number || n > 255) return false;
        rf_set_priority(out, (uint8_t)n);
        return true;
    case RF_DELIVERY_MODE:
        if (!number || n > 2) return false;
        rf_set_delivery_mode(out, (uint8_t)n);
        return true;
    case RF_TIMESTAMP:
        if (!number) return false;
        if (text.n == 0)
            rf_set_prop(out, slot, text);
        else
            rf_set_timestamp(out, n);
        return true;
    case RF_EXPIRATION:
        if (!number) return false;
        break;
    default:
        if (text.n > 255 || !rf_is_utf8(text)) return false;
        for (uint32_t i = 0; i < text.n; i++)
            if ((uint8_t)text.p[i] < 0x20 || text.p[i] == 0x7f) return false;
    }
    rf_set_prop(out, slot, text);
    return true;
}

/* property_constant turns a number of the configuration into a text like the others. */
static bool property_constant(value *v, rf_str digits) {
    template_part *part = rf_alloc(sizeof *part);
    char *kept = rf_alloc(digits.n);
    if (part == NULL || kept == NULL) return false;
    __builtin_memcpy(kept, digits.p, digits.n);
    *part = (template_part){rf_slice(kept, digits.n), -1};
    *v = (value){RF_T_UTF8, 0, {part, 1}};
    return true;
}

static bool property_read(const settings *s, const rf_msg *config, rf_str name, rf_value v) {
    static uint8_t space[512];
    rf_delta trial = {space, 0, sizeof space, false};
    rf_text key = {0}, what = {0};
    rf_str text;
    property p;
    rf_add(&key, RF_STR("properties."));
    rf_add(&key, name);
    if (!property_slot(name, &p.slot))
        return st_refuse(s, rf_text_str(&key), RF_STR("cannot be set; known are content_type, content_encoding, correlation_id, reply_to, "
                                                      "message_id, type, app_id, expiration, priority, delivery_mode, timestamp"), RF_STR(""));
    rf_add(&what, RF_STR("write "));
    rf_add(&what, property_takes(p.slot));
    if (!value_read(s, config, rf_text_str(&key), v, &p.value)) return false;
    bool number = p.slot == RF_EXPIRATION || p.slot >= RF_PRIORITY;
    char *kept = rf_alloc(key.n);
    if (kept == NULL || (number && p.value.type == RF_T_I64 && !property_constant(&p.value, v.text)))
        return st_refuse(s, rf_text_str(&key), RF_STR("no memory; raise limits.memory"), RF_STR(""));
    if (p.value.type != RF_T_UTF8) return st_refuse(s, rf_text_str(&key), rf_text_str(&what), v.text);
    used = 0;
    if (template_is_plain(&p.value.text) &&
        (text_make(config, &p.value.text, &text, &trial) != MADE || !property_write(&trial, p.slot, text)))
        return st_refuse(s, rf_text_str(&key), rf_text_str(&what), v.text);
    __builtin_memcpy(kept, key.p, key.n);
    p.name = rf_slice(kept, key.n);
    properties[property_count++] = p;
    return true;
}

/* property_set returns false when the message goes no further. */
static bool property_set(const rf_msg *msg, const property *p, rf_delta *out) {
    rf_str text;
    switch (text_make(msg, &p->value.text, &text, out)) {
    case ENDED: return false;
    case LEFT_OUT: return true;
    case MADE: break;
    }
    if (property_write(out, p->slot, text)) return true;
    rf_text t = {0};
    rf_add(&t, p->name);
    rf_add(&t, RF_STR(": takes "));
    rf_add(&t, property_takes(p->slot));
    if (printable(text)) {
        rf_add(&t, RF_STR(", not "));
        rf_add(&t, text);
    }
    rf_error(out, RF_STR("value"), rf_text_str(&t));
    return false;
}

#endif
