//! The conformance filter of SPEC.md, in Rust.
#![no_std]
#![forbid(unsafe_code)]
use router_filter::*;

filter!(
    init = configure,
    needs = NEEDS.get(),
    close = closed,
    decode = run,
    unpack = run,
    decide = run,
    pack = run,
    encode = run,
);

static NEEDS: State<i64> = State::new(NEED_BODY | NEED_HEADERS | NEED_PROPERTIES);
static COUNT: State<i64> = State::new(0);
static KEPT: State<Kept> = State::new(Kept { text: None, int: None, bool: None, table_key: None });
static AT_START: State<AtStart> = State::new(AtStart { time: 0, header: 0, body: 0 });
static METRICS: State<[i32; 3]> = State::new([0; 3]);

/// What the configuration said.
#[derive(Clone, Copy)]
struct Kept {
    text: Option<&'static [u8]>,
    int: Option<i64>,
    bool: Option<bool>,
    table_key: Option<&'static [u8]>,
}

/// What the host functions gave during `init`.
#[derive(Clone, Copy)]
struct AtStart {
    time: i64,
    header: i64,
    body: i64,
}

fn configure(c: &Config) -> Result<(), Refusal> {
    if let Some(text) = c.header_text("fail") {
        return Err(c.keep(&[text]).into());
    }
    NEEDS.set(c.config_int("needs", NEEDS.get()));
    let keep = |name| c.header_text(name).map(|text| c.keep(&[text]));
    KEPT.set(Kept {
        text: keep("text"),
        int: c.header("int").and_then(|v| if let Value::Int64(v) = v { Some(v) } else { None }),
        bool: c.header("bool").and_then(|v| if let Value::Bool(v) = v { Some(v) } else { None }),
        table_key: keep("table.key"),
    });
    let mut byte = [0];
    AT_START.set(AtStart {
        time: time_ns(),
        header: signed(read_header("do", &mut byte)),
        body: read_body(0, &mut byte).len() as i64,
    });
    METRICS.set([
        define_metric(MetricKind::Counter, "conf_total"),
        define_metric(MetricKind::Gauge, "conf_level"),
        define_metric(MetricKind::Histogram, "conf_seconds"),
    ]);
    Ok(())
}

fn closed() {
    log(Level::Info, "closed");
}

/// A length as the host functions have it, -1 for nothing.
fn signed(n: Option<usize>) -> i64 {
    n.map_or(-1, |n| n as i64)
}

/// A value's type and its bytes as they lie in the frame.
fn raw<'a>(v: Value<'a>, buf: &'a mut [u8; 8]) -> (i64, &'a [u8]) {
    let (kind, number) = match v {
        Value::Null => return (0, b""),
        Value::Utf8(raw) => return (1, raw),
        Value::Bytes(raw) => return (2, raw),
        Value::Bool(v) => return (5, if v { b"\x01" } else { b"\x00" }),
        Value::Nested(raw) => return (7, raw),
        Value::Other(kind, raw) => return (kind.into(), raw),
        Value::Int64(v) => (3, v as u64),
        Value::Float64(v) => (4, v.to_bits()),
        Value::Time(v) => (6, v as u64),
    };
    *buf = number.to_le_bytes();
    (kind, buf)
}

/// Finds a header in the frame, else asks for it.
fn argument<'a>(m: &Message<'a>, name: &str, buf: &'a mut [u8]) -> Option<&'a [u8]> {
    match m.header(name) {
        Some(Value::Utf8(text) | Value::Bytes(text)) => Some(text),
        Some(_) => Some(b""),
        None => read_header(name, buf).map(move |n| buf.get(..n).unwrap_or(b"")),
    }
}

fn text_of<'a>(m: &Message<'a>, name: &str, buf: &'a mut [u8]) -> &'a [u8] {
    argument(m, name, buf).unwrap_or(b"")
}

fn int_of(m: &Message, name: &str) -> i64 {
    let mut buf = [0; 8];
    match m.header(name) {
        Some(Value::Int64(v)) => v,
        None if read_header(name, &mut buf) == Some(8) => i64::from_le_bytes(buf),
        _ => 0,
    }
}

