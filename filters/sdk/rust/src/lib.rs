//! For writing router filters in Rust, against filter ABI 1: no crates, no
//! standard library, modules of a few KiB.
//!
//! A filter names its handlers with [`filter!`]:
//!
//! ```ignore
//! #![no_std]
//! use router_filter::*;
//!
//! filter!(needs = NEED_BODY, decide = route);
//!
//! fn route(m: &Message, d: &mut Delta) {
//!     match m.json("order.type") {
//!         Some(kind) if kind.is("created") => d.target("queue:orders.created"),
//!         Some(_) => {}
//!         None => d.reject("the body has no order.type"),
//!     }
//! }
//! ```
//!
//! What a handler writes to the delta is the message's change; writing nothing
//! leaves the message as it is.
//!
//! Texts are bytes, because AMQP promises no encoding; functions that take one
//! also take a `&str`. What they return points into the message: it has the
//! lifetime of the call, and what is kept is copied, into a [`State`], or by
//! [`Config::keep`]. Nothing allocates during a call, except that the buffers for
//! messages and changes grow to the largest that was needed.
//!
//! The functions here do not panic, whatever is in the message. A filter that
//! does fails its message with the class `trap` and the place in its source.

#![no_std]
#![deny(missing_docs)]

#[cfg(not(target_arch = "wasm32"))]
extern crate std;

mod bytes;
mod config;
mod delta;
mod host;
mod json;
mod memory;
mod message;
mod panic;
mod text;

pub use config::{Config, Refusal};
pub use delta::{Body, Delta};
pub use host::*;
pub use json::{find_json, Each, Json, Kind};
pub use memory::State;
pub use message::{hash, Message, Slot, Value};
pub use message::{BODY_TRUNCATED, NO_BODY, NO_HEADERS, NO_PROPERTIES, REDELIVERED};
pub use panic::fail;
pub use text::Text;

/// The filter reads the body.
pub const NEED_BODY: i64 = 1;
/// The filter reads headers.
pub const NEED_HEADERS: i64 = 2;
/// The filter reads properties.
pub const NEED_PROPERTIES: i64 = 4;
/// The filter keeps nothing between messages.
pub const STATELESS: i64 = 1 << 8;

const MALFORMED: i64 = -2;

/// Names the handlers of a filter, all in one call:
///
/// - `decode`, `unpack`, `decide`, `pack`, `encode`: the handlers of the stages
///   that the filter takes part in, `fn(&Message, &mut Delta)`;
/// - `init`: `fn(&Config) -> Result<(), Refusal>`, which is called once for each
///   instance with the configuration. An error refuses the configuration and is
///   shown to the operator;
/// - `close`: `fn()`, which is called before the instance goes away, unless it failed;
/// - `needs`: what of a message the host hands over, such as `NEED_BODY |
///   STATELESS`. Without it, everything, and the filter is not stateless.
#[macro_export]
macro_rules! filter {
    ($($what:ident = $value:expr),+ $(,)?) => {
        $( $crate::filter!(@ $what $value); )+
    };
    (@ needs $bits:expr) => {
        const _: () = {
            #[no_mangle]
            pub extern "C" fn router_needs() -> i64 { $bits }
        };
    };
    (@ init $handler:expr) => {
        const _: () = {
            #[no_mangle]
            pub extern "C" fn router_init(at: u32, len: u32) -> i64 {
                // The host calls this, and never while another call runs.
                unsafe { $crate::__init(at, len, $handler) }
            }
        };
    };
    (@ close $handler:expr) => {
        const _: () = {
            #[no_mangle]
            pub extern "C" fn router_close() {
                $handler()
            }
        };
    };
    (@ decode $handler:expr) => { $crate::filter!(@@ router_decode $handler); };
    (@ unpack $handler:expr) => { $crate::filter!(@@ router_unpack $handler); };
    (@ decide $handler:expr) => { $crate::filter!(@@ router_decide $handler); };
    (@ pack $handler:expr) => { $crate::filter!(@@ router_pack $handler); };
    (@ encode $handler:expr) => { $crate::filter!(@@ router_encode $handler); };
    (@@ $export:ident $handler:expr) => {
        const _: () = {
            #[no_mangle]
            pub extern "C" fn $export(at: u32, len: u32) -> i64 {
                // The host calls this, and never while another call runs.
                unsafe { $crate::__run(at, len, $handler) }
            }
        };
    };
}

#[no_mangle]
extern "C" fn router_abi_1() {}

#[no_mangle]
extern "C" fn router_buffer(min_cap: u32) -> u32 {
    // The host calls this between two calls: nobody looks at the buffer.
    unsafe { memory::INPUT.get() }.address_of(min_cap)
}

#[no_mangle]
extern "C" fn router_needs_headers() -> i64 {
    // The host calls this after `init`.
    let names = unsafe { memory::NAMES.get() };
    match names.len.checked_sub(1) {
        Some(len) => (u64::from(names.address()) << 32 | u64::from(len)) as i64,
        None => 0,
    }
}

/// Runs a stage's handler on the frame that the host has written.
///
/// # Safety
///
/// `at` and `len` are what the host gave to an exported function that it called,
/// and no handler runs.
#[doc(hidden)]
#[inline]
pub unsafe fn __run(at: u32, len: u32, handle: for<'m> fn(&Message<'m>, &mut Delta<'m>)) -> i64 {
    match Message::new(frame(at, len)) {
        Some(m) => {
            let mut d = Delta::new(memory::DELTA.get());
            handle(&m, &mut d);
            d.result()
        }
        None => MALFORMED,
    }
}

/// Runs `init`.
///
/// # Safety
///
/// As [`__run`].
#[doc(hidden)]
#[inline]
pub unsafe fn __init(at: u32, len: u32, handle: fn(&Config) -> Result<(), Refusal>) -> i64 {
    match Message::new(frame(at, len)) {
        Some(m) => {
            let mut d = Delta::new(memory::DELTA.get());
            if let Err(reason) = handle(&Config::new(m)) {
                d.error("config", reason.0);
            }
            d.result()
        }
        None => MALFORMED,
    }
}

/// # Safety
///
/// The host has written `len` bytes at `at`, and does not write again before the
/// lifetime ends.
unsafe fn frame<'m>(at: u32, len: u32) -> &'m [u8] {
    core::slice::from_raw_parts(at as usize as *const u8, len as usize)
}
