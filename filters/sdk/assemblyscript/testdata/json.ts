// Says what the JSON reader finds in the body at the path that the header "path"
// has. Its twin is sdk/c/testdata/json.c.
import { handle, jsonBadAt, Str } from "../filter";
export * from "../abi";

const KINDS = Str.of("{[\"0tfn");

export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const path = m.headerText("path");
    const is = m.headerText("is");
    if (path == null || is == null) return;
    const v = m.json(path);
    if (v == null) {
      if (jsonBadAt() >= 0) d.setHeaderInt("bad", jsonBadAt());
      return;
    }
    const kind = KINDS.indexOfByte(v.kind);
    d.setHeader("kind", KINDS.slice(kind, kind + 1));
    d.setHeaderBytes("raw", v.raw);
    const text = v.text();
    if (text == null) return;
    d.setHeader("text", text);
    d.setHeaderBool("equal", v.is(is));
    d.setHeaderBool("self", v.is(text));
  });
}
