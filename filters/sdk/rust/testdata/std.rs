//! Uses the standard library: keeps copies of all bodies, and says whether they are
//! still of one byte each.
#![forbid(unsafe_code)]
use router_filter::*;

static KEPT: State<Vec<Vec<u8>>> = State::new(Vec::new());

filter!(decide = decide);

fn decide(m: &Message, d: &mut Delta) {
    let sound = KEPT.with(|kept| {
        kept.push(m.body().to_vec());
        kept.iter().all(|body| body.iter().all(|c| *c == body[0]))
    });
    d.set_header("sound", sound.to_string());
    d.write_body(|out| out.push(m.body()));
}
