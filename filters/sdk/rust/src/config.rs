//! The configuration of a filter.

use core::ops::Deref;

use crate::memory::{forever, NAMES};
use crate::message::{Message, Value};
use crate::text::Text;

/// The configuration: its headers are the TOML table flattened with dots
/// (`routes.a`, `list.0`), its body is the same as JSON. Only `init` sees one, and
/// what it copies stays as long as the instance.
pub struct Config<'m>(Message<'m>);

/// Why `init` refuses the configuration: a text, given or [kept](Config::keep).
#[derive(Clone, Copy)]
pub struct Refusal(pub(crate) &'static [u8]);

impl From<&'static str> for Refusal {
    fn from(text: &'static str) -> Self {
        Refusal(text.as_bytes())
    }
}

impl From<&'static [u8]> for Refusal {
    fn from(text: &'static [u8]) -> Self {
        Refusal(text)
    }
}

impl<'m> Config<'m> {
    pub(crate) fn new(m: Message<'m>) -> Self {
        Config(m)
    }

    /// Names a header that the filter reads. When it was called, only the headers
    /// named are handed over, which makes calls cheaper; [`Message::header`] does not
    /// find others. It returns false when there are 64 already, and for a name that
    /// is empty, or longer than 255 bytes.
    pub fn need_header(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        // Only this function and the export that comes after `init` use it.
        let names = unsafe { NAMES.get() };
        let count = names.bytes().iter().filter(|&&c| c == 0).count();
        let n = name.len() as u32 + 1;
        if !matches!(name.len(), 1..=255) || count >= 64 || !names.reserve(names.len + n) {
            return false;
        }
        // A NUL behind each; the export leaves the last one out.
        names.extend(n).iter_mut().zip(name.iter().chain(b"\0")).for_each(|(to, c)| *to = *c);
        true
    }

    /// Returns an error, for `init` to return, that names the first of the keys
    /// whose configured value is not a string with something in it.
    pub fn config_require(&self, names: &[&str]) -> Result<(), Refusal> {
        for name in names {
            if self.header_text(name).unwrap_or(&[]).is_empty() {
                return Err(self.keep(&[name.as_bytes(), b" is missing"]).into());
            }
        }
        Ok(())
    }

    /// Copies the parts, one after the other, for the instance's whole life.
    pub fn keep(&self, parts: &[&[u8]]) -> &'static [u8] {
        let all = forever(parts.iter().map(|p| p.len()).sum(), 0u8);
        let mut rest = &mut *all;
        for part in parts {
            // There is room for all of them.
            if rest.len() < part.len() {
                break;
            }
            let (room, after) = rest.split_at_mut(part.len());
            room.copy_from_slice(part);
            rest = after;
        }
        all
    }

    /// Returns a copy, to keep, of a configured string, or the default.
    pub fn config_text(&self, name: impl AsRef<[u8]>, without: &'static str) -> &'static [u8] {
        match self.header_text(name) {
            Some(s) => self.keep(&[s]),
            None => without.as_bytes(),
        }
    }

    /// Returns a configured integer, or the default.
    pub fn config_int(&self, name: impl AsRef<[u8]>, without: i64) -> i64 {
        match self.header(name) {
            Some(Value::Int64(v)) => v,
            _ => without,
        }
    }

    /// Returns a configured boolean, or the default.
    pub fn config_bool(&self, name: impl AsRef<[u8]>, without: bool) -> bool {
        match self.header(name) {
            Some(Value::Bool(v)) => v,
            _ => without,
        }
    }

    /// Returns copies, to keep, of the strings of a configured array, or of the
    /// one string that stands in its place.
    pub fn config_list(&self, name: impl AsRef<[u8]>) -> &'static [&'static [u8]] {
        let name = name.as_ref();
        if let Some(s) = self.header_text(name) {
            let list = forever::<&[u8]>(1, &[]);
            list.fill(self.keep(&[s]));
            return list;
        }
        let element = |i: usize| self.header_text(Text::<300>::new().add(name).add(".").add_int(i as i64));
        let list = forever::<&[u8]>((0..).take_while(|&i| element(i).is_some()).count(), &[]);
        for (i, to) in list.iter_mut().enumerate() {
            *to = self.keep(&[element(i).unwrap_or(&[])]);
        }
        list
    }
}

impl<'m> Deref for Config<'m> {
    type Target = Message<'m>;

    fn deref(&self) -> &Message<'m> {
        &self.0
    }
}
