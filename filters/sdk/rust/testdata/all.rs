//! A filter that uses what the stock filters do not. sdk/c/testdata/all.c is its
//! twin.
#![no_std]
#![forbid(unsafe_code)]
use router_filter::*;

static SEEN: State<i32> = State::new(-1);
static TOOK: State<i32> = State::new(-1);

filter!(needs = 0, init = configure, unpack = unpack, decide = decide, pack = pack, encode = encode);

fn configure(_: &Config) -> Result<(), Refusal> {
    SEEN.set(define_metric(MetricKind::Counter, "seen"));
    TOOK.set(define_metric(MetricKind::Histogram, "took"));
    if SEEN.get() < 0 || TOOK.get() < 0 {
        return Err("no metrics".into());
    }
    Ok(())
}

fn decide(_: &Message, d: &mut Delta) {
    let (mut body, mut id) = ([0; 4], [0; 8]);
    add_metric(SEEN.get(), 1);
    observe_metric(TOOK.get(), 0.5);
    random(&mut id);
    log(Level::Warn, "hello");
    d.set_header_bool("time", time_ns() > 0);
    d.set_header_i64("int", -7);
    d.set_header_bytes("bytes", read_body(2, &mut body));
    d.del_header("k");
    d.drop("split");
    d.emit();
    d.set_body("one");
    d.target("queue:a");
    d.emit();
    d.clear_headers();
    d.set_prop(Slot::Type, "second");
    d.target("exchange:ex/key");
    d.target("server:ctl/compute.host");
}

fn unpack(_: &Message, d: &mut Delta) {
    let mut buf = [0; 8];
    d.set_header_bool("set", kv_set("k", "value", 0));
    d.set_header_bool("refused", !kv_set("", "value", 0));
    d.set_header_i64("get", kv_get("k", &mut buf).map_or(-1, |n| n as i64));
    d.set_header("value", &buf[..5]);
    d.set_header_bool("taken", !kv_swap("k", None, "", 1000));
    d.set_header_bool("other", !kv_swap("k", Some(b""), "", 1000));
    d.set_header_bool("swapped", kv_swap("k", Some(b"value"), "", 1000));
    d.set_header_bool("again", kv_swap("k", Some(b""), "value", 1000));
    d.set_header_bool("first", kv_swap("new", None, "", 1000));
    d.set_header_bool("none", kv_get("absent", &mut buf).is_none());
    kv_add("n", 40, 1000);
    d.set_header_i64("sum", kv_add("n", 2, 0));
    d.set_header_bool("deleted", kv_delete("k") && !kv_delete("k"));
}

fn pack(_: &Message, d: &mut Delta) {
    d.retry(250, "later");
}

fn encode(_: &Message, d: &mut Delta) {
    d.error_retryable("busy", "try again");
}
