// The conformance filter of SPEC.md, in AssemblyScript.
import {
  addMetric, concat, decimal, defineMetric, Delta, handle, hash, HeaderType, jsonBadAt, kvAdd, kvDelete, kvSet, kvSwap,
  Level, log, Message, MetricKind, needs, observeMetric, onInit, random, readHeader, Slot, Str, timeNS,
} from "../../sdk/assemblyscript/filter";
export * from "../../sdk/assemblyscript/abi";

// Of the SDK's functions for these none has a bound for what is read.
// @ts-ignore: decorator
@external("router", "header_get")
declare function headerGet(key: usize, keyLength: i32, at: usize, cap: i32): i32;
// @ts-ignore: decorator
@external("router", "body_read")
declare function bodyRead(offset: u32, at: usize, cap: i32): i32;
// @ts-ignore: decorator
@external("router", "kv_get")
declare function kvGet(key: usize, keyLength: i32, at: usize, cap: i32): i32;

const buffer = memory.data(1024);

let counter: i32 = -1;
let gauge: i32 = -1;
let histogram: i32 = -1;
let initTime: i64 = 0;
let initHeader: i64 = 0;
let initBody: i64 = 0;
let count: i64 = 0;

// What the configuration said.
let text: Str | null = null;
let tableKey: Str | null = null;
let hasInt = false;
let int: i64 = 0;
let hasBool = false;
let bool_ = false;

onInit((config, d) => {
  const fail = config.headerText("fail");
  if (fail != null) return d.error("config", fail);
  needs(config.configInt("needs", 7));
  text = kept(config.headerText("text"));
  tableKey = kept(config.headerText("table.key"));
  const i = config.header("int");
  hasInt = i != null && i.type == HeaderType.Int64;
  int = config.configInt("int");
  const b = config.header("bool");
  hasBool = b != null && b.type == HeaderType.Bool;
  bool_ = config.configBool("bool");

  const key = Str.of("do");
  initTime = timeNS();
  initHeader = headerGet(key.at, key.length, buffer, 1);
  initBody = bodyRead(0, buffer, 1);
  counter = defineMetric(MetricKind.Counter, "conf_total");
  gauge = defineMetric(MetricKind.Gauge, "conf_level");
  histogram = defineMetric(MetricKind.Histogram, "conf_seconds");
});

function kept(s: Str | null): Str | null {
  return s == null ? null : s.keep();
}

export function router_close(): void {
  log(Level.Info, "closed");
}

/** Finds a header in the frame, else asks for it. */
function argument(m: Message, name: string): Str | null {
  const v = m.header(name);
  return v != null ? v.raw : readHeader(name);
}

function textOf(m: Message, name: string): Str {
  const s = argument(m, name);
  return s != null ? s : Str.of("");
}

function intOf(m: Message, name: string): i64 {
  const s = textOf(m, name);
  return s.length == 8 ? load<i64>(s.at) : 0;
}

function got(d: Delta, n: i32, cap: i32): void {
  d.setHeaderInt("n", n);
  if (n >= 0 && n <= cap) d.setHeaderBytes("value", Str.view(buffer, n));
}

function readFrame(m: Message, d: Delta): void {
  d.setHeaderInt("flags", m.flags);
  d.setHeaderInt("stage", m.stage);
  d.setHeaderInt("priority", m.priority);
  d.setHeaderInt("delivery_mode", m.deliveryMode);
  d.setHeaderInt("timestamp_ns", m.timestampNS);
  d.setHeaderInt("received_ns", m.receivedNS);
  d.setHeaderInt("body_len", m.body().length);
  d.setHeaderInt("body_full_len", m.bodyFullLength);
  d.setHeaderInt("headers", m.headerCount);
}

function readOne(m: Message, d: Delta): void {
  const v = m.header(textOf(m, "name"));
  d.setHeaderBool("found", v != null);
  if (v == null) return;
  d.setHeaderInt("type", v.type);
  d.setHeaderBytes("value", v.raw);
}

