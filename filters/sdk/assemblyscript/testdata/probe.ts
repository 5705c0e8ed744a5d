// Uses memory in all ways and tells how much there is.
import { Delta, handle, hash, Slot } from "../filter";
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
