/*
 * hmac: signs what goes out, and rejects what came in without a good signature.
 *
 * A signature is the HMAC-SHA256 of the body, with the time and chosen headers
 * before it. README.md says which bytes exactly, for others that sign or verify.
 */
#include "settings.h"
#include "sha256.h"

enum { MAX_KEYS = 16, MAX_HEADERS = 32, MIN_SECRET = 16, MAX_SECRET = 4096, TEXT_MAX = 64 };

typedef struct {
    rf_str id;
    hmac_key key;
} named_key;

static enum { MODE_SIGN, MODE_VERIFY } mode;
static enum { ENCODING_HEX, ENCODING_BASE64 } encoding;
static named_key keys[MAX_KEYS];
static uint32_t key_count;
static named_key *signer;
static rf_str headers[MAX_HEADERS];
static uint32_t header_count;
static rf_str header, key_header, time_header;
static bool with_time;
static int64_t max_age_ms;
static rf_text too_old;

/* ---- texts of bytes --------------------------------------------------- */

static int digit_of(char c, bool base64) {
    if (base64) {
        if (c >= 'A' && c <= 'Z') return c - 'A';
        if (c >= 'a' && c <= 'z') return c - 'a' + 26;
        if (c >= '0' && c <= '9') return c - '0' + 52;
        return c == '+' ? 62 : c == '/' ? 63 : -1;
    }
    if (c >= '0' && c <= '9') return c - '0';
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* bytes_of reads hexadecimal or padded base64 text. */
static bool bytes_of(rf_str text, bool base64, uint8_t *out, uint32_t cap, uint32_t *n) {
    uint32_t bits = 0, have = 0, pad = 0;
    *n = 0;
    if (text.n % (base64 ? 4 : 2) != 0) return false;
    while (base64 && pad < 2 && pad < text.n && text.p[text.n - 1 - pad] == '=') pad++;
    for (uint32_t i = 0; i + pad < text.n; i++) {
        int d = digit_of(text.p[i], base64);
        if (d < 0) return false;
        bits = bits << (base64 ? 6 : 4) | (uint32_t)d;
        have += base64 ? 6 : 4;
        if (have < 8) continue;
        have -= 8;
        if (*n == cap) return false;
        out[(*n)++] = (uint8_t)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return bits == 0; /* what base64 leaves over */
}

/* text_of writes a signature; out holds TEXT_MAX bytes. */
static rf_str text_of(const uint8_t *mac, char *out) {
    static const char hex[] = "0123456789abcdef";
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t n = 0;
    if (encoding == ENCODING_HEX) {
        for (int i = 0; i < SHA256_SIZE; i++) {
            out[n++] = hex[mac[i] >> 4];
            out[n++] = hex[mac[i] & 15];
        }
        return rf_slice(out, n);
    }
    for (int i = 0; i < SHA256_SIZE; i += 3) { /* 32 bytes: two are left at the end */
        uint32_t v = (uint32_t)mac[i] << 16 | (uint32_t)mac[i + 1] << 8 | (i + 2 < SHA256_SIZE ? mac[i + 2] : 0);
        for (int shift = 18; shift >= 0; shift -= 6) out[n++] = base64[v >> shift & 63];
    }
    out[n - 1] = '=';
    return rf_slice(out, n);
}

/* ---- configuration ---------------------------------------------------- */

static const rf_str keys_key = {"keys", 4};

/* about is a mistake in one key; its secret is not shown. */
static bool about(const settings *s, rf_str id, rf_str what) {
    rf_text t = {0};
    rf_add(&t, RF_STR("keys."));
    rf_add(&t, id);
    return st_refuse(s, rf_text_str(&t), what, RF_STR(""));
}

static bool read_secret(const settings *s, rf_str id, rf_value v, named_key *k) {
    static uint8_t bytes[MAX_SECRET];
    rf_str kind, rest, secret;
    if (!st_keep(v, &secret)) return about(s, id, RF_STR("write the secret as a string, for example \"${file:/run/secrets/key}\""));
    rf_cut(secret, ':', &kind, &rest);
    bool hex = rf_eq(kind, RF_STR("hex")), base64 = rf_eq(kind, RF_STR("base64"));
    if (hex || base64) {
        uint32_t n;
        if (!bytes_of(rest, base64, bytes, sizeof bytes, &n))
            return about(s, id, hex ? RF_STR("behind hex: there is no hexadecimal text") : RF_STR("behind base64: there is no padded base64 text"));
        secret = rf_slice(bytes, n);
    }
    if (secret.n < MIN_SECRET || secret.n > MAX_SECRET) return about(s, id, RF_STR("the secret has less than 16 bytes, or more than 4096"));
    hmac_key_init(&k->key, secret);
    k->id = id;
    return true;
}

static void read_keys(const settings *s) {
    rf_value table, v, name = {.kind = RF_JSON_STRING};
    if (!st_find(s, keys_key, &table) || table.kind != RF_JSON_OBJECT) {
        st_refuse(s, keys_key, RF_STR("write a table of secrets, for example keys = { first = \"${file:/run/secrets/key}\" }"), RF_STR(""));
        return;
    }
    rf_json_iter it = rf_json_each(table);
    while (rf_json_next(&it, &name.text, &name.escaped, &v)) {
        rf_str id;
        if (key_count == MAX_KEYS) {
            st_refuse(s, keys_key, RF_STR("write at most 16 keys"), RF_STR(""));
            return;
        }
        if (!st_keep(name, &id) || id.n == 0 || id.n > 64) {
            st_refuse(s, keys_key, RF_STR("a key's id has 1 to 64 bytes"), name.text);
            return;
        }
        if (!read_secret(s, id, v, &keys[key_count])) return;
        key_count++;
    }
    if (key_count == 0) st_refuse(s, keys_key, RF_STR("the table is empty"), RF_STR(""));
}

static named_key *find_key(rf_str id) {
    for (uint32_t i = 0; i < key_count; i++)
        if (rf_eq(keys[i].id, id)) return &keys[i];
    return NULL;
}

static void read_signer(const settings *s) {
    static const rf_str sign_with = {"sign_with", 9};
    rf_value v;
    bool given = st_find(s, sign_with, &v);
    if (mode == MODE_VERIFY) {
        if (given) st_refuse(s, sign_with, RF_STR("goes with mode = \"sign\""), RF_STR(""));
        return;
    }
    signer = &keys[0];
    if (given)
        signer = find_key(st_text(s, sign_with, RF_STR("")));
    else if (key_count > 1)
        st_refuse(s, sign_with, RF_STR("is missing: there are several keys; write the id of the one to sign with"), RF_STR(""));
    if (signer == NULL) st_refuse(s, sign_with, RF_STR("write the id of one of the keys"), v.text);
}

static void read_headers(const settings *s) {
    static const rf_str key = {"headers", 7};
    rf_value v, e;
    if (!st_find(s, key, &v)) return;
    if (v.kind != RF_JSON_ARRAY) {
        st_refuse(s, key, RF_STR("write an array of names"), v.text);
        return;
    }
    rf_json_iter it = rf_json_each(v);
    while (rf_json_next(&it, NULL, NULL, &e)) {
        if (header_count == MAX_HEADERS) {
            st_refuse(s, key, RF_STR("write at most 32 names"), RF_STR(""));
            return;
        }
        if (!st_keep(e, &headers[header_count]) || !rf_need_header(headers[header_count])) {
            st_refuse(s, key, RF_STR("write names of 1 to 255 bytes"), e.text);
            return;
        }
        header_count++;
    }
}

/* named returns the header's name with something behind it. */
static rf_str named(rf_str suffix) {
    char *p = rf_alloc(header.n + suffix.n);
    if (p == NULL) return header;
    __builtin_memcpy(p, header.p, header.n);
    __builtin_memcpy(p + header.n, suffix.p, suffix.n);
    return rf_slice(p, header.n + suffix.n);
}

RF_INIT(config, out) {
    settings s = st_open(config, out);
    rf_value v;
    rf_text age = {0};
    st_known(&s, RF_STR("mode keys sign_with header encoding headers timestamp max_age"));
    if (!st_find(&s, RF_STR("mode"), &v)) st_refuse(&s, RF_STR("mode"), RF_STR("is missing: write sign or verify"), RF_STR(""));
    mode = st_choice(&s, RF_STR("mode"), RF_STR("sign verify"), MODE_SIGN);
    encoding = st_choice(&s, RF_STR("encoding"), RF_STR("hex base64"), ENCODING_HEX);
    header = st_header(&s, RF_STR("header"), RF_STR("signature"));
    if (header.n > 240) st_refuse(&s, RF_STR("header"), RF_STR("write a name of at most 240 bytes"), RF_STR(""));
    key_header = named(RF_STR("-key"));
    time_header = named(RF_STR("-time"));
    with_time = st_flag(&s, RF_STR("timestamp"), false);
    max_age_ms = st_duration(&s, RF_STR("max_age"), 720ll * 3600000, RF_STR("720h"), &age);
    if (max_age_ms > 0 && (mode != MODE_VERIFY || !with_time))
        st_refuse(&s, RF_STR("max_age"), RF_STR("goes with mode = \"verify\" and timestamp = true"), RF_STR(""));
    read_headers(&s);
    read_keys(&s);
    read_signer(&s);
    rf_need_header(header);
    rf_need_header(key_header);
    rf_need_header(time_header);
    rf_add(&too_old, RF_STR("the signature's time is more than "));
    rf_add(&too_old, rf_text_str(&age));
    rf_add(&too_old, RF_STR(" from now"));
}

RF_NEEDS(RF_STATELESS | RF_NEED_BODY | RF_NEED_HEADERS)

/* ---- messages --------------------------------------------------------- */

/* add_header adds one header: its name, its value's length and its value. False
   when its type has no text that everybody would write alike. */
static bool add_header(sha256 *h, const rf_msg *msg, rf_str name) {
    rf_header v;
    rf_str value;
    char buf[20];
    sha256_add(h, name);
    if (!rf_get_header(msg, name, &v)) {
        sha256_add(h, RF_STR(":-\n"));
        return true;
    }
    if (!rf_header_text(v, buf, &value)) return false;
    char length[20];
    sha256_add(h, RF_STR(":"));
    sha256_add(h, rf_decimal(value.n, length));
    sha256_add(h, RF_STR(":"));
    sha256_add(h, value);
    sha256_add(h, RF_STR("\n"));
    return true;
}

/* compute writes the signature of a message. False, with the header to blame,
   when it cannot be signed. */
static bool compute(const named_key *k, const rf_msg *msg, rf_str time, uint8_t *mac, rf_str *bad) {
    sha256 h = k->key.inner;
    if (with_time) {
        sha256_add(&h, time);
        sha256_add(&h, RF_STR("."));
    }
    for (uint32_t i = 0; i < header_count; i++) {
        *bad = headers[i];
        if (!add_header(&h, msg, headers[i])) return false;
    }
    sha256_add(&h, rf_body(msg));
    hmac_end(&k->key, &h, mac);
    return true;
}

static rf_str unsignable(rf_text *t, rf_str name) {
    rf_add(t, RF_STR("a floating point number, a table or null cannot be signed: header "));
    rf_add(t, name);
    return rf_text_str(t);
}

RF_STAGE(encode, msg, out) {
    if (mode != MODE_SIGN) return;
    uint8_t mac[SHA256_SIZE];
    char text[TEXT_MAX], digits[20];
    rf_text t = {0};
    rf_str bad, time = rf_decimal(rf_time_ns() / 1000000000, digits);
    if (!compute(signer, msg, time, mac, &bad)) {
        rf_error(out, RF_STR("unsignable"), unsignable(&t, bad));
        return;
    }
    rf_set_header(out, header, text_of(mac, text));
    rf_set_header(out, key_header, signer->id);
    if (with_time) rf_set_header(out, time_header, time);
}

/* fresh checks the time that a signature has, in seconds. */
static bool fresh(int64_t seconds) {
    if (max_age_ms == 0) return true;
    int64_t off = rf_time_ns() / 1000000 - seconds * 1000;
    return off <= max_age_ms && off >= -max_age_ms;
}

static bool header_of(const rf_msg *msg, rf_str name, char *buf, rf_str *out) {
    rf_header h;
    return rf_get_header(msg, name, &h) && rf_header_text(h, buf, out);
}

/* alike compares in a time that does not depend on where a difference is. */
static bool alike(const uint8_t *a, const uint8_t *b) {
    volatile uint8_t different = 0;
    for (int i = 0; i < SHA256_SIZE; i++) different |= a[i] ^ b[i];
    return different == 0;
}

/* verify returns why a message is not to be trusted; empty when it is. */
static rf_str verify(const rf_msg *msg, rf_text *t) {
    uint8_t given[SHA256_SIZE], mac[SHA256_SIZE];
    uint32_t n;
    int64_t seconds = 0;
    rf_str signature, id, time = RF_STR(""), bad;
    char b1[20], b2[20], b3[20];
    if (!header_of(msg, header, b1, &signature)) return RF_STR("the message has no signature");
    if (!bytes_of(signature, encoding == ENCODING_BASE64, given, sizeof given, &n) || n != SHA256_SIZE)
        return encoding == ENCODING_HEX ? RF_STR("the signature is not 64 hexadecimal digits") : RF_STR("the signature is not base64 of 32 bytes");
    if (with_time && !(header_of(msg, time_header, b2, &time) && st_digits(time, &seconds)))
        return RF_STR("the signature has no time, in seconds since 1970");
    if (with_time && !fresh(seconds)) return rf_text_str(&too_old);
    named_key *first = keys, *end = keys + key_count;
    if (header_of(msg, key_header, b3, &id)) {
        first = find_key(id);
        if (first == NULL) return RF_STR("the signature is by a key that is not known");
        end = first + 1;
    }
    for (; first < end; first++) {
        if (!compute(first, msg, time, mac, &bad)) return unsignable(t, bad);
        if (alike(mac, given)) return RF_STR("");
    }
    return RF_STR("the signature is wrong");
}

RF_STAGE(decode, msg, out) {
    if (mode != MODE_VERIFY) return;
    rf_text t = {0};
    rf_str why = verify(msg, &t);
    if (why.n > 0) rf_reject(out, why);
}
