/* What headers and properties are set to: constants, and texts made of the message. */
#ifndef REWRITE_VALUE_H
#define REWRITE_VALUE_H

#include "field.h"
#include "template.h"

enum { MAX_SOURCES = 128, MAX_TEXT = 64 * 1024 };

typedef enum { MISSING_SKIP, MISSING_EMPTY, MISSING_REJECT } missing_rule;

static missing_rule missing;

/* The fields that templates read, each once. */
static field sources[MAX_SOURCES];
static uint32_t source_count;

static int32_t source_of(const settings *s, rf_str key, rf_str name) {
    for (uint32_t i = 0; i < source_count; i++)
        if (rf_eq(sources[i].text, name)) return (int32_t)i;
    if (source_count == MAX_SOURCES) {
        st_refuse(s, key, RF_STR("all values together read at most 128 fields"), RF_STR(""));
        return -1;
    }
    if (!field_read(s, key, name, &sources[source_count])) return -1;
    return (int32_t)source_count++;
}

/* A value: the typed constant, or the template. */
typedef struct {
    rf_type type; /* RF_T_UTF8: the template */
    uint64_t bits;
    text_template text;
} value;

/* value_read reads what the configuration has at key. */
static bool value_read(const settings *s, const rf_msg *config, rf_str key, rf_value v, value *out) {
    static const rf_str what = {"write a text, a number or a boolean", 35};
    rf_str text;
    rf_header h;
    *out = (value){.type = RF_T_UTF8};
    if (st_keep(v, &text)) return template_read(s, key, text, source_of, &out->text);
    if (v.kind == RF_JSON_OBJECT || v.kind == RF_JSON_ARRAY || v.kind == RF_JSON_NULL) return st_refuse(s, key, what, v.text);
    /* JSON does not tell 5 from 5.0; the configuration's own types do. */
    if (!rf_get_header(config, key, &h) || h.raw.n > 8) return st_refuse(s, key, what, v.text);
    out->type = h.type;
    __builtin_memcpy(&out->bits, h.raw.p, h.raw.n);
    return true;
}

typedef enum { MADE, LEFT_OUT, ENDED } making;

/* Texts of one call are made here, one after the other. */
static char scratch[MAX_TEXT];
static uint32_t used;

/* absent says what becomes of a value that the message does not have. */
static making absent(const field *f, rf_delta *out) {
    if (missing == MISSING_SKIP) return LEFT_OUT;
    if (missing == MISSING_EMPTY) return MADE;
    rf_text t = {0};
    rf_add(&t, RF_STR("no value of "));
    rf_add(&t, f->text);
    out->n = 0; /* a reject stands alone */
    rf_reject(out, rf_text_str(&t));
    return ENDED;
}

/* text_make makes the text of a template. It lies in scratch or in the message. */
static making text_make(const rf_msg *msg, const text_template *t, rf_str *text, rf_delta *out) {
    uint32_t from = used;
    *text = RF_STR("");
    for (uint32_t i = 0; i < t->n; i++) {
        const template_part *part = &t->at[i];
        rf_str piece = part->literal;
        if (part->source >= 0) {
            const field *f = &sources[part->source];
            rf_delta error = {out->p, 0, out->cap, false};
            if (sizeof scratch - used < 20) { /* the longest number */
                out->full = true;
                return ENDED;
            }
            if (!field_get(msg, f, scratch + used, sizeof scratch - used, &piece, &error)) {
                if (error.n > 0) {
                    *out = error;
                    return ENDED;
                }
                making end = absent(f, out);
                if (end != MADE) return end;
                piece = RF_STR("");
            }
        }
        if (t->n == 1) {
            if (piece.p == scratch + used) used += piece.n;
            *text = piece;
            return MADE;
        }
        if (piece.n > sizeof scratch - used) {
            out->full = true; /* the message fails with the code too-big */
            return ENDED;
        }
        __builtin_memmove(scratch + used, piece.p, piece.n);
        used += piece.n;
    }
    *text = rf_slice(scratch + from, used - from);
    return MADE;
}

/* copied tells whether a value is one header alone, whose type is kept. */
static bool copied(const rf_msg *msg, const value *v, rf_header *h) {
    if (v->type != RF_T_UTF8 || v->text.n != 1 || v->text.at[0].source < 0) return false;
    const field *f = &sources[v->text.at[0].source];
    return f->origin == FIELD_HEADER && rf_header_hashed(msg, f->name, f->hash, h) && h->type != RF_T_NULL && h->type != RF_T_NESTED;
}

#endif
