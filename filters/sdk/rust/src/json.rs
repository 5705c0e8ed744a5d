//! A reader for JSON fields that allocates nothing and reads no further than the
//! field that was asked for. It finds values; it is no validator: what lies behind
//! the field, and the inside of what is skipped, is not checked.

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// One value inside a document, as it is written there; of a string, what stands
/// between the quotes.
#[derive(Clone, Copy, Debug)]
pub struct Json<'m> {
    /// What it is.
    pub kind: Kind,
    /// It is a string that holds escapes.
    pub escaped: bool,
    /// How it is written.
    pub raw: &'m [u8],
}

impl<'m> Json<'m> {
    /// Reports whether the value is that string, a number written like that, or
    /// the boolean with that name.
    pub fn is(&self, text: impl AsRef<[u8]>) -> bool {
        let text = text.as_ref();
        match self.kind {
            Kind::Object | Kind::Array | Kind::Null => false,
            _ if self.escaped => same(self.raw, text, false),
            _ => self.raw == text,
        }
    }

    /// Returns a scalar's text: a string without escapes, written to `buf` when it
    /// has some, a number or a boolean as written. There is none of null, objects
    /// and arrays, when an escape is malformed, and when `buf` is too small.
    pub fn text<'b>(&self, buf: &'b mut [u8]) -> Option<&'b [u8]>
    where
        'm: 'b,
    {
        match self.kind {
            Kind::Object | Kind::Array | Kind::Null => None,
            _ if self.escaped => unescape(self.raw, buf),
            _ => Some(self.raw),
        }
    }

    /// Walks over the members of an object or the elements of an array, which have
    /// an empty name; a scalar has none.
    pub fn each(&self) -> Each<'m> {
        let open = matches!(self.kind, Kind::Object | Kind::Array);
        Each { walk: Walk::new(self.raw, 0), more: open, bad: false }
    }
}

/// The members of a value: their names and values, see [`Json::each`].
pub struct Each<'m> {
    walk: Walk<'m>,
    more: bool,
    bad: bool,
}

impl Each<'_> {
    /// Reports whether the walk ended because the text is malformed.
    pub fn bad(&self) -> bool {
        self.bad
    }
}

impl<'m> Iterator for Each<'m> {
    type Item = (Json<'m>, Json<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        if !self.more {
            return None;
        }
        match self.walk.key().and_then(|name| name.map(|name| Ok((name, self.walk.value()?))).transpose()) {
            Ok(Some(member)) => Some(member),
            end => {
                self.more = false;
                self.bad = end.is_err();
                None
            }
        }
    }
}

/// Finds the value at a path like `order.items.0.type`; `\.` is a dot inside a
/// name, an empty path the whole document. Of members with the same name the
/// first counts. When the document is malformed before the value, the error is
/// where.
#[inline]
pub fn find_json<'m>(doc: &'m [u8], path: impl AsRef<[u8]>) -> Result<Option<Json<'m>>, usize> {
    let mut walk = Walk { doc, at: 0, object: false, first: false };
    walk.find(path.as_ref()).map_err(|Bad| walk.at)
}

/// The document is malformed, at the place of the walk.
struct Bad;

/// A walk through a document.
struct Walk<'m> {
    doc: &'m [u8],
    at: usize,
    object: bool,
    first: bool,
}

impl<'m> Walk<'m> {
    /// Enters the object or array at a place.
    fn new(doc: &'m [u8], at: usize) -> Self {
        Walk { doc, at: at + 1, object: doc.get(at) == Some(&b'{'), first: true }
    }

