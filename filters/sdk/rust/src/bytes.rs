//! Comparing and copying short texts. The compiler calls functions for long ones,
//! which take several times as long as the text is worth.

/// Reports whether two texts are equal: in words, of which the last overlaps.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let n = a.len();
    if n != b.len() {
        return false;
    }
    let (a, b) = (a.as_ptr(), b.as_ptr());
    // All reads are of the n bytes that both have.
    unsafe {
        match n {
            0 => true,
            1..=3 => a.read() == b.read() && a.add(n / 2).read() == b.add(n / 2).read() && a.add(n - 1).read() == b.add(n - 1).read(),
            4..=7 => word32(a) == word32(b) && word32(a.add(n - 4)) == word32(b.add(n - 4)),
            _ => {
                let mut i = 0;
                while i + 8 < n {
                    if word64(a.add(i)) != word64(b.add(i)) {
                        return false;
                    }
                    i += 8;
                }
                word64(a.add(n - 8)) == word64(b.add(n - 8))
            }
        }
    }
}

/// Writes `from` to the start of `room` and returns what is behind it, or nothing
/// if it does not fit.
#[inline]
pub(crate) fn put<'a>(room: &'a mut [u8], from: &[u8]) -> &'a mut [u8] {
    let n = from.len();
    if room.len() < n {
        return &mut [];
    }
    let (to, rest) = room.split_at_mut(n);
    let (to, from) = (to.as_mut_ptr(), from.as_ptr());
    // All reads and writes are of the n bytes that both have.
    unsafe {
        match n {
            8..=64 => {
                let last = word64(from.add(n - 8));
                let mut i = 0;
                while i + 8 < n {
                    to.add(i).cast::<u64>().write_unaligned(word64(from.add(i)));
                    i += 8;
                }
                to.add(n - 8).cast::<u64>().write_unaligned(last);
            }
            4..=7 => {
                let (first, last) = (word32(from), word32(from.add(n - 4)));
                to.cast::<u32>().write_unaligned(first);
                to.add(n - 4).cast::<u32>().write_unaligned(last);
            }
            _ => core::ptr::copy_nonoverlapping(from, to, n),
        }
    }
    rest
}

/// # Safety
///
/// There are 8 bytes at `at`.
#[inline]
unsafe fn word64(at: *const u8) -> u64 {
    at.cast::<u64>().read_unaligned()
}

/// # Safety
///
/// There are 4 bytes at `at`.
#[inline]
unsafe fn word32(at: *const u8) -> u32 {
    at.cast::<u32>().read_unaligned()
}
