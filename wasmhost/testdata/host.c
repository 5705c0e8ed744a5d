/* Uses every host function and reports what it got in headers. */
#include "guest.h"

IMPORT("log") void router_log(u32 level, const void *p, u32 n);
IMPORT("log_enabled") u32 router_log_enabled(u32 level);
IMPORT("header_get") int router_header_get(const void *k, u32 kn, void *buf, u32 cap);
IMPORT("body_read") u32 router_body_read(u32 off, void *buf, u32 cap);
IMPORT("time_ns") i64 router_time_ns(void);
IMPORT("random") void router_random(void *p, u32 n);
IMPORT("metric_def") int router_metric_def(u32 kind, const void *n, u32 nn);
IMPORT("metric_add") void router_metric_add(int id, i64 v);
IMPORT("metric_obs") void router_metric_obs(int id, double v);

static int counter, gauge, hist, again, bad;
static char mode[64];
static u32 mode_len;

EXPORT("router_init") i64 router_init(u8 *f, u32 n) {
	counter = router_metric_def(0, "calls_total", 11);
	gauge = router_metric_def(1, "level", 5);
	hist = router_metric_def(2, "work_seconds", 12);
	again = router_metric_def(0, "calls_total", 11);
	bad = router_metric_def(1, "calls_total", 11) + router_metric_def(0, "Bad", 3);
	const struct header *h = FIND(f, "mode.name");
	if (h) {
		mode_len = h->val_len;
		for (u32 i = 0; i < h->val_len && i < sizeof mode; i++) mode[i] = f[h->val_off + i];
		if (same(f + h->val_off, "refuse", 6)) {
			op(10, 0, "config", 6, "mode.name cannot be refuse", 26);
			return done();
		}
	}
	return 0;
}

/* headers and the first 4 bytes of the body */
EXPORT("router_needs") i64 router_needs(void) { return 8 | 256 | (i64)4 << 32; }

EXPORT("router_decide") i64 router_decide(u8 *f, u32 n) {
	const struct frame *fr = (const struct frame *)f;
	u8 buf[64];
	i64 v = fr->flags;
	op(1, 3 << 4, "flags", 5, &v, 8);
	v = fr->body_len;
	op(1, 3 << 4, "body_len", 8, &v, 8);
	op(1, 1 << 4, "mode", 4, mode, mode_len);
	int len = router_header_get("tenant", 6, buf, sizeof buf);
	if (len >= 0) op(1, 1 << 4, "got", 3, buf, len);
	v = router_header_get("tenant", 6, buf, 1);
	op(1, 3 << 4, "len", 3, &v, 8);
	v = router_header_get("absent", 6, buf, sizeof buf);
	op(1, 3 << 4, "absent_len", 10, &v, 8);
	len = router_body_read(2, buf, 5);
	op(1, 1 << 4, "part", 4, buf, len);
	v = router_body_read(1 << 20, buf, 5);
	op(1, 3 << 4, "past", 4, &v, 8);
	v = router_time_ns();
	op(1, 3 << 4, "time", 4, &v, 8);
	router_random(buf, 8);
	op(1, 2 << 4, "random", 6, buf, 8);
	router_metric_add(counter, 2);
	router_metric_add(again, 1);
	router_metric_add(counter, -5);
	router_metric_obs(gauge, 2.5);
	router_metric_add(gauge, 1);
	router_metric_obs(hist, 0.001);
	router_metric_add(bad, 1);
	router_metric_add(1000, 1);
	v = router_metric_def(0, "late", 4);
	op(1, 3 << 4, "late", 4, &v, 8);
	v = router_log_enabled(0) | router_log_enabled(2) << 1;
	op(1, 3 << 4, "log", 3, &v, 8);
	router_log(2, "one\ntwo\x1b[31m\xff", 13);
	return done();
}