fn run<'m>(m: &Message<'m>, d: &mut Delta<'m>) {
    let mut buf = [0; 16];
    let command = match argument(m, "do", &mut buf) {
        Some(command) => command,
        None => return,
    };
    match command {
        b"pass" => {}
        b"error" => d.error("E1", "no way"),
        b"error-retry" => d.error_retryable("E2", "later perhaps"),
        b"trap" => fail("as it was told"),
        b"count" => {
            COUNT.set(COUNT.get() + 1);
            d.set_header_i64("count", COUNT.get());
        }
        b"types" => types(d),
        b"del" => d.del_header("k"),
        b"clear" => {
            d.set_header("before", "gone");
            d.clear_headers();
            d.set_header("after", "kept");
        }
        b"props" => properties(d),
        b"attributes" => {
            d.set_priority(7);
            d.set_delivery_mode(1);
            d.set_timestamp(Some(1_700_000_000));
        }
        b"remove" => {
            d.set_prop(Slot::ContentType, "");
            d.set_prop(Slot::AppId, "");
            d.set_prop(Slot::Expiration, "");
            d.set_timestamp(None);
        }
        b"targets" => targets(d),
        b"target" => {
            if !d.target(text_of(m, "target", &mut [0; 1024])) {
                d.error("target", "not a target");
            }
        }
        b"forward" => d.forward(),
        b"continue" => d.go_on(),
        b"drop" => d.drop("not needed"),
        b"reject" => d.reject("zu groß"),
        b"retry" => d.retry(1500, "later"),
        b"reply" => d.reply(),
        b"stop" => {
            d.drop("");
            d.stop();
        }
        b"emit" => split(d),
        b"body" => d.set_body("new body"),
        b"empty" => d.set_body(""),
        b"ref" => d.set_body_ref(m.body()),
        b"slice" => match m.body() {
            [_, inner @ .., _] => d.set_body_ref(inner),
            _ => d.set_body_ref(b""),
        },
        b"upper" => d.write_body(|out| m.body().iter().for_each(|c| out.push([c.to_ascii_uppercase()]))),
        b"frame" => frame(m, d),
        b"prop" => d.set_header("value", m.prop_at(int_of(m, "slot") as u32)),
        b"header" => header(m, d),
        b"each" => each(m, d),
        b"header-get" => {
            let (mut name, mut value) = ([0; 64], [0; 1024]);
            let room = room(m, &mut value);
            got(d, read_header(text_of(m, "name", &mut name), room), room);
        }
        b"body-read" => {
            let mut value = [0; 1024];
            let part = read_body(int_of(m, "off") as u32, room(m, &mut value));
            d.set_header_i64("n", part.len() as i64);
            d.set_header_bytes("value", part);
        }
        b"json" => json(m, d),
        b"config" => config(d),
        b"log" => {
            let level = match int_of(m, "level") {
                0 => Level::Debug,
                1 => Level::Info,
                2 => Level::Warn,
                _ => Level::Error,
            };
            log(level, text_of(m, "text", &mut [0; 1024]));
        }
        b"time" => d.set_header_i64("time", time_ns()),
        b"random" => {
            let (mut a, mut b) = ([0; 16], [0; 16]);
            random(&mut a);
            random(&mut b);
            d.set_header_bytes("a", a);
            d.set_header_bytes("b", b);
        }
        b"init" => {
            let at_start = AT_START.get();
            d.set_header_i64("time", at_start.time);
            d.set_header_i64("header", at_start.header);
            d.set_header_i64("body", at_start.body);
        }
        b"metric" => {
            let [total, level, seconds] = METRICS.get();
            add_metric(total, 2);
            add_metric(level, 5);
            observe_metric(seconds, 0.25);
            let differ = total != level && level != seconds && total != seconds;
            d.set_header_bool("defined", differ && total.min(level).min(seconds) >= 0);
        }
        _ => match command.strip_prefix(b"kv-") {
            Some(command) => kv(m, d, command),
            None => unknown(d),
        },
    }
}

fn unknown(d: &mut Delta) {
    d.error("do", "unknown command");
}

fn types(d: &mut Delta) {
    d.set_header("utf8", "grün");
    d.set_header_bytes("bytes", b"\x00\xff\x10");
    d.set_header_i64("i64", -7);
    d.set_header_f64("f64", 0.5);
    d.set_header_bool("bool", true);
    d.set_header_time("time", 1_700_000_000);
    d.set_header_null("null");
}

fn properties(d: &mut Delta) {
    d.set_prop(Slot::ContentType, "p2");
    d.set_prop(Slot::ContentEncoding, "p3");
    d.set_prop(Slot::CorrelationId, "p4");
    d.set_prop(Slot::ReplyTo, "p5");
    d.set_prop(Slot::MessageId, "p6");
    d.set_prop(Slot::Type, "p7");
    d.set_prop(Slot::AppId, "p8");
    d.set_prop(Slot::Expiration, "60000");
}

