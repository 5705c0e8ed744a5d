//! The message of one call.

use crate::bytes::same;
use crate::json::{find_json, Json};
use crate::text::decimal;

/// The message was delivered before.
pub const REDELIVERED: u32 = 1;
/// The frame holds only the start of the body.
pub const BODY_TRUNCATED: u32 = 1 << 1;
/// The body was left out.
pub const NO_BODY: u32 = 1 << 2;
/// The headers were left out.
pub const NO_HEADERS: u32 = 1 << 3;
/// The properties were left out.
pub const NO_PROPERTIES: u32 = 1 << 4;

/// Names a property. `Exchange`, `RoutingKey`, `UserId`, `Source`, `FilterName`
/// and `Target` can only be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Slot {
    Exchange,
    RoutingKey,
    ContentType,
    ContentEncoding,
    CorrelationId,
    ReplyTo,
    MessageId,
    Type,
    AppId,
    UserId,
    /// The queue that the message came from.
    Source,
    FilterName,
    /// In milliseconds, in decimal.
    Expiration,
    /// In pack and encode, where this copy goes.
    Target,
}

impl Slot {
    /// Returns the slot that configuration calls `name`.
    pub fn named(name: impl AsRef<[u8]>) -> Option<Slot> {
        Some(match name.as_ref() {
            b"exchange" => Slot::Exchange,
            b"routing_key" => Slot::RoutingKey,
            b"content_type" => Slot::ContentType,
            b"content_encoding" => Slot::ContentEncoding,
            b"correlation_id" => Slot::CorrelationId,
            b"reply_to" => Slot::ReplyTo,
            b"message_id" => Slot::MessageId,
            b"type" => Slot::Type,
            b"app_id" => Slot::AppId,
            b"user_id" => Slot::UserId,
            b"source" => Slot::Source,
            b"filter_name" => Slot::FilterName,
            b"expiration" => Slot::Expiration,
            b"target" => Slot::Target,
            _ => return None,
        })
    }
}

/// One header's value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'m> {
    /// Nothing.
    Null,
    /// A string, which need not be UTF-8.
    Utf8(&'m [u8]),
    /// Bytes.
    Bytes(&'m [u8]),
    /// An integer of any size.
    Int64(i64),
    /// A number with a fraction.
    Float64(f64),
    /// A boolean.
    Bool(bool),
    /// Seconds since 1970.
    Time(i64),
    /// A table or an array, as JSON.
    Nested(&'m [u8]),
    /// A type that this package does not know.
    Other(u8, &'m [u8]),
}

impl<'m> Value<'m> {
    fn new(kind: u8, raw: &'m [u8]) -> Self {
        match kind {
            0 => Value::Null,
            1 => Value::Utf8(raw),
            2 => Value::Bytes(raw),
            3 => Value::Int64(u64_of(raw) as i64),
            4 => Value::Float64(f64::from_bits(u64_of(raw))),
            5 => Value::Bool(matches!(raw, [1..=255, ..])),
            6 => Value::Time(u64_of(raw) as i64),
            7 => Value::Nested(raw),
            _ => Value::Other(kind, raw),
        }
    }

    /// Returns strings and bytes as they are, and integers, times and booleans
    /// written out; nothing for other types. Integers are written to `buf`.
    pub fn text<'b>(&self, buf: &'b mut [u8; 20]) -> Option<&'b [u8]>
    where
        'm: 'b,
    {
        match *self {
            Value::Utf8(raw) | Value::Bytes(raw) => Some(raw),
            Value::Int64(v) | Value::Time(v) => Some(decimal(v, buf)),
            Value::Bool(true) => Some(b"true"),
            Value::Bool(false) => Some(b"false"),
            _ => None,
        }
    }
}

impl PartialEq for Value<'_> {
    #[inline]
    fn eq(&self, other: &Value<'_>) -> bool {
        match (*self, *other) {
            (Value::Null, Value::Null) => true,
            (Value::Utf8(a), Value::Utf8(b)) | (Value::Bytes(a), Value::Bytes(b)) | (Value::Nested(a), Value::Nested(b)) => same(a, b),
            (Value::Int64(a), Value::Int64(b)) | (Value::Time(a), Value::Time(b)) => a == b,
            (Value::Float64(a), Value::Float64(b)) => a == b,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Other(k, a), Value::Other(l, b)) => k == l && same(a, b),
            _ => false,
        }
    }
}

/// The message of one call. What it returns lives as long as the call, `'m`.
pub struct Message<'m> {
    head: &'m [u8; 80],
    frame: &'m [u8],
    headers: &'m [u8],
    body: &'m [u8],
}

impl<'m> Message<'m> {
    /// Reads a frame; nothing if it is none.
    #[inline]
    pub fn new(frame: &'m [u8]) -> Option<Self> {
        let head: &[u8; 80] = frame.get(..80)?.try_into().ok()?;
        if head[..4] != *b"RTR1" {
            return None;
        }
        let mut m = Message { head, frame, headers: &[], body: &[] };
        m.headers = m.slice(m.head32(16), m.head32(20).checked_mul(HEADER)?)?;
        m.body = m.slice(m.head32(24), m.head32(28))?;
        Some(m)
    }

    fn head32(&self, at: usize) -> u32 {
        u32_at(self.head, at)
    }

