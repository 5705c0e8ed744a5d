//! Reads three headers and chooses the target; each language's route does so.
#![no_std]
#![forbid(unsafe_code)]
use router_filter::*;

filter!(needs = NEED_HEADERS | STATELESS, init = configure, decide = route);

fn configure(c: &Config) -> Result<(), Refusal> {
    for name in ["tenant", "type", "region"] {
        c.need_header(name);
    }
    Ok(())
}

fn route(m: &Message, d: &mut Delta) {
    let is = |name: &str, text: &[u8]| m.header(name) == Some(Value::Utf8(text));
    if is("tenant", b"acme") && is("type", b"created") && is("region", b"eu") {
        d.target("queue:orders.created");
    }
}
