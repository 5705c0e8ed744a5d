//! Says what the JSON reader finds in the body at the path that the header `path`
//! has. sdk/c/testdata/json.c is its twin.
#![no_std]
#![forbid(unsafe_code)]
use router_filter::*;

filter!(decide = decide);

fn decide(m: &Message, d: &mut Delta) {
    let mut buf = [0; 1024];
    let v = match find_json(m.body(), m.header_text("path").unwrap_or(b"")) {
        Ok(Some(v)) => v,
        Ok(None) => return,
        Err(at) => return d.set_header_i64("bad", at as i64),
    };
    let kind = match v.kind {
        Kind::Object => "{",
        Kind::Array => "[",
        Kind::String => "\"",
        Kind::Number => "0",
        Kind::True => "t",
        Kind::False => "f",
        Kind::Null => "n",
    };
    d.set_header("kind", kind);
    d.set_header_bytes("raw", v.raw);
    if let Some(text) = v.text(&mut buf) {
        d.set_header("text", text);
        d.set_header_bool("equal", v.is(m.header_text("is").unwrap_or(b"")));
        d.set_header_bool("self", v.is(text));
    }
}
