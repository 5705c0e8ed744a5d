//! The functions of the host. A module imports only those that it uses.

#[cfg(target_arch = "wasm32")]
mod import {
    #[link(wasm_import_module = "router")]
    extern "C" {
        pub fn log(level: i32, text: *const u8, len: usize);
        pub fn log_enabled(level: i32) -> i32;
        pub fn header_get(key: *const u8, key_len: usize, buf: *mut u8, cap: usize) -> i32;
        pub fn body_read(offset: u32, buf: *mut u8, cap: usize) -> u32;
        pub fn time_ns() -> i64;
        pub fn random(buf: *mut u8, len: usize);
        pub fn metric_def(kind: i32, name: *const u8, len: usize) -> i32;
        pub fn metric_add(id: i32, v: i64);
        pub fn metric_obs(id: i32, v: f64);
        pub fn kv_get(key: *const u8, key_len: usize, buf: *mut u8, cap: usize) -> i32;
        pub fn kv_set(key: *const u8, key_len: usize, value: *const u8, len: usize, ttl_ms: i64) -> i32;
        pub fn kv_swap(
            key: *const u8,
            key_len: usize,
            old: *const u8,
            old_len: usize,
            value: *const u8,
            len: usize,
            ttl_ms: i64,
        ) -> i32;
        pub fn kv_add(key: *const u8, key_len: usize, n: i64, ttl_ms: i64) -> i64;
        pub fn kv_delete(key: *const u8, key_len: usize) -> i32;
    }
}

/// Elsewhere, in unit tests of a filter's logic, the functions do nothing.
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::missing_safety_doc)]
mod import {
    pub unsafe fn log(_: i32, _: *const u8, _: usize) {}
    pub unsafe fn log_enabled(_: i32) -> i32 {
        0
    }
    pub unsafe fn header_get(_: *const u8, _: usize, _: *mut u8, _: usize) -> i32 {
        -1
    }
    pub unsafe fn body_read(_: u32, _: *mut u8, _: usize) -> u32 {
        0
    }
    pub unsafe fn time_ns() -> i64 {
        0
    }
    pub unsafe fn random(_: *mut u8, _: usize) {}
    pub unsafe fn metric_def(_: i32, _: *const u8, _: usize) -> i32 {
        -1
    }
    pub unsafe fn metric_add(_: i32, _: i64) {}
    pub unsafe fn metric_obs(_: i32, _: f64) {}
    pub unsafe fn kv_get(_: *const u8, _: usize, _: *mut u8, _: usize) -> i32 {
        -1
    }
    pub unsafe fn kv_set(_: *const u8, _: usize, _: *const u8, _: usize, _: i64) -> i32 {
        0
    }
    pub unsafe fn kv_swap(
        _: *const u8,
        _: usize,
        _: *const u8,
        _: usize,
        _: *const u8,
        _: usize,
        _: i64,
    ) -> i32 {
        0
    }
    pub unsafe fn kv_add(_: *const u8, _: usize, _: i64, _: i64) -> i64 {
        0
    }
    pub unsafe fn kv_delete(_: *const u8, _: usize) -> i32 {
        0
    }
}

/// The levels of [`log`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// The kinds of metric that [`define_metric`] makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum MetricKind {
    Counter,
    Gauge,
    /// Of seconds.
    Histogram,
}

/// Reports whether a line of that level would be written.
pub fn log_enabled(level: Level) -> bool {
    unsafe { import::log_enabled(level as i32) != 0 }
}

/// Writes one line, of which 1 KiB is kept, to the router's log.
pub fn log(level: Level, text: impl AsRef<[u8]>) {
    let text = text.as_ref();
    if log_enabled(level) {
        unsafe { import::log(level as i32, text.as_ptr(), text.len()) }
    }
}

/// Fills `buf`: with bytes that depend only on the message, unless the filter has
/// the grant random.
pub fn random(buf: &mut [u8]) {
    unsafe { import::random(buf.as_mut_ptr(), buf.len()) }
}

