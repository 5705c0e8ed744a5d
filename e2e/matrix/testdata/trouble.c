/* A filter that does what the header "trouble" of a message says, and nothing to
   the others, save that it marks them, or leaks memory at each, if it is configured to. */
#include "router_filter.h"

static rf_text mark;
static bool leaks;

static void leak(void) {
    uint8_t *p = rf_alloc(4096);
    if (p == NULL) __builtin_trap();
    p[0] = 1;
}

RF_INIT(config, out) {
    rf_header h;
    (void)out;
    if (rf_get_header(config, RF_STR("mark"), &h)) rf_add(&mark, h.raw);
    leaks = rf_get_header(config, RF_STR("leaks"), &h);
}

RF_STAGE(decide, msg, out) {
    rf_header h;
    if (rf_text_str(&mark).n > 0) rf_set_header(out, RF_STR("mark"), rf_text_str(&mark));
    if (leaks) leak();
    if (!rf_get_header(msg, RF_STR("trouble"), &h)) return;
    if (rf_eq(h.raw, RF_STR("trap"))) {
        __builtin_trap();
    } else if (rf_eq(h.raw, RF_STR("loop"))) {
        for (volatile int i = 0;; i++) {}
    } else if (rf_eq(h.raw, RF_STR("expiration"))) {
        rf_set_prop(out, RF_EXPIRATION, RF_STR("abc"));
    } else if (rf_eq(h.raw, RF_STR("key"))) {
        static char target[6 + 300] = "queue:";
        for (uint32_t i = 6; i < sizeof target; i++) target[i] = 'k';
        rf_target(out, rf_slice(target, sizeof target));
    } else if (rf_eq(h.raw, RF_STR("leak"))) {
        leak();
    }
}
