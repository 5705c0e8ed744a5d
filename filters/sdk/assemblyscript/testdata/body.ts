// Hands the body back: in decode what lies between its first and its last byte,
// where it lies, in encode in capitals. Its twin is sdk/rust/testdata/body.rs.
import { handle, Need, needs } from "../filter";
export * from "../abi";

needs(Need.Body | Need.Stateless);

export function router_decode(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const body = m.body();
    if (body.length >= 2) d.setBodyRef(body.slice(1, body.length - 1));
  });
}

export function router_encode(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const body = m.body();
    for (let i = 0; i < body.length; i++) {
      const c = body.byte(i);
      if (c >= 0x61 && c <= 0x7a) body.setByte(i, c - 0x20);
    }
    d.setBody(body);
  });
}
