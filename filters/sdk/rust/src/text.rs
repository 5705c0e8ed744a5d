//! Short texts.

use core::fmt;

/// A bounded text, for reasons and error messages; what does not fit is cut where
/// a character ends. `write!` works too, but makes a module several KiB bigger.
#[derive(Clone, Copy)]
pub struct Text<const N: usize = 256> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// An empty text.
    pub const fn new() -> Self {
        Text { len: 0, bytes: [0; N] }
    }

    /// Appends a text.
    pub fn add(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let text = cut_utf8(text.as_ref(), N.saturating_sub(self.len));
        if let Some(room) = self.bytes.get_mut(self.len..).and_then(|b| b.get_mut(..text.len())) {
            room.copy_from_slice(text);
            self.len += text.len();
        }
        self
    }

    /// Appends a number in decimal.
    pub fn add_int(&mut self, v: i64) -> &mut Self {
        self.add(decimal(v, &mut [0; 20]))
    }

    /// Empties the text.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text::new()
    }
}

impl<const N: usize> AsRef<[u8]> for Text<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.add(s);
        Ok(())
    }
}

/// Shortens a text to at most `max` bytes without cutting a character.
fn cut_utf8(text: &[u8], mut max: usize) -> &[u8] {
    while max > 0 && matches!(text.get(max), Some(0x80..=0xbf)) {
        max -= 1;
    }
    text.get(..max).unwrap_or(text)
}

/// Writes a number in decimal.
pub(crate) fn decimal(v: i64, buf: &mut [u8; 20]) -> &[u8] {
    let mut u = v.unsigned_abs();
    let mut start = buf.len();
    for b in buf.iter_mut().rev() {
        start -= 1;
        *b = b'0' + (u % 10) as u8;
        u /= 10;
        if u == 0 {
            break;
        }
    }
    if v < 0 {
        // No number has 20 digits.
        start -= 1;
        if let Some(b) = buf.get_mut(start) {
            *b = b'-';
        }
    }
    buf.get(start..).unwrap_or(&[])
}
