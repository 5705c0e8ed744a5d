/*
 * json-schema: rejects, marks or diverts messages whose body does not match a
 * JSON Schema. See the README beside it.
 */
#include "field.h"
#include "validate.h"

enum { MAX_CHOICES = 256 };

static entries choices; /* the schemas by the value of the field `by` */
static uint32_t only;   /* the schema, when there is one */
static fields by;
static bool pass_unknown;
static enum { ACTION_REJECT, ACTION_DROP, ACTION_MARK, ACTION_DIVERT } action;
static rf_str header, target;

/* ---- configuration ---------------------------------------------------- */

static const rf_str key_schema = {"schema", 6}, key_schemas = {"schemas", 7}, key_json = {"schema_json", 11};

/* refuse_compiled says which schema is wrong, and where in it. */
static bool refuse_compiled(const settings *s, rf_str key, rf_str name) {
    rf_text where = {0};
    rf_add(&where, key);
    if (name.n > 0) rf_add(&where, RF_STR("."));
    rf_add(&where, name);
    return st_refuse(s, rf_text_str(&where), schema_fault.n > 0 ? rf_text_str(&schema_fault) : RF_STR("out of memory"), RF_STR(""));
}

/* read_document makes the text of a configuration key into the document of
   schemas. */
static bool read_document(const settings *s, rf_str key, rf_str json_text) {
    doc d;
    uint32_t count;
    bool ok = tree_read(json_text, &d);
    count = n_nodes;
    if (!ok) {
        rf_text t = {0};
        uint32_t n = 0;
        while (fault[n] != 0) n++;
        rf_add(&t, RF_STR("not JSON: "));
        rf_add(&t, rf_slice(fault, n));
        rf_add(&t, RF_STR(" at byte "));
        rf_add_int(&t, fault_at);
        return st_refuse(s, key, rf_text_str(&t), RF_STR(""));
    }
    if (!tree_keep(json_text, &d) || !schemas_begin(&d, count)) return st_refuse(s, key, RF_STR("out of memory"), RF_STR(""));
    return true;
}

static bool read_choices(const settings *s) {
    if (text.v[0].kind != TREE_OBJECT || text.v[0].n == 0 || text.v[0].n > MAX_CHOICES)
        return st_refuse(s, key_schemas, RF_STR("write a table of 1 to 256 schemas by the value of the field"), RF_STR(""));
    choices.at = rf_alloc(text.v[0].n * (uint32_t)sizeof(entry));
    if (choices.at == NULL) return st_refuse(s, key_schemas, RF_STR("out of memory"), RF_STR(""));
    for (uint32_t i = 1; i < text.v[0].more; i = behind(&text, i + 1)) {
        entry *e = &choices.at[choices.n++];
        *e = (entry){.hash = text.v[i].more, .name = text_at(&text, i)};
        if (!schemas_add(i + 1, &e->schema)) return refuse_compiled(s, key_schemas, e->name);
    }
    order(&choices);
    return true;
}

static bool read_schemas(const settings *s) {
    rf_value table, texts, many;
    bool a = st_find(s, key_schema, &table), b = st_find(s, key_json, &texts), c = st_find(s, key_schemas, &many);
    if (a + b + c != 1) return st_refuse(s, key_schema, RF_STR("write one of schema, schema_json and schemas"), RF_STR(""));
    if (c != (by.n > 0)) return st_refuse(s, RF_STR("by"), RF_STR("goes with schemas, and schemas with it: the field whose value chooses one"), RF_STR(""));
    rf_str json_text = a ? table.text : many.text;
    if (b && !st_keep(texts, &json_text)) return st_refuse(s, key_json, RF_STR("write a schema as JSON text"), RF_STR(""));
    if (!b && (a ? table.kind : many.kind) != RF_JSON_OBJECT)
        return st_refuse(s, a ? key_schema : key_schemas, RF_STR("write a table"), RF_STR(""));
    rf_str key = a ? key_schema : b ? key_json : key_schemas;
    if (!read_document(s, key, json_text)) return false;
    if (c) return read_choices(s);
    return schemas_add(0, &only) || refuse_compiled(s, key, RF_STR(""));
}

