//! The change that a handler writes.

use core::fmt;
use core::marker::PhantomData;

use crate::bytes::{put, same};
use crate::memory::Buffer;
use crate::message::Slot;

/// How many bytes of changes one call may write, bodies that are given by
/// reference not counted. A change that does not fit fails the message.
const MAX: usize = 4 << 20;

const SET_HEADER: u8 = 1;
const DEL_HEADER: u8 = 2;
const CLEAR_HEADERS: u8 = 3;
const SET_PROP: u8 = 4;
const TARGET: u8 = 5;
const ACTION: u8 = 6;
const BODY: u8 = 7;
const BODY_REF: u8 = 8;
const EMIT: u8 = 9;
const ERROR: u8 = 10;

const UTF8: u8 = 1 << 4;
const BYTES: u8 = 2 << 4;
const INT64: u8 = 3 << 4;
const FLOAT64: u8 = 4 << 4;
const BOOL: u8 = 5 << 4;
const TIME: u8 = 6 << 4;
const RETRYABLE: u8 = 2;

/// What a filter changes. Everything is copied, except what
/// [`set_body_ref`](Delta::set_body_ref) names.
pub struct Delta<'m> {
    ops: &'m mut Buffer,
    full: bool,
    refs: PhantomData<&'m [u8]>,
}

impl<'m> Delta<'m> {
    #[inline]
    pub(crate) fn new(ops: &'m mut Buffer) -> Self {
        ops.len = 0;
        Delta { ops, full: false, refs: PhantomData }
    }

    #[inline]
    pub(crate) fn result(mut self) -> i64 {
        if self.full {
            self.too_big();
        }
        if self.ops.len == 0 {
            return 0;
        }
        (u64::from(self.ops.address()) << 32 | u64::from(self.ops.len)) as i64
    }

    #[cold]
    fn too_big(&mut self) {
        self.full = false;
        self.ops.len = 0;
        self.error("too-big", "the change does not fit the filter's delta buffer");
    }

    /// Returns how many bytes of changes there are; 0 is no change.
    pub fn len(&self) -> usize {
        self.ops.len as usize
    }

