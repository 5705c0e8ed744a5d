//! The memory of an instance. Nothing is ever given back: what is taken in
//! `init` stays, and the two buffers of a call only grow.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// What no block goes beyond.
const MAX: u32 = 0x7fff_0000;

/// A static of this crate that only the code of one call uses.
pub(crate) struct Static<T>(UnsafeCell<T>);

// An instance has one thread. Elsewhere, in unit tests of a filter's logic, only
// exported functions get at these, and nobody calls those.
unsafe impl<T> Sync for Static<T> {}

impl<T> Static<T> {
    const fn new(value: T) -> Self {
        Static(UnsafeCell::new(value))
    }

    /// # Safety
    ///
    /// No other reference to the content is alive.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn get(&self) -> &mut T {
        &mut *self.0.get()
    }
}

/// The host writes frames to its start.
pub(crate) static INPUT: Static<Buffer> = Static::new(Buffer::new());
/// The change of the call at hand.
pub(crate) static DELTA: Static<Buffer> = Static::new(Buffer::new());
/// The names of the headers that the filter reads, a NUL behind each.
pub(crate) static NAMES: Static<Buffer> = Static::new(Buffer::new());

/// Bytes in a block that grows, 8-aligned.
pub(crate) struct Buffer {
    at: *mut u8,
    pub(crate) len: u32,
    cap: u32,
}

impl Buffer {
    pub(crate) const fn new() -> Self {
        Buffer { at: core::ptr::null_mut(), len: 0, cap: 0 }
    }

    /// Makes room for `n` bytes in all and returns where they are, or 0.
    pub(crate) fn address_of(&mut self, n: u32) -> u32 {
        if self.reserve(n) {
            self.at as usize as u32
        } else {
            0
        }
    }

    /// Makes room for `n` bytes in all.
    #[inline]
    pub(crate) fn reserve(&mut self, n: u32) -> bool {
        n <= self.cap || self.grow(n)
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, n: u32) -> bool {
        if n > MAX {
            return false;
        }
        let least = (n + 7) & !7;
        let twice = (n.max(self.cap.saturating_mul(2).min(MAX)) + 4095) & !4095;
        for cap in [twice, least] {
            if let Some(at) = block(cap, self.at, self.cap) {
                // A block that has grown where it was holds what it held.
                if at != self.at && self.len > 0 {
                    unsafe { core::ptr::copy_nonoverlapping(self.at, at, self.len as usize) };
                }
                self.at = at;
                self.cap = cap;
                return true;
            }
        }
        false
    }

    /// Appends `n` bytes, for which room was reserved, and returns them to be
    /// written.
    #[inline]
    pub(crate) fn extend(&mut self, n: u32) -> &mut [u8] {
        let n = n.min(self.cap - self.len);
        if n == 0 {
            return &mut [];
        }
        // Within the block. Memory that was never written is zero.
        let room = unsafe { core::slice::from_raw_parts_mut(self.at.add(self.len as usize), n as usize) };
        self.len += n;
        room
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut [];
        }
        unsafe { core::slice::from_raw_parts_mut(self.at, self.len as usize) }
    }

    pub(crate) fn address(&self) -> u32 {
        self.at as usize as u32
    }
}

/// A zeroed block of `n` bytes, 8-aligned, for the instance's whole life. When
/// `old` is the newest block, of `cap` bytes, it grows where it is.
#[cfg(target_arch = "wasm32")]
fn block(n: u32, old: *mut u8, cap: u32) -> Option<*mut u8> {
    use core::arch::wasm32::{memory_grow, memory_size};
    /// Free memory: from where, up to where.
    static FREE: Static<(u64, u64)> = Static::new((0, 0));

    // Nobody else uses it, and no reference to it leaves this function.
    let (top, limit) = unsafe { FREE.get() };
    if *limit == 0 {
        (*top, *limit) = first_region();
    }
    let mut start = *top;
    if !old.is_null() && old as u64 + u64::from(cap) == start {
        start = old as u64;
    }
    let size = (memory_size(0) as u64) << 16;
    if size != *limit && start + u64::from(n) > *limit {
        // The filter's own allocator has made memory bigger: what follows is not free.
        start = size;
        *limit = size;
    }
    let end = (start + u64::from(n) + 7) & !7;
    if end > u64::from(MAX) {
        return None;
    }
    if end > *limit {
        let pages = (end - *limit + 0xffff) >> 16;
        if memory_grow(0, pages as usize) == usize::MAX {
            return None;
        }
        *limit += pages << 16;
    }
    *top = end;
    Some(start as usize as *mut u8)
}

/// The memory behind the statics, up to where it ends.
#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
fn first_region() -> (u64, u64) {
    extern "C" {
        static __heap_base: u8;
    }
    // Of the linker's symbol only the address means something.
    #[allow(unused_unsafe)] // it is safe since Rust 1.82
    let base = unsafe { core::ptr::addr_of!(__heap_base) };
    ((base as u64 + 7) & !7, (core::arch::wasm32::memory_size(0) as u64) << 16)
}

/// The standard library's allocator may be there already.
#[cfg(all(target_arch = "wasm32", feature = "std"))]
fn first_region() -> (u64, u64) {
    let end = (core::arch::wasm32::memory_size(0) as u64) << 16;
    (end, end)
}

#[cfg(not(target_arch = "wasm32"))]
fn block(n: u32, _old: *mut u8, _cap: u32) -> Option<*mut u8> {
    let words = std::vec![0u64; (n as usize + 7) / 8];
    Some(std::vec::Vec::leak(words).as_mut_ptr().cast())
}

/// Memory for `n` values, for the instance's whole life.
pub(crate) fn forever<T: Copy>(n: usize, fill: T) -> &'static mut [T] {
    let bytes = n.checked_mul(core::mem::size_of::<T>()).and_then(|n| u32::try_from(n).ok());
    match bytes.filter(|&n| n <= MAX).and_then(|n| block((n + 7) & !7, core::ptr::null_mut(), 0)) {
        Some(at) => {
            let at = at.cast::<T>();
            for i in 0..n {
                unsafe { at.add(i).write(fill) };
            }
            unsafe { core::slice::from_raw_parts_mut(at, n) }
        }
        None => crate::fail("out of memory"),
    }
}

/// What a filter keeps from call to call, in a static:
///
/// ```ignore
/// static SEEN: State<u64> = State::new(0);
/// SEEN.with(|n| *n += 1);
/// ```
///
/// Each instance has its own, and an instance has one thread.
pub struct State<T> {
    value: UnsafeCell<T>,
    used: AtomicBool,
}

// Whoever holds the flag has the content to himself.
unsafe impl<T: Send> Sync for State<T> {}

impl<T> State<T> {
    /// Starts with a value.
    pub const fn new(value: T) -> Self {
        State { value: UnsafeCell::new(value), used: AtomicBool::new(false) }
    }

    /// Hands the content to `f`. Within `f` the same state cannot be used again:
    /// that ends the call with the class `trap`.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        if self.used.swap(true, Ordering::Acquire) {
            crate::fail("a State was used within its own with()");
        }
        let result = f(unsafe { &mut *self.value.get() });
        self.used.store(false, Ordering::Release);
        result
    }

    /// Replaces the content.
    #[inline]
    pub fn set(&self, value: T) {
        self.with(|v| *v = value);
    }
}

impl<T: Copy> State<T> {
    /// Copies the content.
    #[inline]
    pub fn get(&self) -> T {
        self.with(|v| *v)
    }
}
