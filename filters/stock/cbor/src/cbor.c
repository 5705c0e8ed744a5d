/*
 * cbor: turns bodies from JSON to CBOR (RFC 8949) and back, in the stages decode
 * and encode. See the README beside it.
 */
#include "media.h"
#include "settings.h"
#include "to_cbor.h"
#include "to_json.h"

static direction decode_direction, encode_direction;
static bool force;

static bool is_other(rf_str type) { return rf_eq(type, RF_STR("application/cbor")) || ends(type, RF_STR("+cbor")); }

static void convert(const rf_msg *msg, rf_delta *d, direction dir) {
    dir = resolve(dir, force, rf_prop(msg, RF_CONTENT_TYPE));
    if (dir == OFF) return;
    convert_begin();
    rf_str body = rf_body(msg);
    if (dir == TO_JSON ? cbor_to_json(body) : json_to_cbor(body))
        put_converted(msg, d, rf_slice(out.p, out_n), dir, RF_STR("application/cbor"));
    else
        convert_report(d, dir == TO_JSON ? RF_STR("CBOR to JSON") : RF_STR("JSON to CBOR"));
}

RF_INIT(config, d) {
    const rf_str directions = RF_STR("off auto json-to-cbor cbor-to-json"); /* as direction has them */
    settings s = st_open(config, d);
    st_known(&s, RF_STR("decode encode force not_finite keys tags sort_keys"));
    decode_direction = (direction)st_choice(&s, RF_STR("decode"), directions, OFF);
    encode_direction = (direction)st_choice(&s, RF_STR("encode"), directions, OFF);
    force = st_flag(&s, RF_STR("force"), false);
    null_for_nan = st_choice(&s, RF_STR("not_finite"), RF_STR("error null"), 0) == 1;
    keys_to_text = st_choice(&s, RF_STR("keys"), RF_STR("error text"), 0) == 1;
    drop_tags = st_choice(&s, RF_STR("tags"), RF_STR("error drop"), 0) == 1;
    sort_keys = st_flag(&s, RF_STR("sort_keys"), false);
    if (decode_direction == OFF && encode_direction == OFF)
        st_refuse(&s, RF_STR("decode"), RF_STR("neither it nor encode is set: write for example decode = \"cbor-to-json\""), RF_STR(""));
}

RF_NEEDS(RF_NEED_BODY | RF_NEED_PROPERTIES | RF_STATELESS)

RF_STAGE(decode, msg, d) { convert(msg, d, decode_direction); }

RF_STAGE(encode, msg, d) { convert(msg, d, encode_direction); }
