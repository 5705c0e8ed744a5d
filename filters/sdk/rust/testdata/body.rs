//! Hands the body back: in decode what lies between its first and its last byte,
//! where it lies, in encode in capitals. Its twin is sdk/wat/testdata/body.wat.
#![no_std]
#![forbid(unsafe_code)]
use router_filter::*;

filter!(needs = NEED_BODY | STATELESS, decode = decode, encode = encode);

fn decode<'m>(m: &Message<'m>, d: &mut Delta<'m>) {
    if let [_, inner @ .., _] = m.body() {
        d.set_body_ref(inner);
    }
}

fn encode(m: &Message, d: &mut Delta) {
    d.write_body(|out| {
        for part in m.body().chunks(256) {
            let mut capitals = [0; 256];
            for (to, c) in capitals.iter_mut().zip(part) {
                *to = c.to_ascii_uppercase();
            }
            out.push(capitals.get(..part.len()).unwrap_or(&[]));
        }
    });
}
