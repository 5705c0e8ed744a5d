/* Reads three headers and chooses the target; each language's route does so. */
#include "router_filter.h"
RF_NEEDS(RF_NEED_HEADERS | RF_STATELESS)

RF_INIT(config, out) {
    rf_need_header(RF_STR("tenant"));
    rf_need_header(RF_STR("type"));
    rf_need_header(RF_STR("region"));
}

RF_STAGE(decide, msg, out) {
    rf_header tenant, type, region;
    if (!rf_get_header(msg, RF_STR("tenant"), &tenant) || !rf_get_header(msg, RF_STR("type"), &type) || !rf_get_header(msg, RF_STR("region"), &region)) return;
    if (rf_eq(tenant.raw, RF_STR("acme")) && rf_eq(type.raw, RF_STR("created")) && rf_eq(region.raw, RF_STR("eu")))
        rf_target(out, RF_STR("queue:orders.created"));
}