    /// Reports whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.ops.len == 0
    }

    /// Appends `n` bytes for the caller to write.
    fn room(&mut self, n: usize) -> &mut [u8] {
        let end = self.len() + n;
        if self.full || end > MAX || !self.ops.reserve(end as u32) {
            self.full = true;
            return &mut [];
        }
        self.ops.extend(n as u32)
    }

    /// Appends an op whose value consists of the parts.
    #[inline(never)]
    fn op(&mut self, code: u8, flags: u8, key: &[u8], parts: &[&[u8]]) {
        let n: usize = parts.iter().map(|p| p.len()).sum();
        if key.len() > 0xffff || n > MAX {
            self.full = true;
            return;
        }
        let head = u64::from(code) | u64::from(flags) << 8 | (key.len() as u64) << 16 | (n as u64) << 32;
        let size = (8 + key.len() + n + 7) & !7;
        let room = self.room(size);
        if let Some(last) = room.get_mut(size - 8..) {
            put(last, &[0; 8]); // what is behind the value is 0
        }
        let room = put(room, &head.to_le_bytes());
        let mut room = put(room, key);
        for part in parts {
            room = put(room, part);
        }
    }

    /// Sets a header to a text, or to its bytes when it is not UTF-8.
    pub fn set_header(&mut self, name: impl AsRef<[u8]>, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let kind = if core::str::from_utf8(text).is_ok() { UTF8 } else { BYTES };
        self.op(SET_HEADER, kind, name.as_ref(), &[text]);
    }

    /// Sets a header to bytes.
    pub fn set_header_bytes(&mut self, name: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        self.op(SET_HEADER, BYTES, name.as_ref(), &[bytes.as_ref()]);
    }

    /// Sets a header to a 64-bit integer.
    pub fn set_header_i64(&mut self, name: impl AsRef<[u8]>, v: i64) {
        self.op(SET_HEADER, INT64, name.as_ref(), &[&v.to_le_bytes()]);
    }

    /// Sets a header to a number with a fraction.
    pub fn set_header_f64(&mut self, name: impl AsRef<[u8]>, v: f64) {
        self.op(SET_HEADER, FLOAT64, name.as_ref(), &[&v.to_bits().to_le_bytes()]);
    }

    /// Sets a header to a boolean.
    pub fn set_header_bool(&mut self, name: impl AsRef<[u8]>, v: bool) {
        self.op(SET_HEADER, BOOL, name.as_ref(), &[&[v as u8]]);
    }

    /// Sets a header to a time, in seconds since 1970.
    pub fn set_header_time(&mut self, name: impl AsRef<[u8]>, seconds: i64) {
        self.op(SET_HEADER, TIME, name.as_ref(), &[&seconds.to_le_bytes()]);
    }

    /// Sets a header to nothing.
    pub fn set_header_null(&mut self, name: impl AsRef<[u8]>) {
        self.op(SET_HEADER, 0, name.as_ref(), &[]);
    }

    /// Removes a header; an absent one is no error.
    pub fn del_header(&mut self, name: impl AsRef<[u8]>) {
        self.op(DEL_HEADER, 0, name.as_ref(), &[]);
    }

    /// Removes all headers.
    pub fn clear_headers(&mut self) {
        self.op(CLEAR_HEADERS, 0, b"", &[]);
    }

    /// Sets a property; an empty text removes it.
    pub fn set_prop(&mut self, slot: Slot, text: impl AsRef<[u8]>) {
        self.op(SET_PROP, 0, &(slot as u16).to_le_bytes(), &[text.as_ref()]);
    }

    /// Sets the priority.
    pub fn set_priority(&mut self, v: u8) {
        self.op(SET_PROP, 0, &32u16.to_le_bytes(), &[&[v]]);
    }

    /// Sets the delivery mode: 0 none, 1 transient, 2 persistent.
    pub fn set_delivery_mode(&mut self, v: u8) {
        self.op(SET_PROP, 0, &33u16.to_le_bytes(), &[&[v]]);
    }

    /// Sets the timestamp, in seconds since 1970, or removes it.
    pub fn set_timestamp(&mut self, seconds: Option<i64>) {
        match seconds {
            Some(v) => self.op(SET_PROP, 0, &34u16.to_le_bytes(), &[&v.to_le_bytes()]),
            None => self.op(SET_PROP, 0, &34u16.to_le_bytes(), &[]),
        }
    }

    /// Adds a target written as in router.toml: `queue:NAME`,
    /// `exchange:NAME/KEY`, `topic:[EXCHANGE/]TOPIC`,
    /// `server:[EXCHANGE/]TOPIC.SERVER`, `fanout:TOPIC` or
    /// `notify:[EXCHANGE/]TOPIC.PRIORITY`. It returns false when the text is none.
    #[inline]
    pub fn target(&mut self, text: impl AsRef<[u8]>) -> bool {
        self.add_target(text.as_ref()).is_some()
    }

    fn add_target(&mut self, text: &[u8]) -> Option<()> {
        if let (Some(kind), Some(name)) = (text.get(..5), text.get(6..)) {
            if same(kind, b"queue") && text.get(5) == Some(&b':') && !name.is_empty() {
                self.op(TARGET, 0, kind, &[name]);
                return Some(());
            }
        }
        let (kind, rest) = cut(text, b':')?;
        let slash = cut(rest, b'/');
        let (exchange, name) = slash.unwrap_or((b"", rest));
        let nul: &[u8] = if slash.is_some() { b"\0" } else { b"" };
        let dot = match kind {
            b"fanout" if !rest.is_empty() => {
                self.op(TARGET, 0, kind, &[rest]);
                return Some(());
            }
            b"exchange" => {
                slash?;
                self.op(TARGET, 0, kind, &[exchange, b"\0", name]);
                return Some(());
            }
            b"topic" if !name.is_empty() => {
                self.op(TARGET, 0, kind, &[name, nul, exchange]);
                return Some(());
            }
            b"server" => name.iter().position(|&c| c == b'.')?,
            b"notify" => name.iter().rposition(|&c| c == b'.')?,
            _ => return None,
        };
        let (first, second) = (name.get(..dot)?, name.get(dot + 1..)?);
        if first.is_empty() || second.is_empty() {
            return None;
        }
        self.op(TARGET, 0, kind, &[first, b"\0", second, nul, exchange]);
        Some(())
    }

    /// Sends the message to the targets set here, by an earlier filter, or by the
    /// route; a target set here says as much.
    pub fn forward(&mut self) {
        self.op(ACTION, 0, b"forward", &[]);
    }

    /// Acknowledges and counts the message.
    pub fn drop(&mut self, reason: impl AsRef<[u8]>) {
        self.op(ACTION, 0, b"drop", &[reason.as_ref()]);
    }

    /// Dead-letters the message with the reason, of which 256 bytes are kept.
    pub fn reject(&mut self, reason: impl AsRef<[u8]>) {
        self.op(ACTION, 0, b"reject", &[reason.as_ref()]);
    }

    /// Asks for another run after a delay; 0 is the route's own backoff.
    pub fn retry(&mut self, delay_ms: i64, reason: impl AsRef<[u8]>) {
        self.op(ACTION, 0, b"retry", &[&delay_ms.to_le_bytes(), reason.as_ref()]);
    }

    /// Answers the caller with the message as this delta leaves it.
    pub fn reply(&mut self) {
        self.op(ACTION, 0, b"reply", &[]);
    }

    /// Skips the filters after this one.
    pub fn stop(&mut self) {
        self.op(ACTION, 0, b"stop", &[]);
    }

    /// Leaves an earlier decision as it is, as a filter does that says nothing.
    pub fn go_on(&mut self) {
        self.op(ACTION, 0, b"continue", &[]);
    }

    /// Copies the new body into the delta.
    pub fn set_body(&mut self, body: impl AsRef<[u8]>) {
        self.op(BODY, 0, b"", &[body.as_ref()]);
    }

    /// Names the new body where it lies, in the message or in what lives as long.
    /// The handler then says so: `fn route<'m>(m: &Message<'m>, d: &mut Delta<'m>)`.
    pub fn set_body_ref(&mut self, body: &'m [u8]) {
        let [a0, a1, a2, a3] = (body.as_ptr() as usize as u32).to_le_bytes();
        let [n0, n1, n2, n3] = (body.len() as u32).to_le_bytes();
        self.op(BODY_REF, 0, b"", &[&[a0, a1, a2, a3, n0, n1, n2, n3]]);
    }

    /// Lets `write` write the new body, straight into the delta.
    pub fn write_body(&mut self, write: impl FnOnce(&mut Body<'_, 'm>)) {
        let start = self.len();
        self.op(BODY, 0, b"", &[]);
        write(&mut Body { delta: self });
        let n = self.len() - start;
        self.room(n.wrapping_neg() & 7).fill(0);
        if self.full {
            return;
        }
        if let Some(length) = self.ops.bytes().get_mut(start + 4..start + 8) {
            length.copy_from_slice(&(n as u32 - 8).to_le_bytes());
        }
    }

    /// Starts a new message; what is written after it applies to that.
    pub fn emit(&mut self) {
        self.op(EMIT, 0, b"", &[]);
    }

    /// Fails the message: a short code for metrics and a text for people.
    /// Everything else in the delta is then ignored.
    pub fn error(&mut self, code: impl AsRef<[u8]>, text: impl AsRef<[u8]>) {
        self.op(ERROR, 0, code.as_ref(), &[text.as_ref()]);
    }

    /// As `error`, for what may go well the next time.
    pub fn error_retryable(&mut self, code: impl AsRef<[u8]>, text: impl AsRef<[u8]>) {
        self.op(ERROR, RETRYABLE, code.as_ref(), &[text.as_ref()]);
    }
}

/// A body that is being written, see [`Delta::write_body`]. `write!` works too.
pub struct Body<'d, 'm> {
    delta: &'d mut Delta<'m>,
}

impl Body<'_, '_> {
    /// Appends bytes.
    #[inline]
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        put(self.delta.room(bytes.len()), bytes);
    }
}

impl fmt::Write for Body<'_, '_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.push(s);
        Ok(())
    }
}

/// Splits a text at the first `at`.
fn cut(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = text.iter().position(|&c| c == at)?;
    Some((text.get(..i)?, text.get(i + 1..)?))
}
