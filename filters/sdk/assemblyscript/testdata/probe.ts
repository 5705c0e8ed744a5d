// Uses memory in all ways and tells how much there is.
import {
  concat, decimal, Delta, equalJSON, findJSON, handle, hash, jsonBadAt, needBodyPrefix, Slot, unescape,
} from "../filter";
export * from "../abi";

/** Reads all of a message without garbage. */
export function router_unpack(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    let sum: u32 = hash(m.body());
    for (let i = 0; i < m.headerCount; i++) {
      const v = m.headerAt(i);
      sum += hash(v.name) ^ hash(v.raw);
      const text = v.text();
      if (text != null) sum += hash(text) + u32(v.int()) + u32(v.bool()) + u32(v.float());
      if (m.header(v.name) == null) sum++;
    }
    for (let slot: Slot = Slot.Exchange; slot <= 20; slot++) sum += hash(m.prop(slot));
    if (m.headerText("tenant") != null) sum++;
    const name = m.json("name");
    const text = name != null ? name.text() : null;
    if (text != null) d.setHeaderInt("length", text.length);
    d.setHeaderInt("sum", sum);
    d.setHeaderInt("pages", memory.size());
    d.setBodyRef(m.body());
  });
}

const seen = new Map<string, i32>();
let last: string = "";

/** Makes garbage of its body, and keeps some of it. */
export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const words = m.body().toString().split(" ");
    last = words.join("-") + last.substr(0, 100);
    if (seen.size > 50) seen.clear();
    seen.set(last.substr(0, 20), words.length);
    d.setHeaderInt("pages", memory.size());
    d.setHeader("last", last.substr(0, 100));
    d.setHeaderBytes("bytes", m.body().slice(0, 3).toBytes());
  });
}

const numbers: i32[] = [1, 2, 3];

/** Does what its body says. */
export function router_encode(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const body = m.body();
    if (body.is("assert")) assert(numbers.length > 3, "three numbers are too few");
    if (body.is("array")) numbers[body.length]++;
    if (body.is("byte")) body.byte(4);
    if (body.is("header")) m.headerAt(m.headerCount);
    if (body.is("null")) d.setHeader("x", m.headerText("absent"));
    if (body.is("throw")) throw new Error("thrown");
    if (body.is("most")) Delta.max = 2 << 20;
    if (body.length > 100) d.setBody(body);
    d.setHeader("lone", "a\uD800b\u{1F600}é€" + last.substr(0, 0));
    d.setHeader("twice", body);
  });
}

const TENANT = hash("tenant");

/** Reads what the other tests do not. */
export function router_pack(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const body = m.body();
    d.setHeaderInt("empty", d.length);
    d.setHeaderInt("found", body.indexOf("lines") * 100 + body.indexOf("lines", 5));
    d.setHeaderInt("absent", body.indexOf("nothing", -3) + body.indexOf("x".repeat(1000)));
    d.setHeaderBool("starts", body.startsWith("{") && !body.startsWith("[") && !body.startsWith(body.toString() + "x"));
    const tenant = m.headerHashed("tenant", TENANT);
    if (tenant != null) d.setHeader("name", tenant.name);
    const lines = m.json("lines");
    const sku = lines != null ? lines.json("1.sku") : null;
    if (sku != null) d.setHeader("sku", sku.raw);
    const inString = sku != null ? sku.json("x") : null;
    d.setHeaderBool("none", inString == null && findJSON("[1]", "1") == null && jsonBadAt() < 0);
    d.setHeaderBool("bad", findJSON("[1", "1") == null && jsonBadAt() == 2);
    d.setHeaderBool("equal", equalJSON("\\u0041b", "Ab") && equalJSON("Ab", "Ab") && !equalJSON("Ab", "AB"));
    const plain = unescape("\\u00e9");
    if (plain != null) d.setHeader("plain", plain);
    d.setHeaderBool("wrong", unescape("\\u00e") == null);
    d.setHeader("numbers", concat(decimal(i64.MIN_VALUE), concat(" ", decimal(0))));
    d.setHeaderInt("prefix", needBodyPrefix(7));
    d.setHeaderBool("length", d.length > 0);
  });
}
