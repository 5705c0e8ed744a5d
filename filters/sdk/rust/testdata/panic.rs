//! Goes wrong in the ways of a filter, by the message's body.
#![no_std]
#![forbid(unsafe_code)]
use router_filter::*;

static NESTED: State<u8> = State::new(0);

filter!(decide = decide);

fn decide(m: &Message, d: &mut Delta) {
    match m.body() {
        b"nested" => NESTED.with(|n| *n += NESTED.get()),
        b"fail" => fail("gruß"),
        body => d.set_header_i64("third", body[2].into()),
    }
}
