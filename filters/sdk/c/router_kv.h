/*
 * The cache that all instances of a filter share: part of router_filter.h. A
 * filter that calls one of these functions needs the grant kv; one that calls
 * none does not import them.
 *
 * Keys have 1 to 255 bytes. Entries live for ttl_ms milliseconds, at most and,
 * with 0, by default limits.kv_ttl; any may be gone earlier, to make room. Each
 * operation is atomic among the lanes.
 */
#ifndef ROUTER_KV_H
#define ROUTER_KV_H

RF_IMPORT("kv_get") int32_t rf_import_kv_get(uint32_t k, uint32_t kn, uint32_t p, uint32_t cap);
RF_IMPORT("kv_set") int32_t rf_import_kv_set(uint32_t k, uint32_t kn, uint32_t v, uint32_t vn, int64_t ttl_ms);
RF_IMPORT("kv_swap")
int32_t rf_import_kv_swap(uint32_t k, uint32_t kn, uint32_t old, uint32_t on, uint32_t v, uint32_t vn, int64_t ttl_ms);
RF_IMPORT("kv_add") int64_t rf_import_kv_add(uint32_t k, uint32_t kn, int64_t n, int64_t ttl_ms);
RF_IMPORT("kv_delete") int32_t rf_import_kv_delete(uint32_t k, uint32_t kn);

/* rf_kv_get returns the length of an entry's value, or -1 if there is none. The
   value is written to p if it fits in cap bytes. */
RF_API int32_t rf_kv_get(rf_str key, void *p, uint32_t cap) {
    return rf_import_kv_get((uint32_t)key.p, key.n, (uint32_t)p, cap);
}

/* rf_kv_set stores a value; false if key or value are too long. */
RF_API bool rf_kv_set(rf_str key, rf_str value, int64_t ttl_ms) {
    return rf_import_kv_set((uint32_t)key.p, key.n, (uint32_t)value.p, value.n, ttl_ms) != 0;
}

/* rf_kv_swap stores a value if the entry has the old one or, with old NULL, if
   there is no entry, and tells whether it did. */
RF_API bool rf_kv_swap(rf_str key, const rf_str *old, rf_str value, int64_t ttl_ms) {
    return rf_import_kv_swap((uint32_t)key.p, key.n, old ? (uint32_t)old->p : 0, old ? old->n : UINT32_MAX,
                             (uint32_t)value.p, value.n, ttl_ms) != 0;
}

/* rf_kv_add adds n to a counter, 8 bytes, and returns the sum. One that is not
   there starts at 0 and lives for ttl_ms from then on, however often it is added
   to. */
RF_API int64_t rf_kv_add(rf_str key, int64_t n, int64_t ttl_ms) {
    return rf_import_kv_add((uint32_t)key.p, key.n, n, ttl_ms);
}

/* rf_kv_delete removes an entry and tells whether there was one. */
RF_API bool rf_kv_delete(rf_str key) { return rf_import_kv_delete((uint32_t)key.p, key.n) != 0; }

#endif
