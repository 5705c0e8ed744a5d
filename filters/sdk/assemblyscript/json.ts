import { mark, release, take } from "./memory";
import { pair, putRune, room, same, str, Str, trim } from "./str";

/**
 * One value inside a document. `kind` is the character code of "{", "[", "\"",
 * "0" for a number, "t", "f" or "n".
 */
@unmanaged
@final
export class JSON {
  kind: u8 = 0;
  /** A string that holds escapes. */
  escaped: bool = false;
  at: usize = 0;
  length: i32 = 0;

  /** The value as it is written there; of a string, what stands between the quotes. */
  get raw(): Str {
    return changetype<Str>(changetype<usize>(this) + offsetof<JSON>("at"));
  }

  /** Reports whether the value is the string `text`, a number written like it, or the boolean it names. */
  @inline
  is<T>(text: T): bool {
    const was = mark();
    const yes = this.equals(str(text));
    release(was);
    return yes;
  }

  private equals(text: Str): bool {
    if (this.escaped) return equalUnescaped(this.at, this.at + this.length, text.at, text.at + text.length);
    if (this.kind == Byte.Object || this.kind == Byte.Array || this.kind == Byte.n) return false;
    return this.length == text.length && same(this.at, text.at, text.length);
  }

  /**
   * Returns a scalar's text: a string without its escapes, a number or a
   * boolean as written; null for null, objects and arrays, and when an escape
   * is malformed.
   */
  text(): Str | null {
    if (this.kind == Byte.Quote) return this.escaped ? unescape(this.raw) : this.raw;
    if (this.kind == Byte.Object || this.kind == Byte.Array || this.kind == Byte.n) return null;
    return this.raw;
  }

  /** Finds a value inside this one by its path, as `findJSON`. */
  json<T>(path: T): JSON | null {
    return this.kind == Byte.Quote ? null : findJSON(this.raw, path);
  }
}

const enum Byte {
  Quote = 0x22,
  Comma = 0x2c,
  Minus = 0x2d,
  Dot = 0x2e,
  Zero = 0x30,
  Nine = 0x39,
  Colon = 0x3a,
  Array = 0x5b,
  Backslash = 0x5c,
  ArrayEnd = 0x5d,
  f = 0x66,
  n = 0x6e,
  t = 0x74,
  Object = 0x7b,
  ObjectEnd = 0x7d,
}

let bad: i32 = -1;

/** Returns where the last `findJSON`, or look-up in a body, found the document malformed before the value; else -1. */
export function jsonBadAt(): i32 {
  return bad;
}

/**
 * Finds the value at a path like "order.items.0.type"; "\\." is a dot inside a
 * name, an empty path the whole document. It reads no further than the value
 * and is no validator. Of members with the same name the first counts.
 */
// @ts-ignore: decorator
@inline
export function findJSON<D, P>(doc: D, path: P): JSON | null {
  const d = str(doc);
  const was = mark();
  return find(d, str(path), was);
}

/** Finds a value and gives back what the arena held behind `was`. */
function find(d: Str, path: Str, was: usize): JSON | null {
  const end = d.at + d.length;
  const p = seek(d.at, end, path);
  release(was);
  if (p == 0) {
    if (bad >= 0) bad -= <i32>d.at;
    return null;
  }
  const kind = p < end ? <i32>load<u8>(p) : 0;
  const behind = skip(p, end);
  if (behind == 0) {
    bad = <i32>(p - d.at);
    return null;
  }
  const v = changetype<JSON>(take(offsetof<JSON>()));
  v.kind = <u8>(startsNumber(kind) ? Byte.Zero : kind);
  v.escaped = kind == Byte.Quote && escaped;
  v.at = p;
  v.length = <i32>(behind - p);
  if (kind == Byte.Quote) {
    v.at++;
    v.length -= 2;
  }
  return v;
}

/** Returns where the value at the path begins, or 0; `bad` is then -1, or the address of the fault. */
function seek(p: usize, end: usize, path: Str): usize {
  bad = -1;
  p = space(p, end);
  let at = path.at;
  const pathEnd = at + path.length;
  while (at < pathEnd) {
    let stop = at;
    while (stop < pathEnd && load<u8>(stop) != Byte.Dot) {
      stop += load<u8>(stop) == Byte.Backslash && stop + 1 < pathEnd ? 2 : 1;
    }
    p = enter(p, end, at, stop);
    if (p == 0) return 0;
    at = stop + 1;
  }
  return p;
}