static void read_action(const settings *s) {
    static const rf_str key = {"invalid", 7};
    rf_str word = st_text(s, key, RF_STR("reject"));
    uint8_t space[600];
    rf_delta probe = {.p = space, .cap = sizeof space};
    action = rf_eq(word, RF_STR("reject")) ? ACTION_REJECT : rf_eq(word, RF_STR("drop")) ? ACTION_DROP : rf_eq(word, RF_STR("mark")) ? ACTION_MARK : ACTION_DIVERT;
    target = word;
    if (action == ACTION_DIVERT && !rf_target(&probe, word))
        st_refuse(s, key, RF_STR("write reject, drop, mark, or a target such as queue:invalid"), word);
}

RF_INIT(config, out_) {
    settings s = st_open(config, out_);
    st_known(&s, RF_STR("schema schema_json schemas by unknown invalid header"));
    fields_read(&s, RF_STR("by"), &by);
    if (by.n > 1) st_refuse(&s, RF_STR("by"), RF_STR("write one field"), RF_STR(""));
    pass_unknown = st_choice(&s, RF_STR("unknown"), RF_STR("reject pass"), 0) == 1;
    header = st_header(&s, RF_STR("header"), RF_STR("schema-error"));
    read_action(&s);
    if (st_ok(&s)) read_schemas(&s);
}

RF_EXPORT("router_needs") int64_t needs(void) {
    return RF_STATELESS | RF_NEED_BODY | fields_need(&by);
}

/* ---- messages ----------------------------------------------------------- */

/* choose finds the schema for a message: false with a reason when there is none,
   or without when it passes. */
static bool choose(const rf_msg *msg, uint32_t *number, rf_text *why) {
    char buf[256];
    rf_str value;
    if (by.n == 0) {
        *number = only;
        return true;
    }
    rf_delta unused = {0}; /* that the body is JSON has been seen */
    bool found = field_get(msg, &by.at[0], buf, sizeof buf, &value, &unused);
    const entry *e = found ? find_entry(&choices, value, rf_hash(value)) : NULL;
    if (e != NULL) {
        *number = e->schema;
        return true;
    }
    if (pass_unknown) return false;
    rf_add(why, RF_STR("no schema for "));
    rf_add(why, by.at[0].text);
    if (found) {
        rf_add(why, RF_STR(" = "));
        rf_add(why, value);
    } else {
        rf_add(why, RF_STR(", which is missing"));
    }
    return false;
}

static void add_c(rf_text *t, const char *s) {
    uint32_t n = 0;
    while (s[n] != 0) n++;
    rf_add(t, rf_slice(s, n));
}

/* describe writes what is wrong: the keyword first, which is never cut. */
static void describe(rf_text *t) {
    add_c(t, wrong_keyword);
    if (wrong_name.n > 0) {
        rf_add(t, RF_STR(" "));
        rf_add(t, wrong_name);
    }
    rf_add(t, RF_STR(" at \""));
    add_pointer(t, &body, 0, wrong_at);
    rf_add(t, RF_STR("\""));
}

/* inspect tells whether a message is fine; else why, or an error in d. */
static bool inspect(const rf_msg *msg, rf_delta *d, rf_text *why) {
    uint32_t number;
    if (!tree_read(rf_body(msg), &body)) {
        if (fault == no_memory) {
            convert_report(d, RF_STR("the body"));
            return true;
        }
        rf_add(why, RF_STR("not JSON: "));
        add_c(why, fault);
        rf_add(why, RF_STR(" at byte "));
        rf_add_int(why, fault_at);
        return false;
    }
    if (!choose(msg, &number, why)) return why->n == 0;
    if (validate(number)) return true;
    if (fault != NULL || too_nested) {
        if (fault != NULL) convert_report(d, RF_STR("the body"));
        else rf_error(d, RF_STR("too-deep"), RF_STR("schemas are nested too deep for this body"));
        return true;
    }
    describe(why);
    return false;
}

RF_STAGE(unpack, msg, d) {
    rf_text why = {0};
    if (action == ACTION_DIVERT) return;
    bool ok = inspect(msg, d, &why);
    if (action == ACTION_MARK) {
        if (ok) rf_del_header(d, header);
        else rf_set_header(d, header, rf_text_str(&why));
    } else if (!ok) {
        if (action == ACTION_DROP) rf_drop(d, rf_text_str(&why));
        else rf_reject(d, rf_text_str(&why));
    }
}

RF_STAGE(decide, msg, d) {
    rf_text why = {0};
    if (action != ACTION_DIVERT || inspect(msg, d, &why)) return;
    rf_set_header(d, header, rf_text_str(&why));
    rf_target(d, target);
    rf_stop(d);
}
