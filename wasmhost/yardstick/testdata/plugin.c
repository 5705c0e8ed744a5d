/* The filter of filters/template/c as an Extism plugin: input and output pass
   through the SDK's kernel eight bytes a call, as its PDKs do it. */
#include <stdint.h>

#define EXT(name) __attribute__((import_module("extism:host/env"), import_name(name)))
EXT("input_length") uint64_t input_length(void);
EXT("input_load_u64") uint64_t input_load_u64(uint64_t at);
EXT("input_load_u8") uint32_t input_load_u8(uint64_t at);
EXT("alloc") uint64_t ext_alloc(uint64_t n);
EXT("store_u64") void store_u64(uint64_t at, uint64_t v);
EXT("store_u8") void store_u8(uint64_t at, uint32_t v);
EXT("output_set") void output_set(uint64_t at, uint64_t n);

#include "router_filter.h"

static _Alignas(8) uint8_t body[1 << 16];

__attribute__((export_name("route"))) int32_t route(void) {
    static const char queue[] = "orders.created";
    uint64_t n = input_length(), i = 0;
    if (n > sizeof body) return 1;
    for (; i + 8 <= n; i += 8) {
        uint64_t v = input_load_u64(i);
        __builtin_memcpy(body + i, &v, 8);
    }
    for (; i < n; i++) body[i] = (uint8_t)input_load_u8(i);
    rf_value v;
    if (rf_json_get(rf_slice(body, (uint32_t)n), RF_STR("type"), &v) != RF_FOUND) return 1;
    uint64_t out = ext_alloc(sizeof queue - 1);
    for (i = 0; i + 8 <= sizeof queue - 1; i += 8) {
        uint64_t w;
        __builtin_memcpy(&w, queue + i, 8);
        store_u64(out + i, w);
    }
    for (; i < sizeof queue - 1; i++) store_u8(out + i, (uint8_t)queue[i]);
    output_set(out, sizeof queue - 1);
    return 0;
}
