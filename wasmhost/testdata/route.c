/* Reads three headers and chooses the target, as most filters do. */
#include "guest.h"

EXPORT("router_decide") i64 router_decide(u8 *f, u32 n) {
	const struct header *tenant = FIND(f, "tenant");
	const struct header *type = FIND(f, "type");
	const struct header *prio = FIND(f, "priority");
	if (!tenant || !type || !prio) return 0;
	static const char high[] = "orders.high", low[] = "orders.low";
	if (*(i64 *)(f + prio->val_off) > 5)
		op(5, 0, "queue", 5, high, sizeof high - 1);
	else
		op(5, 0, "queue", 5, low, sizeof low - 1);
	return done();
}