/// Returns nanoseconds since 1970: when the router received the message, or the
/// clock with the grant clock.
pub fn time_ns() -> i64 {
    unsafe { import::time_ns() }
}

/// Copies a header's value as it was when the call began, that was left out of the
/// frame too, and returns its full length. What is longer than `buf` is not copied.
pub fn read_header(name: impl AsRef<[u8]>, buf: &mut [u8]) -> Option<usize> {
    let name = name.as_ref();
    let n = unsafe { import::header_get(name.as_ptr(), name.len(), buf.as_mut_ptr(), buf.len()) };
    usize::try_from(n).ok()
}

/// Copies body bytes from an offset, those too that the frame left out, and
/// returns them; none at the end.
pub fn read_body(offset: u32, buf: &mut [u8]) -> &[u8] {
    let n = unsafe { import::body_read(offset, buf.as_mut_ptr(), buf.len()) };
    buf.get(..n as usize).unwrap_or(&[])
}

/// Returns a metric's id, or -1. It works in `init` only, and like the other
/// functions for metrics needs the grant metrics: a module that calls one is
/// refused without it.
pub fn define_metric(kind: MetricKind, name: impl AsRef<[u8]>) -> i32 {
    let name = name.as_ref();
    unsafe { import::metric_def(kind as i32, name.as_ptr(), name.len()) }
}

/// Adds to a counter or a gauge.
pub fn add_metric(id: i32, v: i64) {
    unsafe { import::metric_add(id, v) }
}

/// Adds an observation to a histogram, or sets a gauge.
pub fn observe_metric(id: i32, v: f64) {
    unsafe { import::metric_obs(id, v) }
}

/// Copies the value of an entry in the cache that all instances of the filter share
/// and returns its full length. What is longer than `buf` is not copied.
///
/// The functions with `kv` need the grant kv: a module that calls one is refused
/// without it. Keys have 1 to 255 bytes. An entry lives for `ttl_ms` milliseconds,
/// at most and, with 0, by default the limit kv_ttl; any may be gone earlier, to
/// make room. Each operation is atomic among the lanes.
pub fn kv_get(key: impl AsRef<[u8]>, buf: &mut [u8]) -> Option<usize> {
    let key = key.as_ref();
    let n = unsafe { import::kv_get(key.as_ptr(), key.len(), buf.as_mut_ptr(), buf.len()) };
    usize::try_from(n).ok()
}

/// Stores a value. It returns false if key or value are too long.
pub fn kv_set(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl_ms: i64) -> bool {
    let (key, value) = (key.as_ref(), value.as_ref());
    unsafe { import::kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), ttl_ms) != 0 }
}

/// Stores a value if the entry's is `old` or, without an old one, if there is no
/// entry. It returns whether it did.
pub fn kv_swap(key: impl AsRef<[u8]>, old: Option<&[u8]>, value: impl AsRef<[u8]>, ttl_ms: i64) -> bool {
    let (key, value) = (key.as_ref(), value.as_ref());
    let (old, old_len) = old.map_or((core::ptr::null(), usize::MAX), |old| (old.as_ptr(), old.len()));
    let swapped = unsafe {
        import::kv_swap(key.as_ptr(), key.len(), old, old_len, value.as_ptr(), value.len(), ttl_ms)
    };
    swapped != 0
}

/// Adds to a counter, 8 bytes little endian, and returns the sum. One that is not
/// there starts at 0 and lives for `ttl_ms` from then on, however often it is added
/// to.
pub fn kv_add(key: impl AsRef<[u8]>, n: i64, ttl_ms: i64) -> i64 {
    let key = key.as_ref();
    unsafe { import::kv_add(key.as_ptr(), key.len(), n, ttl_ms) }
}

/// Removes an entry and returns whether there was one.
pub fn kv_delete(key: impl AsRef<[u8]>) -> bool {
    let key = key.as_ref();
    unsafe { import::kv_delete(key.as_ptr(), key.len()) != 0 }
}