    #[inline]
    fn slice(&self, at: u32, len: u32) -> Option<&'m [u8]> {
        self.frame.get(at as usize..)?.get(..len as usize)
    }

    fn text(&self, at: u32, len: u32) -> &'m [u8] {
        self.slice(at, len).unwrap_or(&[])
    }

    /// Returns the frame's flags, see [`REDELIVERED`] and the like.
    pub fn flags(&self) -> u32 {
        self.head32(12)
    }

    /// Returns the body, or what of it was asked for.
    pub fn body(&self) -> &'m [u8] {
        self.body
    }

    /// Returns the length of the whole body, that was left out too.
    pub fn body_full_len(&self) -> u64 {
        u64_at(self.head, 32)
    }

    /// Returns the timestamp property in nanoseconds since 1970, or 0.
    pub fn timestamp_ns(&self) -> i64 {
        u64_at(self.head, 40) as i64
    }

    /// Returns when the router received the message, in nanoseconds since 1970.
    pub fn received_ns(&self) -> i64 {
        u64_at(self.head, 64) as i64
    }

    /// Returns the priority, 0 to 255.
    pub fn priority(&self) -> u8 {
        self.head[56]
    }

    /// Returns the delivery mode: 0 none, 1 transient, 2 persistent.
    pub fn delivery_mode(&self) -> u8 {
        self.head[57]
    }

    /// Returns the stage of the call: 0 decode, 1 unpack, 2 decide, 3 pack, 4 encode.
    pub fn stage(&self) -> u8 {
        self.head[58]
    }

    /// Returns a property, empty when the message has none.
    pub fn prop(&self, slot: Slot) -> &'m [u8] {
        self.prop_at(slot as u32)
    }

    /// Returns the property in a slot of the frame, one that [`Slot`] does not know
    /// too.
    pub fn prop_at(&self, slot: u32) -> &'m [u8] {
        if slot >= self.head32(52) {
            return &[];
        }
        match self.head32(48).checked_add(slot.saturating_mul(8)).and_then(|at| self.slice(at, 8)) {
            Some(entry) => self.text(u32_at(entry, 0), u32_at(entry, 4)),
            None => &[],
        }
    }

    /// Returns how many headers there are.
    pub fn header_count(&self) -> usize {
        self.headers.len() / HEADER as usize
    }

    /// Returns all headers, with their names.
    pub fn headers(&self) -> impl Iterator<Item = (&'m [u8], Value<'m>)> + '_ {
        self.headers.chunks_exact(HEADER as usize).map(|e| self.entry(e))
    }

    /// Returns the i-th header and its name.
    pub fn header_at(&self, i: usize) -> Option<(&'m [u8], Value<'m>)> {
        self.headers.chunks_exact(HEADER as usize).nth(i).map(|e| self.entry(e))
    }

    fn entry(&self, e: &'m [u8]) -> (&'m [u8], Value<'m>) {
        match <&[u8; HEADER as usize]>::try_from(e) {
            Ok(e) => {
                let name = self.text(u32_at(e, 0), u32::from(u16::from_le_bytes([e[4], e[5]])));
                (name, Value::new(e[6], self.text(u32_at(e, 8), u32_at(e, 12))))
            }
            Err(_) => (&[], Value::Null),
        }
    }

    /// Finds a header by its name.
    #[inline]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<Value<'m>> {
        self.find(name.as_ref())
    }

    #[inline]
    fn find(&self, name: &[u8]) -> Option<Value<'m>> {
        for e in self.headers.chunks_exact(HEADER as usize) {
            if let Ok(e) = <&[u8; HEADER as usize]>::try_from(e) {
                if usize::from(u16::from_le_bytes([e[4], e[5]])) == name.len() && same(self.text(u32_at(e, 0), name.len() as u32), name) {
                    return Some(Value::new(e[6], self.text(u32_at(e, 8), u32_at(e, 12))));
                }
            }
        }
        None
    }

    /// As `header`, for a name whose [`hash()`] is known, which spares comparing it
    /// with other names of its length.
    pub fn header_hashed(&self, name: impl AsRef<[u8]>, hash: u32) -> Option<Value<'m>> {
        self.headers.chunks_exact(HEADER as usize).filter(|e| u32_at(e, 16) == hash).map(|e| self.entry(e)).find(|(key, _)| same(key, name.as_ref())).map(|(_, value)| value)
    }

    /// Returns a header that is a string or bytes; see [`Value::text`] for others.
    pub fn header_text(&self, name: impl AsRef<[u8]>) -> Option<&'m [u8]> {
        match self.header(name) {
            Some(Value::Utf8(raw) | Value::Bytes(raw)) => Some(raw),
            _ => None,
        }
    }

    /// Finds a value in the body by its path, as [`find_json`].
    pub fn json(&self, path: impl AsRef<[u8]>) -> Option<Json<'m>> {
        find_json(self.body, path).unwrap_or(None)
    }
}

/// The length of a header's entry.
const HEADER: u32 = 20;

/// Returns the hash by which frames index header names (FNV-1a). With a name that
/// the compiler knows it costs nothing.
#[inline]
pub const fn hash(name: &[u8]) -> u32 {
    let mut h = 0x811c_9dc5_u32;
    let mut i = 0;
    while i < name.len() {
        h = (h ^ name[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    h
}

/// Reads a number, 0 where there is none.
#[inline]
fn u32_at(b: &[u8], at: usize) -> u32 {
    match b.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    }
}

#[inline]
fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

fn u64_of(b: &[u8]) -> u64 {
    u64_at(b, 0)
}
