/* The least that a C guest of the tests needs. */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define EXPORT(name) __attribute__((export_name(name), visibility("default")))
#define IMPORT(name) __attribute__((import_module("router"), import_name(name)))

struct frame {
	u32 magic; u16 head_len, minor; u32 total_len, flags;
	u32 hdr_off, n_hdr, body_off, body_len;
	u64 body_full_len; i64 timestamp_ns;
	u32 prop_off, n_prop;
	u8 priority, delivery_mode, stage, pad[5];
	i64 received_ns; u64 zero;
};

struct header { u32 key_off; u16 key_len; u8 type, flags; u32 val_off, val_len, hash; };

static u8 input[1 << 18] __attribute__((aligned(8)));

EXPORT("router_abi_1") void router_abi_1(void) {}
EXPORT("router_buffer") void *router_buffer(u32 n) { return n <= sizeof input ? input : 0; }

static inline u32 hash(const char *s, u32 n) {
	u32 h = 0x811c9dc5;
	for (u32 i = 0; i < n; i++) h = (h ^ (u8)s[i]) * 0x01000193;
	return h;
}

static inline int same(const u8 *a, const char *b, u32 n) {
	for (u32 i = 0; i < n; i++) if (a[i] != (u8)b[i]) return 0;
	return 1;
}

static inline const struct header *find(const u8 *f, const char *key, u32 n, u32 h) {
	const struct frame *fr = (const struct frame *)f;
	const struct header *e = (const struct header *)(f + fr->hdr_off);
	for (u32 i = 0; i < fr->n_hdr; i++)
		if (e[i].hash == h && e[i].key_len == n && same(f + e[i].key_off, key, n)) return &e[i];
	return 0;
}
#define FIND(f, key) find(f, key, sizeof key - 1, hash(key, sizeof key - 1))

/* The delta under construction. */
static u8 out[1 << 16] __attribute__((aligned(8)));
static u32 out_len;

static inline void op(u8 code, u8 flags, const void *key, u16 klen, const void *val, u32 vlen) {
	u8 *p = out + out_len;
	p[0] = code; p[1] = flags;
	*(u16 *)(p + 2) = klen; *(u32 *)(p + 4) = vlen;
	for (u32 i = 0; i < klen; i++) p[8 + i] = ((const u8 *)key)[i];
	for (u32 i = 0; i < vlen; i++) p[8 + klen + i] = ((const u8 *)val)[i];
	u32 n = 8 + klen + vlen;
	while (n & 7) p[n++] = 0;
	out_len += n;
}
static inline i64 done(void) {
	u32 n = out_len;
	out_len = 0;
	return n ? (i64)((u64)(u32)(unsigned long)out << 32 | n) : 0;
}
