//! Lets clients of an API's version 1 talk to servers of its version 2. Requests:
//!
//!     create_server(name, ram)  1.x  ->  create(server = {name, ram_mb})  2.0
//!     all others                1.x  ->  the same                         2.0
//!
//! and in replies `{"server": {"id": ID, ...}}` becomes `ID`, which is what
//! version 1 returned.
#![no_std]
use router_filter::*;

filter!(needs = NEED_BODY | STATELESS, unpack = bridge);

fn bridge<'m>(m: &Message<'m>, d: &mut Delta<'m>) {
    match m.json("method") {
        Some(method) => request(m, d, method),
        None => reply(m, d),
    }
}

fn request<'m>(m: &Message<'m>, d: &mut Delta<'m>, method: Json<'m>) {
    match m.json("version") {
        None => {} // that is version 1.0
        Some(v) if v.raw == b"1" || v.raw.starts_with(b"1.") => {}
        Some(_) => return, // speaks version 2 already
    }
    if !method.is("create_server") {
        return match m.json("version") {
            Some(v) => replace(m.body(), v, b"2.0", d),
            None => d.reject("a request without a version"),
        };
    }
    let (name, ram) = match (m.json("args.name"), m.json("args.ram")) {
        (Some(name), Some(ram)) => (name, ram),
        _ => return d.reject("create_server needs name and ram"),
    };
    d.write_body(|b| {
        b.push("{\"method\":\"create\",\"args\":{\"server\":{\"name\":");
        b.push(written(m.body(), name));
        b.push(",\"ram_mb\":");
        b.push(written(m.body(), ram));
        b.push("}},\"version\":\"2.0\"}");
    });
}

fn reply<'m>(m: &Message<'m>, d: &mut Delta<'m>) {
    if let (Some(result), Some(id)) = (m.json("result"), m.json("result.server.id")) {
        let body = m.body();
        replace(body, result, written(body, id), d);
    }
}

/// Puts text in a value's place. Of a string that is what stands between its quotes.
fn replace<'m>(body: &'m [u8], value: Json<'m>, text: &[u8], d: &mut Delta<'m>) {
    let (from, to) = place(body, value.raw);
    d.write_body(|b| {
        b.push(body.get(..from).unwrap_or(b""));
        b.push(text);
        b.push(body.get(to..).unwrap_or(b""));
    });
}

/// Returns a value as it is written, a string with its quotes.
fn written<'m>(body: &'m [u8], value: Json<'m>) -> &'m [u8] {
    let (from, to) = place(body, value.raw);
    match value.kind {
        Kind::String => body.get(from - 1..to + 1).unwrap_or(b"null"),
        _ => value.raw,
    }
}

/// Returns where in the body a part of it lies.
fn place(body: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr() as usize - body.as_ptr() as usize;
    (from, from + part.len())
}
