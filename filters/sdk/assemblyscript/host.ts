import { mark, release } from "./memory";
import { room, str, Str, trim } from "./str";

// Each of these is imported only by a filter that calls it.

// @ts-ignore: decorator
@external("router", "log")
declare function hostLog(level: i32, at: usize, length: i32): void;
// @ts-ignore: decorator
@external("router", "log_enabled")
declare function hostLogEnabled(level: i32): i32;
// @ts-ignore: decorator
@external("router", "random")
declare function hostRandom(at: usize, length: i32): void;
// @ts-ignore: decorator
@external("router", "time_ns")
declare function hostTimeNS(): i64;
// @ts-ignore: decorator
@external("router", "header_get")
declare function hostHeaderGet(key: usize, keyLength: i32, at: usize, cap: i32): i32;
// @ts-ignore: decorator
@external("router", "body_read")
declare function hostBodyRead(offset: u32, at: usize, cap: i32): i32;
// @ts-ignore: decorator
@external("router", "metric_def")
declare function hostMetricDef(kind: i32, at: usize, length: i32): i32;
// @ts-ignore: decorator
@external("router", "metric_add")
declare function hostMetricAdd(id: i32, v: i64): void;
// @ts-ignore: decorator
@external("router", "metric_obs")
declare function hostMetricObs(id: i32, v: f64): void;
// @ts-ignore: decorator
@external("router", "kv_get")
declare function hostKVGet(key: usize, keyLength: i32, at: usize, cap: i32): i32;
// @ts-ignore: decorator
@external("router", "kv_set")
declare function hostKVSet(key: usize, keyLength: i32, value: usize, length: i32, ttlMS: i64): i32;
// @ts-ignore: decorator
@external("router", "kv_swap")
declare function hostKVSwap(key: usize, keyLength: i32, old: usize, oldLength: i32, value: usize, length: i32, ttlMS: i64): i32;
// @ts-ignore: decorator
@external("router", "kv_add")
declare function hostKVAdd(key: usize, keyLength: i32, n: i64, ttlMS: i64): i64;
// @ts-ignore: decorator
@external("router", "kv_delete")
declare function hostKVDelete(key: usize, keyLength: i32): i32;

/** The levels of `log`. */
export const enum Level {
  Debug,
  Info,
  Warn,
  Error,
}

/** Reports whether a line of that level would be written. */
export function logEnabled(level: Level): bool {
  return hostLogEnabled(level) != 0;
}

/** Writes one line, of which 1 KiB is kept, to the router's log. */
export function log<T>(level: Level, text: T): void {
  if (!logEnabled(level)) return;
  const was = mark();
  const t = str(text);
  hostLog(level, t.at, t.length);
  release(was);
}

/** Returns `n` random bytes: such that depend only on the message, unless the filter has the grant random. */
export function random(n: i32): Str {
  const s = room(n);
  hostRandom(s.at, n);
  return s;
}

/** Returns nanoseconds since 1970: when the router received the message, or the clock with the grant clock. */
export function timeNS(): i64 {
  return hostTimeNS();
}

// How many bytes of a value are asked for at first.
const GUESS: i32 = 256;

/** Returns the bytes of a header as it was when the call began, also of one that the frame left out; null when there is none. */
export function readHeader<N>(name: N): Str | null {
  const k = str(name);
  let s = room(GUESS);
  let n = hostHeaderGet(k.at, k.length, s.at, s.length);
  while (n > s.length) {
    release(changetype<usize>(s));
    s = room(n);
    n = hostHeaderGet(k.at, k.length, s.at, s.length);
  }
  return fit(s, n);
}

/** Cuts a newest room to n bytes; null and no room if n is below 0. */
function fit(s: Str, n: i32): Str | null {
  if (n >= 0) return trim(s, n);
  release(changetype<usize>(s));
  return null;
}

/** Returns up to `n` bytes of the body from `offset`, those too that the frame left out; none at the end. */
export function readBody(offset: u32, n: i32): Str {
  const s = room(n);
  return trim(s, hostBodyRead(offset, s.at, n));
}

/** The kinds of metric. */
export const enum MetricKind {
  Counter,
  Gauge,
  /** Of seconds. */
  Histogram,
}

/**
 * Returns a metric's id, or -1. It may be called in `onInit` only, and like the
 * other metric functions needs the grant metrics: a module that calls one is
 * refused without it.
 */
export function defineMetric<N>(kind: MetricKind, name: N): i32 {
  const n = str(name);
  return hostMetricDef(kind, n.at, n.length);
}

/** Adds to a counter or a gauge. */
export function addMetric(id: i32, v: i64): void {
  hostMetricAdd(id, v);
}

/** Adds an observation to a histogram, or sets a gauge. */
export function observeMetric(id: i32, v: f64): void {
  hostMetricObs(id, v);
}

/**
 * Returns the value of an entry in the cache that all instances of the filter
 * share, or null if there is none.
 *
 * The kv functions need the grant kv: a module that calls one is refused without
 * it. Keys have 1 to 255 bytes. An entry lives for `ttlMS` milliseconds, at most
 * and, with 0, by default the limit kv_ttl; any may be gone earlier, to make
 * room. Each operation is atomic among the lanes.
 */
export function kvGet<K>(key: K): Str | null {
  const k = str(key);
  let s = room(GUESS);
  let n = hostKVGet(k.at, k.length, s.at, s.length);
  while (n > s.length) {
    release(changetype<usize>(s));
    s = room(n);
    n = hostKVGet(k.at, k.length, s.at, s.length);
  }
  return fit(s, n);
}

/** Stores a value; false if key or value are too long. */
export function kvSet<K, V>(key: K, value: V, ttlMS: i64 = 0): bool {
  const k = str(key);
  const v = str(value);
  return hostKVSet(k.at, k.length, v.at, v.length, ttlMS) != 0;
}

/** Stores a value if the entry's is `old` or, with null, if there is no entry, and tells whether it did. */
export function kvSwap<K, V>(key: K, old: Str | null, value: V, ttlMS: i64 = 0): bool {
  const k = str(key);
  const v = str(value);
  const o = changetype<usize>(old);
  return hostKVSwap(k.at, k.length, o == 0 ? 0 : old!.at, o == 0 ? -1 : old!.length, v.at, v.length, ttlMS) != 0;
}

/**
 * Adds `n` to a counter, 8 bytes little endian, and returns the sum. One that is
 * not there starts at 0 and lives for `ttlMS` from then on, however often it is
 * added to.
 */
export function kvAdd<K>(key: K, n: i64, ttlMS: i64 = 0): i64 {
  const k = str(key);
  return hostKVAdd(k.at, k.length, n, ttlMS);
}

/** Removes an entry and tells whether there was one. */
export function kvDelete<K>(key: K): bool {
  const k = str(key);
  return hostKVDelete(k.at, k.length) != 0;
}