function fail(p: usize): usize {
  bad = <i32>p;
  return 0;
}

/** Returns where the member or element of the container at p begins that a path's segment names, or 0. */
function enter(p: usize, end: usize, segment: usize, segmentEnd: usize): usize {
  const open: u8 = p < end ? load<u8>(p) : 0;
  const object = open == Byte.Object;
  if (!object && open != Byte.Array) return skip(p, end) == 0 ? fail(p) : 0;
  const want = object ? -1 : index(segment, segmentEnd);
  const quoted = object && hasBackslash(segment, segmentEnd);
  p = space(p + 1, end);
  for (let i = 0; p < end; i++) {
    const c = load<u8>(p);
    if (c == open + 2) return 0;
    if (i > 0) {
      if (c != Byte.Comma) return fail(p);
      p = space(p + 1, end);
    }
    if (object) {
      if (p >= end || load<u8>(p) != Byte.Quote) return fail(p);
      const name = p + 1;
      const behind = skipString(name, end);
      if (behind == 0) return fail(p);
      const found = escaped || quoted
        ? segmentIs(segment, segmentEnd, name, behind - 1)
        : behind - 1 - name == segmentEnd - segment && same(name, segment, segmentEnd - segment);
      p = space(behind, end);
      if (p >= end || load<u8>(p) != Byte.Colon) return fail(p);
      p = space(p + 1, end);
      if (found) return p;
    } else if (i == want) {
      return p;
    }
    const behind = skip(p, end);
    if (behind == 0) return fail(p);
    p = space(behind, end);
  }
  return fail(p);
}

/** Returns the number of at most nine digits that a segment is, or -1. */
function index(at: usize, end: usize): i32 {
  if (at == end || end - at > 9) return -1;
  let n = 0;
  for (; at < end; at++) {
    const c = <i32>load<u8>(at);
    if (c < Byte.Zero || c > Byte.Nine) return -1;
    n = n * 10 + (c - Byte.Zero);
  }
  return n;
}

function hasBackslash(at: usize, end: usize): bool {
  for (; at < end; at++) if (load<u8>(at) == Byte.Backslash) return true;
  return false;
}

function space(p: usize, end: usize): usize {
  while (p < end) {
    const c = load<u8>(p);
    if (c != 0x20 && c != 0x0a && c != 0x0d && c != 0x09) break;
    p++;
  }
  return p;
}

// Whether the string that was skipped last holds escapes.
let escaped: bool = false;

const ONES: u64 = 0x0101010101010101;
const HIGHS: u64 = 0x8080808080808080;

/**
 * Returns the place behind a string whose opening quote lies before p, or 0.
 * Eight bytes are looked at in one step while none of them is a quote or a
 * backslash.
 */
// @ts-ignore: decorator
@inline
function skipString(p: usize, end: usize): usize {
  escaped = false;
  while (p < end) {
    while (p + 8 <= end) {
      const w = load<u64>(p);
      const q = w ^ (ONES * Byte.Quote);
      const b = w ^ (ONES * Byte.Backslash);
      const hit = (((q - ONES) & ~q) | ((b - ONES) & ~b)) & HIGHS;
      if (hit != 0) {
        p += <usize>(ctz(hit) >> 3);
        break;
      }
      p += 8;
    }
    if (p >= end) return 0;
    const c = load<u8>(p++);
    if (c == Byte.Quote) return p;
    if (c == Byte.Backslash) {
      escaped = true;
      p++;
    }
  }
  return 0;
}

/** Returns the place behind the value at p, or 0. */
function skip(p: usize, end: usize): usize {
  if (p >= end) return 0;
  const kind = <i32>load<u8>(p);
  if (kind == Byte.Quote) return skipString(p + 1, end);
  if (kind == Byte.Object || kind == Byte.Array) {
    let depth = 0;
    while (p < end) {
      const c = load<u8>(p++);
      if (c == Byte.Quote) {
        p = skipString(p, end);
        if (p == 0) return 0;
      } else if ((c | 0x20) == Byte.Object) { // "{" or "["
        depth++;
      } else if ((c | 0x20) == Byte.ObjectEnd && --depth == 0) {
        return p;
      }
    }
    return 0;
  }
  const start = p;
  while (p < end) {
    const c = load<u8>(p);
    if (c == Byte.Comma || (c | 0x20) == Byte.ObjectEnd || c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09) break;
    p++;
  }
  switch (kind) {
    case Byte.t: return p - start == 4 && load<u32>(start) == 0x65757274 ? p : 0;
    case Byte.n: return p - start == 4 && load<u32>(start) == 0x6c6c756e ? p : 0;
    case Byte.f: return p - start == 5 && load<u32>(start, 1) == 0x65736c61 ? p : 0;
  }
  return startsNumber(kind) ? p : 0;
}

