// A filter that uses what the stock filters do not. Its twin is
// sdk/c/testdata/all.c.
import {
  addMetric, defineMetric, handle, kvAdd, kvDelete, kvGet, kvSet, kvSwap, Level, log,
  MetricKind, needs, observeMetric, onInit, random, readBody, Slot, Str, timeNS,
} from "../filter";
export * from "../abi";

let seen: i32 = -1;
let took: i32 = -1;

needs(0);
onInit((config, d) => {
  seen = defineMetric(MetricKind.Counter, "seen");
  took = defineMetric(MetricKind.Histogram, "took");
  if (seen < 0 || took < 0) d.error("config", "no metrics");
});

export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    addMetric(seen, 1);
    observeMetric(took, 0.5);
    random(8);
    log(Level.Warn, "hello");
    d.setHeaderBool("time", timeNS() > 0);
    d.setHeaderInt("int", -7);
    d.setHeaderBytes("bytes", readBody(2, 4));
    d.delHeader("k");
    d.drop("split");
    d.emit();
    d.setBody("one");
    d.target("queue:a");
    d.emit();
    d.clearHeaders();
    d.setProp(Slot.Type, "second");
    d.target("exchange:ex/key");
    d.target("server:ctl/compute.host");
  });
}

const old = Str.of("value");
const empty = Str.of("");

export function router_unpack(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    d.setHeaderBool("set", kvSet("k", old));
    d.setHeaderBool("refused", !kvSet("", old));
    const got = kvGet("k");
    if (got == null) return;
    d.setHeaderInt("get", got.length);
    d.setHeader("value", got);
    d.setHeaderBool("taken", !kvSwap("k", null, empty, 1000));
    d.setHeaderBool("other", !kvSwap("k", empty, empty, 1000));
    d.setHeaderBool("swapped", kvSwap("k", old, empty, 1000));
    d.setHeaderBool("again", kvSwap("k", empty, old, 1000));
    d.setHeaderBool("first", kvSwap("new", null, "", 1000));
    d.setHeaderBool("none", kvGet("absent") == null);
    kvAdd("n", 40, 1000);
    d.setHeaderInt("sum", kvAdd("n", 2));
    d.setHeaderBool("deleted", kvDelete("k") && !kvDelete("k"));
  });
}

export function router_pack(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => d.retry(250, "later"));
}

export function router_encode(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => d.errorRetryable("busy", "try again"));
}