fn targets(d: &mut Delta) {
    d.target("queue:q");
    d.target("exchange:ex/key");
    d.target("exchange:/key");
    d.target("topic:t");
    d.target("topic:ex/t");
    d.target("server:t.s");
    d.target("server:ex/t.s");
    d.target("fanout:t");
    d.target("notify:t.info");
    d.target("notify:ex/t.info");
}

fn split(d: &mut Delta) {
    d.drop("split");
    d.emit();
    d.target("queue:a");
    d.set_header_i64("part", 1);
    d.set_body("one");
    d.emit();
    d.target("queue:b");
    d.set_prop(Slot::Type, "second");
    d.del_header("k");
    d.set_body("two");
}

fn frame(m: &Message, d: &mut Delta) {
    d.set_header_i64("flags", m.flags().into());
    d.set_header_i64("stage", m.stage().into());
    d.set_header_i64("priority", m.priority().into());
    d.set_header_i64("delivery_mode", m.delivery_mode().into());
    d.set_header_i64("timestamp_ns", m.timestamp_ns());
    d.set_header_i64("received_ns", m.received_ns());
    d.set_header_i64("body_len", m.body().len() as i64);
    d.set_header_i64("body_full_len", m.body_full_len() as i64);
    d.set_header_i64("headers", m.header_count() as i64);
}

fn header(m: &Message, d: &mut Delta) {
    let found = m.header(text_of(m, "name", &mut [0; 64]));
    d.set_header_bool("found", found.is_some());
    if let Some(v) = found {
        let mut buf = [0; 8];
        let (kind, bytes) = raw(v, &mut buf);
        d.set_header_i64("type", kind);
        d.set_header_bytes("value", bytes);
    }
}

fn each(m: &Message, d: &mut Delta) {
    let (mut count, mut bytes, mut hashes) = (0, 0, 0);
    for (name, v) in m.headers() {
        count += 1;
        bytes += name.len() + raw(v, &mut [0; 8]).1.len();
        hashes ^= hash(name);
    }
    d.set_header_i64("count", count);
    d.set_header_i64("bytes", bytes as i64);
    d.set_header_i64("xor", hashes.into());
}

/// The first `cap` bytes of a buffer.
fn room<'a>(m: &Message, buf: &'a mut [u8; 1024]) -> &'a mut [u8] {
    let cap = int_of(m, "cap") as usize;
    buf.get_mut(..cap).unwrap_or(&mut [])
}

fn got(d: &mut Delta, n: Option<usize>, room: &[u8]) {
    d.set_header_i64("n", signed(n));
    if let Some(value) = n.and_then(|n| room.get(..n)) {
        d.set_header_bytes("value", value);
    }
}

fn json(m: &Message, d: &mut Delta) {
    let v = match find_json(m.body(), text_of(m, "path", &mut [0; 64])) {
        Ok(Some(v)) => v,
        Ok(None) => return d.set_header("kind", "absent"),
        Err(_) => return d.set_header("kind", "malformed"),
    };
    let kind = match v.kind {
        Kind::Object => "object",
        Kind::Array => "array",
        Kind::String => "string",
        Kind::Number => "number",
        Kind::True => "true",
        Kind::False => "false",
        Kind::Null => "null",
    };
    d.set_header("kind", kind);
    d.set_header_bytes("raw", v.raw);
    if let Some(text) = v.text(&mut [0; 1024]) {
        d.set_header("text", text);
    }
}

fn config(d: &mut Delta) {
    let kept = KEPT.get();
    if let Some(text) = kept.text {
        d.set_header("text", text);
    }
    if let Some(v) = kept.int {
        d.set_header_i64("int", v);
    }
    if let Some(v) = kept.bool {
        d.set_header_bool("bool", v);
    }
    if let Some(text) = kept.table_key {
        d.set_header("table.key", text);
    }
}

fn kv(m: &Message, d: &mut Delta, command: &[u8]) {
    let (mut key, mut value, mut old) = ([0; 64], [0; 1024], [0; 1024]);
    let key = text_of(m, "key", &mut key);
    let ttl = int_of(m, "ttl");
    let n = match command {
        b"get" => {
            let room = room(m, &mut value);
            return got(d, kv_get(key, room), room);
        }
        b"set" => kv_set(key, text_of(m, "value", &mut value), ttl).into(),
        b"swap" => {
            let old = argument(m, "old", &mut old);
            kv_swap(key, old, text_of(m, "value", &mut value), ttl).into()
        }
        b"add" => kv_add(key, int_of(m, "by"), ttl),
        b"delete" => kv_delete(key).into(),
        _ => return unknown(d),
    };
    d.set_header_i64("n", n);
}
