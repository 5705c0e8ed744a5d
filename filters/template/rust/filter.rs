#![no_std]
use router_filter::*;

static FIELD: State<&[u8]> = State::new(b"");
static TARGET: State<&[u8]> = State::new(b"");
filter!(needs = NEED_BODY | STATELESS, init = configure, decide = route);

fn configure(c: &Config) -> Result<(), Refusal> {
    FIELD.set(c.config_text("field", "type"));
    TARGET.set(c.keep(&[b"queue:", c.config_text("queue", "")]));
    c.config_require(&["queue"])
}

fn route(m: &Message, d: &mut Delta) {
    let mut buf = [0; 256];
    match m.json(FIELD.get()).and_then(|v| v.text(&mut buf)) {
        Some(kind) => {
            d.set_header("kind", kind);
            d.target(TARGET.get());
        }
        None => d.reject("the body has no such field"),
    }
}