function readEach(m: Message, d: Delta): void {
  let bytes = 0;
  let xor: u32 = 0;
  for (let i = 0; i < m.headerCount; i++) {
    const v = m.headerAt(i);
    bytes += v.name.length + v.raw.length;
    xor ^= hash(v.name);
  }
  d.setHeaderInt("count", m.headerCount);
  d.setHeaderInt("bytes", bytes);
  d.setHeaderInt("xor", xor);
}

function kindName(kind: u8): string {
  switch (kind) {
    case 0x7b: return "object";
    case 0x5b: return "array";
    case 0x22: return "string";
    case 0x30: return "number";
    case 0x74: return "true";
    case 0x66: return "false";
  }
  return "null";
}

function readJSON(m: Message, d: Delta): void {
  const v = m.json(textOf(m, "path"));
  if (v == null) return d.setHeader("kind", jsonBadAt() < 0 ? "absent" : "malformed");
  d.setHeader("kind", kindName(v.kind));
  d.setHeaderBytes("raw", v.raw);
  const text = v.text();
  if (text != null) d.setHeader("text", text);
}

function useKV(m: Message, d: Delta, op: Str): void {
  const key = textOf(m, "key");
  const ttl = intOf(m, "ttl");
  if (op.is("get")) {
    const cap = <i32>intOf(m, "cap");
    return got(d, kvGet(key.at, key.length, buffer, cap), cap);
  }
  let n: i64 = 0;
  if (op.is("set")) n = i64(kvSet(key, textOf(m, "value"), ttl));
  else if (op.is("swap")) n = i64(kvSwap(key, argument(m, "old"), textOf(m, "value"), ttl));
  else if (op.is("add")) n = kvAdd(key, intOf(m, "by"), ttl);
  else n = i64(kvDelete(key));
  d.setHeaderInt("n", n);
}

function useMetrics(d: Delta): void {
  addMetric(counter, 2);
  addMetric(gauge, 5);
  observeMetric(histogram, 0.25);
  d.setHeaderBool("defined", counter >= 0 && gauge >= 0 && histogram >= 0
    && counter != gauge && gauge != histogram && counter != histogram);
}

function answerConfig(d: Delta): void {
  if (text != null) d.setHeader("text", text);
  if (hasInt) d.setHeaderInt("int", int);
  if (hasBool) d.setHeaderBool("bool", bool_);
  if (tableKey != null) d.setHeader("table.key", tableKey);
}

function writeTypes(d: Delta): void {
  const bytes = new Uint8Array(3);
  bytes[1] = 0xff;
  bytes[2] = 0x10;
  d.setHeader("utf8", "grün");
  d.setHeaderBytes("bytes", bytes);
  d.setHeaderInt("i64", -7);
  d.setHeaderFloat("f64", 0.5);
  d.setHeaderBool("bool", true);
  d.setHeaderTime("time", 1700000000);
  d.setHeaderNull("null");
}

function writeTargets(d: Delta): void {
  d.target("queue:q");
  d.target("exchange:ex/key");
  d.target("exchange:/key");
  d.target("topic:t");
  d.target("topic:ex/t");
  d.target("server:t.s");
  d.target("server:ex/t.s");
  d.target("fanout:t");
  d.target("notify:t.info");
  d.target("notify:ex/t.info");
}

function split(d: Delta): void {
  d.drop("split");
  d.emit();
  d.target("queue:a");
  d.setHeaderInt("part", 1);
  d.setBody("one");
  d.emit();
  d.target("queue:b");
  d.setProp(Slot.Type, "second");
  d.delHeader("k");
  d.setBody("two");
}

function upper(m: Message, d: Delta): void {
  const body = m.body();
  for (let i = 0; i < body.length; i++) {
    const c = body.byte(i);
    if (c >= 0x61 && c <= 0x7a) body.setByte(i, c - 0x20);
  }
  d.setBodyRef(body);
}