function startsNumber(c: i32): bool {
  return c == Byte.Minus || (c >= Byte.Zero && c <= Byte.Nine);
}

/**
 * Compares a member's name, as it is written, with a segment of a path, in which
 * a backslash takes the meaning from what follows.
 */
function segmentIs(segment: usize, segmentEnd: usize, p: usize, end: usize): bool {
  const rune = memory.data(4);
  while (p < end) {
    const c = load<u8>(p++);
    let n: usize = 1;
    if (c == Byte.Backslash) {
      p = escape(p, end);
      if (p == 0) return false;
      n = putRune(rune, character) - rune;
    } else {
      store<u8>(rune, c);
    }
    for (let i: usize = 0; i < n; i++, segment++) {
      if (segment + 1 < segmentEnd && load<u8>(segment) == Byte.Backslash) segment++;
      if (segment >= segmentEnd || load<u8>(segment) != load<u8>(rune + i)) return false;
    }
  }
  return segment == segmentEnd;
}

/** Compares what stands between a string's quotes with text. */
export function equalJSON<R, T>(raw: R, text: T): bool {
  const was = mark();
  const r = str(raw);
  const t = str(text);
  const same = equalUnescaped(r.at, r.at + r.length, t.at, t.at + t.length);
  release(was);
  return same;
}

function equalUnescaped(p: usize, end: usize, text: usize, textEnd: usize): bool {
  const rune = memory.data(4);
  while (p < end) {
    const c = load<u8>(p++);
    if (c != Byte.Backslash) {
      if (text >= textEnd || load<u8>(text++) != c) return false;
      continue;
    }
    p = escape(p, end);
    if (p == 0) return false;
    const n = putRune(rune, character) - rune;
    if (textEnd - text < n || !same(text, rune, n)) return false;
    text += n;
  }
  return text == textEnd;
}

/** Returns what the text between a string's quotes stands for, or null for a malformed escape. */
export function unescape<R>(raw: R): Str | null {
  const r = str(raw);
  const s = room(r.length); // what comes out is never longer
  let p = r.at;
  const end = p + r.length;
  let to = s.at;
  while (p < end) {
    const c = load<u8>(p++);
    if (c != Byte.Backslash) {
      store<u8>(to++, c);
      continue;
    }
    p = escape(p, end);
    if (p == 0) {
      release(changetype<usize>(s));
      return null;
    }
    to = putRune(to, character);
  }
  return trim(s, <i32>(to - s.at));
}

// What the escape that was read last stands for.
let character: u32 = 0;

/** Reads the escape behind a backslash and returns the place behind it, or 0. A surrogate without its partner becomes U+FFFD. */
function escape(p: usize, end: usize): usize {
  if (p >= end) return 0;
  const c = load<u8>(p++);
  switch (c) {
    case 0x22: case 0x5c: case 0x2f: character = c; return p;
    case 0x62: character = 8; return p;
    case 0x66: character = 12; return p;
    case 0x6e: character = 10; return p;
    case 0x72: character = 13; return p;
    case 0x74: character = 9; return p;
    case 0x75: break;
    default: return 0;
  }
  const r = hex4(p, end);
  if (r < 0) return 0;
  p += 4;
  character = r;
  if ((r & 0xf800) != 0xd800) return p;
  character = 0xfffd;
  if (r >= 0xdc00 || p + 2 > end || load<u16>(p) != 0x755c) return p;
  const low = hex4(p + 2, end);
  if ((low & 0xfffffc00) != 0xdc00) return p;
  character = pair(r, low);
  return p + 6;
}

function hex4(p: usize, end: usize): i32 {
  if (p + 4 > end) return -1;
  let r = 0;
  for (let i = 0; i < 4; i++) {
    const c = <i32>load<u8>(p + i);
    const letter = (c | 0x20) - 0x61;
    if (c >= 0x30 && c <= 0x39) r = (r << 4) | (c - 0x30);
    else if (letter >= 0 && letter < 6) r = (r << 4) | (letter + 10);
    else return -1;
  }
  return r;
}