    #[inline(never)]
    fn find(&mut self, mut path: &[u8]) -> Result<Option<Json<'m>>, Bad> {
        self.space();
        while !path.is_empty() {
            let (segment, rest) = step(path);
            path = rest;
            if !self.enter(segment)? {
                return Ok(None);
            }
        }
        self.value().map(Some)
    }

    /// Goes to the member or element of the container at hand.
    fn enter(&mut self, segment: Segment) -> Result<bool, Bad> {
        if !matches!(self.peek(), b'{' | b'[') {
            return self.value().map(|_| false);
        }
        *self = Walk::new(self.doc, self.at);
        let index = if self.object { None } else { segment.index() };
        let mut i = 0;
        while let Some(name) = self.key()? {
            if if self.object { segment.is(&name) } else { index == Some(i) } {
                return Ok(true);
            }
            self.value()?;
            i += 1;
        }
        Ok(false)
    }

    /// Returns the byte at hand, 0 at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.doc.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn slice(&self, from: usize, to: usize) -> &'m [u8] {
        self.doc.get(from..to).unwrap_or(&[])
    }

    #[inline(never)]
    /// Goes to the next member's or element's value and returns its name, or
    /// nothing at the container's end.
    fn key(&mut self) -> Result<Option<Json<'m>>, Bad> {
        self.space();
        if self.peek() == if self.object { b'}' } else { b']' } {
            return Ok(None);
        }
        if !self.first {
            if self.peek() != b',' {
                return Err(Bad);
            }
            self.at += 1;
            self.space();
        }
        self.first = false;
        if !self.object {
            return Ok(Some(Json { kind: Kind::String, escaped: false, raw: b"" }));
        }
        if self.peek() != b'"' {
            return Err(Bad);
        }
        let name = self.string()?;
        self.space();
        if self.peek() != b':' {
            return Err(Bad);
        }
        self.at += 1;
        self.space();
        Ok(Some(name))
    }

    /// Reads the string at hand.
    #[inline]
    fn string(&mut self) -> Result<Json<'m>, Bad> {
        let start = self.at + 1;
        let (end, escaped) = string_end(self.doc, start).ok_or(Bad)?;
        self.at = end + 1;
        Ok(Json { kind: Kind::String, escaped, raw: self.slice(start, end) })
    }

    /// Reads the value at hand; on failure the place stays where it begins.
    fn value(&mut self) -> Result<Json<'m>, Bad> {
        let start = self.at;
        let kind = match self.peek() {
            b'"' => return self.string(),
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b't' => Kind::True,
            b'f' => Kind::False,
            b'n' => Kind::Null,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => return Err(Bad),
        };
        let end = match kind {
            Kind::Object | Kind::Array => container_end(self.doc, start).ok_or(Bad)?,
            _ => scalar_end(self.doc, start),
        };
        let raw = self.slice(start, end);
        match (kind, raw) {
            (Kind::True, b"true") | (Kind::False, b"false") | (Kind::Null, b"null") => {}
            (Kind::True | Kind::False | Kind::Null, _) => return Err(Bad),
            _ => {}
        }
        self.at = end;
        Ok(Json { kind, escaped: false, raw })
    }
}

/// Finds the quote that ends a string whose text begins at `i`. Eight bytes are
/// looked at in one step while none of them is a quote or a backslash.
#[inline(never)]
fn string_end(doc: &[u8], mut i: usize) -> Option<(usize, bool)> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut escaped = false;
    loop {
        while let Some(eight) = doc.get(i..).and_then(|rest| rest.get(..8)) {
            let word = eight.try_into().map_or(0, u64::from_le_bytes);
            let (q, b) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
            let hit = ((q.wrapping_sub(ONES) & !q) | (b.wrapping_sub(ONES) & !b)) & HIGHS;
            if hit != 0 {
                i += hit.trailing_zeros() as usize / 8;
                break;
            }
            i += 8;
        }
        match doc.get(i)? {
            b'"' => return Some((i, escaped)),
            b'\\' => {
                escaped = true;
                i += 2;
            }
            _ => i += 1,
        }
    }
}

/// Finds what follows the object or array that begins at `i`.
fn container_end(doc: &[u8], mut i: usize) -> Option<usize> {
    let mut depth = 0u32;
    loop {
        let c = *doc.get(i)?;
        if c == b'"' {
            i = string_end(doc, i + 1)?.0;
        } else if c | 0x20 == b'{' {
            // { or [
            depth += 1;
        } else if c | 0x20 == b'}' {
            depth -= 1;
            if depth == 0 {
                return Some(i + 1);
            }
        }
        i += 1;
    }
}

