import { mark, release, take } from "./memory";

/**
 * Text or bytes that lie in memory as UTF-8: a slice of the message, or of what
 * the SDK wrote for this call. It is valid until the handler returns; made at
 * module scope or in `onInit` by `Str.of` or `keep`, for the instance's life.
 */
@unmanaged
@final
export class Str {
  at: usize = 0;
  length: i32 = 0;

  /** Returns a copy of the text. At module scope, a constant without a cost in calls. */
  static of<T>(text: T): Str {
    return isString<T>() ? str(text) : str(text).keep();
  }

  /** Returns a slice of memory, which is not checked. */
  static view(at: usize, length: i32): Str {
    return slice(at, length);
  }

  /** Returns the i-th byte. */
  byte(i: i32): u8 {
    if (<u32>i >= <u32>this.length) throw new RangeError("a Str has no such byte");
    return load<u8>(this.at + i);
  }

  /** Changes the i-th byte in place; the message's body is free to be used as scratch. */
  setByte(i: i32, value: u8): void {
    if (<u32>i >= <u32>this.length) throw new RangeError("a Str has no such byte");
    store<u8>(this.at + i, value);
  }

  /** Reports whether the text is `other`. */
  @inline
  is<T>(other: T): bool {
    const was = mark();
    const yes = equal(this, str(other));
    release(was);
    return yes;
  }

  /** Reports whether the text begins with `prefix`. */
  @inline
  startsWith<T>(prefix: T): bool {
    const was = mark();
    const yes = begins(this, str(prefix));
    release(was);
    return yes;
  }

  /** Returns where `part` first occurs at or behind `from`, or -1. */
  @inline
  indexOf<T>(part: T, from: i32 = 0): i32 {
    const was = mark();
    const found = find(this, str(part), from);
    release(was);
    return found;
  }

  /** Returns where a byte first occurs, or -1. */
  indexOfByte(byte: u8): i32 {
    for (let i = 0; i < this.length; i++) if (load<u8>(this.at + i) == byte) return i;
    return -1;
  }

  /** Reports whether the bytes are UTF-8. */
  isUTF8(): bool {
    let p = this.at;
    const end = p + this.length;
    while (p < end) {
      if (p + 8 <= end && (load<u64>(p) & 0x8080808080808080) == 0) {
        p += 8;
        continue;
      }
      let r: u32 = load<u8>(p++);
      if (r < 0x80) continue;
      const more: usize = r < 0xc2 ? 0 : r < 0xe0 ? 1 : r < 0xf0 ? 2 : r < 0xf5 ? 3 : 0;
      if (more == 0 || end - p < more) return false;
      r &= 0x3f >> <u32>more;
      for (const behind = p + more; p < behind; p++) {
        const c: u32 = load<u8>(p);
        if ((c & 0xc0) != 0x80) return false;
        r = (r << 6) | (c & 0x3f);
      }
      if (r < (more == 3 ? 0x10000 : more == 2 ? 0x800 : 0x80) || r > 0x10ffff || (r & 0xfffff800) == 0xd800) return false;
    }
    return true;
  }

  /** Returns the bytes from `from` up to `to`, both cut to what there is; not a copy. */
  slice(from: i32, to: i32 = i32.MAX_VALUE): Str {
    const begin = min(max(from, 0), this.length);
    return slice(this.at + begin, max(min(to, this.length) - begin, 0));
  }

  /** Returns a copy, which in `onInit` lasts for the instance's life. */
  keep(): Str {
    const copy = room(this.length);
    memory.copy(copy.at, this.at, this.length);
    return copy;
  }

  /** Returns a String, which allocates; this is what to keep between calls. Bytes that are no UTF-8 become other characters. */
  toString(): string {
    return String.UTF8.decodeUnsafe(this.at, this.length);
  }