function run(m: Message, d: Delta): void {
  const command = argument(m, "do");
  if (command == null || command.is("pass")) return;
  if (command.startsWith("kv-")) return useKV(m, d, command.slice(3));
  const body = m.body();
  if (command.is("error")) d.error("E1", "no way");
  else if (command.is("error-retry")) d.errorRetryable("E2", "later perhaps");
  else if (command.is("trap")) throw new Error("trap");
  else if (command.is("count")) d.setHeaderInt("count", ++count);
  else if (command.is("types")) writeTypes(d);
  else if (command.is("del")) d.delHeader("k");
  else if (command.is("clear")) {
    d.setHeader("before", "gone");
    d.clearHeaders();
    d.setHeader("after", "kept");
  } else if (command.is("props")) {
    for (let slot: Slot = Slot.ContentType; slot <= Slot.AppID; slot++) d.setProp(slot, concat("p", decimal(slot)));
    d.setProp(Slot.Expiration, "60000");
  } else if (command.is("attributes")) {
    d.setPriority(7);
    d.setDeliveryMode(1);
    d.setTimestamp(1700000000);
  } else if (command.is("remove")) {
    d.setProp(Slot.ContentType, "");
    d.setProp(Slot.AppID, "");
    d.setProp(Slot.Expiration, "");
    d.delTimestamp();
  } else if (command.is("targets")) writeTargets(d);
  else if (command.is("target")) {
    if (!d.target(textOf(m, "target"))) d.error("target", "not a target");
  } else if (command.is("forward")) d.forward();
  else if (command.is("continue")) d.continue();
  else if (command.is("drop")) d.drop("not needed");
  else if (command.is("reject")) d.reject("zu groß");
  else if (command.is("retry")) d.retry(1500, "later");
  else if (command.is("reply")) d.reply();
  else if (command.is("stop")) {
    d.drop("");
    d.stop();
  } else if (command.is("emit")) split(d);
  else if (command.is("body")) d.setBody("new body");
  else if (command.is("empty")) d.setBody("");
  else if (command.is("ref")) d.setBodyRef(body);
  else if (command.is("slice")) d.setBodyRef(body.slice(1, body.length - 1));
  else if (command.is("upper")) upper(m, d);
  else if (command.is("frame")) readFrame(m, d);
  else if (command.is("prop")) d.setHeader("value", m.prop(<Slot>intOf(m, "slot")));
  else if (command.is("header")) readOne(m, d);
  else if (command.is("each")) readEach(m, d);
  else if (command.is("header-get")) {
    const name = textOf(m, "name");
    const cap = <i32>intOf(m, "cap");
    got(d, headerGet(name.at, name.length, buffer, cap), cap);
  } else if (command.is("body-read")) {
    const n = bodyRead(<u32>intOf(m, "off"), buffer, <i32>intOf(m, "cap"));
    got(d, n, n);
  } else if (command.is("json")) readJSON(m, d);
  else if (command.is("config")) answerConfig(d);
  else if (command.is("log")) log(<Level>intOf(m, "level"), textOf(m, "text"));
  else if (command.is("time")) d.setHeaderInt("time", timeNS());
  else if (command.is("random")) {
    d.setHeaderBytes("a", random(16));
    d.setHeaderBytes("b", random(16));
  } else if (command.is("init")) {
    d.setHeaderInt("time", initTime);
    d.setHeaderInt("header", initHeader);
    d.setHeaderInt("body", initBody);
  } else if (command.is("metric")) useMetrics(d);
  else d.error("do", "unknown command");
}

export function router_decode(at: usize, length: u32): i64 {
  return handle(at, length, run);
}

export function router_unpack(at: usize, length: u32): i64 {
  return handle(at, length, run);
}

export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, run);
}

export function router_pack(at: usize, length: u32): i64 {
  return handle(at, length, run);
}

export function router_encode(at: usize, length: u32): i64 {
  return handle(at, length, run);
}