fn scalar_end(doc: &[u8], start: usize) -> usize {
    let rest = doc.get(start..).unwrap_or(&[]);
    let more = rest.iter().take_while(|c| !matches!(c, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'));
    start + more.count()
}

/// One segment of a path, with its backslashes.
#[derive(Clone, Copy)]
struct Segment<'a> {
    text: &'a [u8],
    escaped: bool,
}

/// Cuts the first segment off a path.
fn step(path: &[u8]) -> (Segment<'_>, &[u8]) {
    let mut escaped = false;
    let mut i = 0;
    loop {
        match path.get(i) {
            None => return (Segment { text: path, escaped }, b""),
            Some(b'.') => {
                let (text, rest) = (path.get(..i), path.get(i + 1..));
                return (Segment { text: text.unwrap_or(b""), escaped }, rest.unwrap_or(b""));
            }
            Some(b'\\') if i + 1 < path.len() => {
                escaped = true;
                i += 2;
            }
            _ => i += 1,
        }
    }
}

impl Segment<'_> {
    /// Reports whether it is the name.
    fn is(&self, name: &Json) -> bool {
        if self.escaped {
            same(name.raw, self.text, true)
        } else {
            name.is(self.text)
        }
    }

    /// Returns the index in an array that the segment is.
    fn index(&self) -> Option<u32> {
        if self.text.is_empty() || self.text.len() > 9 {
            return None;
        }
        self.text.iter().try_fold(0, |n, c| match c {
            b'0'..=b'9' => Some(n * 10 + u32::from(c - b'0')),
            _ => None,
        })
    }
}

/// Compares what stands between a string's quotes with a text, or with the segment
/// of a path, which has backslashes.
#[inline(never)]
fn same(mut raw: &[u8], text: &[u8], path: bool) -> bool {
    let mut text = text.iter();
    let mut utf8 = [0; 4];
    while !raw.is_empty() {
        let (n, rest) = match character(raw, &mut utf8) {
            Some(character) => character,
            None => return false,
        };
        raw = rest;
        for c in utf8.iter().take(n) {
            let mut want = text.next();
            if path && want == Some(&b'\\') {
                want = text.next().or(want);
            }
            if want != Some(c) {
                return false;
            }
        }
    }
    text.next().is_none()
}

/// Writes what the text between a string's quotes stands for.
fn unescape<'b>(mut raw: &[u8], buf: &'b mut [u8]) -> Option<&'b [u8]> {
    let mut utf8 = [0; 4];
    let mut n = 0;
    while !raw.is_empty() {
        let (len, rest) = character(raw, &mut utf8)?;
        for &c in utf8.iter().take(len) {
            *buf.get_mut(n)? = c;
            n += 1;
        }
        raw = rest;
    }
    buf.get(..n)
}

/// Reads a byte or an escape into `utf8`, and returns how many bytes it is and what
/// follows. A surrogate without its partner becomes U+FFFD.
fn character<'a>(raw: &'a [u8], utf8: &mut [u8; 4]) -> Option<(usize, &'a [u8])> {
    let first = *raw.first()?;
    if first != b'\\' {
        utf8[0] = first;
        return Some((1, raw.get(1..)?));
    }
    let mut used = 2;
    let c = match raw.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            used = 6;
            let mut r = hex4(raw)?;
            if let 0xd800..=0xdbff = r {
                if let Some(low @ 0xdc00..=0xdfff) = hex4(raw.get(6..)?) {
                    used = 12;
                    r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
                }
            }
            char::from_u32(r).unwrap_or('\u{fffd}')
        }
        &c @ (b'"' | b'\\' | b'/') => c as char,
        _ => return None,
    };
    Some((c.encode_utf8(utf8).len(), raw.get(used..)?))
}

/// Reads an escape of `\u` and four hexadecimal digits.
fn hex4(raw: &[u8]) -> Option<u32> {
    if raw.get(..2)? != b"\\u" {
        return None;
    }
    let mut r = 0;
    for &c in raw.get(2..6)? {
        r = r << 4 | (c as char).to_digit(16)?;
    }
    Some(r)
}
