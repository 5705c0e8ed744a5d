/* Calls one kv function as the body says and reports what it returned. */
#include "guest.h"

IMPORT("kv_get") int kv_get(const void *k, u32 kn, void *buf, u32 cap);
IMPORT("kv_set") int kv_set(const void *k, u32 kn, const void *v, u32 vn, i64 ttl);
IMPORT("kv_swap") int kv_swap(const void *k, u32 kn, const void *old, u32 on, const void *v, u32 vn, i64 ttl);
IMPORT("kv_add") i64 kv_add(const void *k, u32 kn, i64 n, i64 ttl);
IMPORT("kv_delete") int kv_delete(const void *k, u32 kn);

/* The body: a function, the arguments, then data. Arguments whose bit is set in
   `inside` are offsets into the body. */
struct call { u8 what, quiet, inside, pad[5]; i64 args[7]; };

#define P(i) ((void *)(u32)a[i])
#define N(i) ((u32)a[i])

EXPORT("router_decide") i64 router_decide(u8 *f, u32 n) {
	const struct frame *fr = (const struct frame *)f;
	struct call *c = (struct call *)(f + fr->body_off);
	i64 a[7], r = 0;
	for (int i = 0; i < 7; i++) a[i] = c->args[i] + (c->inside >> i & 1 ? (u32)c : 0);
	switch (c->what) {
	case 'g': r = kv_get(P(0), N(1), P(2), N(3)); break;
	case 's': r = kv_set(P(0), N(1), P(2), N(3), a[4]); break;
	case 'w': r = kv_swap(P(0), N(1), P(2), N(3), P(4), N(5), a[6]); break;
	case 'a': r = kv_add(P(0), N(1), a[2], a[3]); break;
	case 'd': r = kv_delete(P(0), N(1)); break;
	}
	if (c->quiet) return 0;
	op(1, 3 << 4, "r", 1, &r, 8);
	op(7, 0, "", 0, c, fr->body_len);
	return done();
}