  /** Returns a copy as an array, which allocates. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    memory.copy(bytes.dataStart, this.at, this.length);
    return bytes;
  }
}

function equal(a: Str, b: Str): bool {
  return a.length == b.length && same(a.at, b.at, b.length);
}

function begins(s: Str, prefix: Str): bool {
  return s.length >= prefix.length && same(s.at, prefix.at, prefix.length);
}

function find(s: Str, part: Str, from: i32): i32 {
  for (let i = max(from, 0); i <= s.length - part.length; i++) {
    if (same(s.at + i, part.at, part.length)) return i;
  }
  return -1;
}

/** Compares bytes: in words, of which the last overlaps. */
export function same(a: usize, b: usize, n: usize): bool {
  if (n >= 8) {
    for (; n > 8; n -= 8, a += 8, b += 8) if (load<u64>(a) != load<u64>(b)) return false;
    return load<u64>(a + n - 8) == load<u64>(b + n - 8);
  }
  if (n >= 4) return load<u32>(a) == load<u32>(b) && load<u32>(a + n - 4) == load<u32>(b + n - 4);
  if (n >= 2) return load<u16>(a) == load<u16>(b) && load<u16>(a + n - 2) == load<u16>(b + n - 2);
  return n == 0 || load<u8>(a) == load<u8>(b);
}

/** Copies bytes to another place: short ones in words, since the host's own copying is for long ones. */
export function copy(to: usize, from: usize, n: usize): void {
  if (n > 64) {
    memory.copy(to, from, n);
    return;
  }
  if (n >= 8) {
    const last = load<u64>(from + n - 8);
    const end = to + n - 8;
    for (; to < end; to += 8, from += 8) store<u64>(to, load<u64>(from));
    store<u64>(end, last);
    return;
  }
  if (n >= 4) {
    const word = load<u32>(from);
    const last = load<u32>(from + n - 4);
    store<u32>(to, word);
    store<u32>(to + n - 4, last);
    return;
  }
  for (const end = to + n; to < end; to++, from++) store<u8>(to, load<u8>(from));
}

/** Returns a slice of memory. */
export function slice(at: usize, length: i32): Str {
  const s = changetype<Str>(take(offsetof<Str>()));
  s.at = at;
  s.length = length;
  return s;
}

/** Returns a slice of new memory, with its bytes right behind it. */
export function room(length: i32): Str {
  const at = take(offsetof<Str>() + length);
  const s = changetype<Str>(at);
  s.at = at + offsetof<Str>();
  s.length = length;
  return s;
}

/** Shortens the newest room and gives back what it does not need. */
export function trim(s: Str, length: i32): Str {
  s.length = length;
  release(s.at + length);
  return s;
}

/**
 * Returns the UTF-8 of a string, the bytes of an array, or the Str as it is.
 * All methods take any of these; strings are encoded anew each time, without
 * garbage. A surrogate without its partner becomes U+FFFD.
 */
// @ts-ignore: decorator
@inline
export function str<T>(text: T): Str {
  if (!isReference<T>()) ERROR("this is no string, Str or Uint8Array");
  if (isNullable<T>() && changetype<usize>(text) == 0) throw new Error("null in place of a text");
  return utf8(changetype<NonNullable<T>>(text));
}

// @ts-ignore: decorator
@inline
function utf8<T>(text: T): Str {
  if (isString<T>()) return encode(changetype<usize>(text));
  if (text instanceof Str) return changetype<Str>(text);
  if (!(text instanceof Uint8Array)) ERROR("this is no string, Str or Uint8Array");
  const bytes = changetype<Uint8Array>(text);
  return slice(bytes.dataStart, bytes.length);
}

/** Returns the length of the String at an address: what is in front of it is its size in bytes. */
export function stringLength(at: usize): i32 {
  return load<i32>(at - 4) >> 1;
}

/** Encodes the String at an address, which hides it from the garbage collector: nothing here makes that run. */
function encode(from: usize): Str {
  const length = stringLength(from);
  const s = room(3 * length);
  const end = from + 2 * <usize>length;
  let to = s.at;
  for (; from + 8 <= end; from += 8, to += 4) { // four characters of ASCII
    let w = load<u64>(from);
    if ((w & 0xff80ff80ff80ff80) != 0) break;
    w |= w >> 8;
    store<u16>(to, <u16>w);
    store<u16>(to, <u16>(w >> 32), 2);
  }
  while (from < end) {
    let r: u32 = load<u16>(from);
    from += 2;
    if (r < 0x80) {
      store<u8>(to++, r);
      continue;
    }
    if ((r & 0xf800) == 0xd800) {
      const low: u32 = from < end ? load<u16>(from) : 0;
      if (r < 0xdc00 && (low & 0xfc00) == 0xdc00) {
        r = pair(r, low);
        from += 2;
      } else {
        r = 0xfffd;
      }
    }
    to = putRune(to, r);
  }
  return trim(s, <i32>(to - s.at));
}

/** Returns the character of two surrogates. */
export function pair(high: u32, low: u32): u32 {
  return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/** Writes a character as UTF-8 and returns the place behind it. */
export function putRune(to: usize, r: u32): usize {
  if (r < 0x80) {
    store<u8>(to, r);
    return to + 1;
  }
  if (r < 0x800) {
    store<u8>(to, 0xc0 | (r >> 6));
    store<u8>(to, 0x80 | (r & 63), 1);
    return to + 2;
  }
  if (r < 0x10000) {
    store<u8>(to, 0xe0 | (r >> 12));
    store<u8>(to, 0x80 | ((r >> 6) & 63), 1);
    store<u8>(to, 0x80 | (r & 63), 2);
    return to + 3;
  }
  store<u8>(to, 0xf0 | (r >> 18));
  store<u8>(to, 0x80 | ((r >> 12) & 63), 1);
  store<u8>(to, 0x80 | ((r >> 6) & 63), 2);
  store<u8>(to, 0x80 | (r & 63), 3);
  return to + 4;
}

/** Returns two texts in one, for this call; like `Str.of` for `onInit`. */
export function concat<A, B>(a: A, b: B): Str {
  const x = str(a);
  const y = str(b);
  const s = room(x.length + y.length);
  memory.copy(s.at, x.at, x.length);
  memory.copy(s.at + x.length, y.at, y.length);
  return s;
}

/** Returns a number in decimal. */
export function decimal(n: i64): Str {
  const s = room(20);
  let u = n < 0 ? 0 - <u64>n : <u64>n;
  let at = s.at + 20;
  do {
    store<u8>(--at, 48 + <u8>(u % 10));
    u /= 10;
  } while (u != 0);
  if (n < 0) store<u8>(--at, 45);
  const length = <i32>(s.at + 20 - at);
  s.at = at;
  s.length = length;
  return s;
}

/** Returns the FNV-1a hash of a text, by which frames index header names. */
// @ts-ignore: decorator
@inline
export function hash<T>(text: T): u32 {
  const was = mark();
  const h = hashStr(str(text));
  release(was);
  return h;
}

export function hashStr(s: Str): u32 {
  const end = s.at + s.length;
  let h: u32 = 2166136261;
  for (let at = s.at; at < end; at++) h = (h ^ load<u8>(at)) * 16777619;
  return h;
}
