/* Hashes the body, and signs it with the header key; the body comes in two
   pieces, cut at the header cut. */
#include "router_filter.h"
#include "sha256.h"

RF_STAGE(decide, msg, out) {
    uint8_t sum[SHA256_SIZE];
    rf_header key, cut;
    rf_str body = rf_body(msg);
    if (!rf_get_header(msg, RF_STR("key"), &key) || !rf_get_header(msg, RF_STR("cut"), &cut)) return;
    uint32_t at = (uint32_t)rf_i64(cut.raw.p);
    rf_str head = rf_slice(body.p, at), tail = rf_slice(body.p + at, body.n - at);

    sha256 s;
    sha256_init(&s);
    sha256_add(&s, head);
    sha256_add(&s, tail);
    sha256_end(&s, sum);
    rf_set_header_bytes(out, RF_STR("sum"), rf_slice(sum, sizeof sum));

    hmac_key k;
    hmac_key_init(&k, key.raw);
    s = k.inner;
    sha256_add(&s, head);
    sha256_add(&s, tail);
    hmac_end(&k, &s, sum);
    rf_set_header_bytes(out, RF_STR("mac"), rf_slice(sum, sizeof sum));
}
