import { Delta } from "./delta";
import { findJSON, JSON } from "./json";
import { mark, release, take } from "./memory";
import { decimal, same, slice, str, Str } from "./str";

/** The properties. Exchange, RoutingKey, UserID, Source, FilterName and Target can only be read. */
export const enum Slot {
  Exchange,
  RoutingKey,
  ContentType,
  ContentEncoding,
  CorrelationID,
  ReplyTo,
  MessageID,
  Type,
  AppID,
  UserID,
  /** The queue the message came from. */
  Source,
  FilterName,
  Expiration,
  /** In pack and encode: where this copy goes. */
  Target,
}

/** Bits of `Message.flags`. */
export const enum Flag {
  Redelivered = 1,
  BodyTruncated = 2,
  NoBody = 4,
  NoHeaders = 8,
  NoProperties = 16,
  Configuration = 32,
  /** Only the headers of `needHeader`. */
  NamedHeaders = 64,
}

/** The types of a header's value. */
export const enum HeaderType {
  Null,
  UTF8,
  Bytes,
  Int64,
  Float64,
  Bool,
  /** Seconds since 1970. */
  Time,
  /** JSON text; can only be read. */
  Nested,
}

/** One header. */
@unmanaged
@final
export class Value {
  type: u8 = 0;
  flags: u8 = 0;
  nameAt: usize = 0;
  nameLength: i32 = 0;
  at: usize = 0;
  length: i32 = 0;

  get name(): Str {
    return changetype<Str>(changetype<usize>(this) + offsetof<Value>("nameAt"));
  }

  /** Text, bytes, or the value's little-endian bytes. */
  get raw(): Str {
    return changetype<Str>(changetype<usize>(this) + offsetof<Value>("at"));
  }

  /** Reports whether it is a string or bytes. */
  get isText(): bool {
    return this.type == HeaderType.UTF8 || this.type == HeaderType.Bytes;
  }

  /** Returns strings and bytes as they are, and integers, times and booleans written out; null for other types. */
  text(): Str | null {
    if (this.isText) return this.raw;
    if (this.type == HeaderType.Int64 || this.type == HeaderType.Time) return decimal(this.int());
    if (this.type == HeaderType.Bool) return str(this.bool() ? "true" : "false");
    return null;
  }

  /** Returns an integer or a time; 0 for other types. */
  int(): i64 {
    return (this.type == HeaderType.Int64 || this.type == HeaderType.Time) && this.length == 8 ? load<i64>(this.at) : 0;
  }

  /** Returns a float; 0 for other types. */
  float(): f64 {
    return this.type == HeaderType.Float64 && this.length == 8 ? load<f64>(this.at) : 0;
  }

  /** Returns a boolean; false for other types. */
  bool(): bool {
    return this.type == HeaderType.Bool && this.length == 1 && load<u8>(this.at) != 0;
  }
}

function textOf(v: Value | null): Str | null {
  return v != null && v.isText ? v.raw : null;
}

const MAGIC: u32 = 0x31525452;
const HEAD: u32 = 80;
const ENTRY: u32 = 20;

/** The message of one call, or the configuration. */
@unmanaged
@final
export class Message {
  at: usize = 0;
  total: u32 = 0;
  /** A header or property lay outside the frame. */
  broken: bool = false;

  /** Takes a frame; false when it is none. */
  read(at: usize, length: u32): bool {
    this.at = at;
    this.total = length;
    this.broken = false;
    if (<u64>at + length > (<u64>memory.size() << 16) || length < HEAD || this.u32(0) != MAGIC) return false;
    const head: u32 = load<u16>(at, 4);
    return head >= HEAD && head <= length && this.u32(8) == length
      && this.fits(this.u32(16), <u64>this.u32(20) * ENTRY)
      && this.fits(this.u32(24), this.u32(28))
      && this.fits(this.u32(48), <u64>this.u32(52) * 8);
  }

  private u32(offset: u32): u32 {
    return load<u32>(this.at + offset);
  }

  private fits(offset: u32, length: u64): bool {
    return <u64>offset + length <= <u64>this.total;
  }

  /** Reports whether a text lies in the frame; one that does not makes the result of the call "malformed". */
  private holds(offset: u32, length: u32): bool {
    if (this.fits(offset, length)) return true;
    this.broken = true;
    return false;
  }

  /** The frame's flags, see `Flag`. */
  get flags(): u32 {
    return this.u32(12);
  }

  /** Returns the message's body. It may be changed in place, as scratch. */
  body(): Str {
    return slice(this.at + this.u32(24), this.u32(28));
  }

  /** 0 decode, 1 unpack, 2 decide, 3 pack, 4 encode; 255 the configuration. */
  get stage(): u8 {
    return load<u8>(this.at, 58);
  }

  /** The length of the whole body, also of one that the frame left out. */
  get bodyFullLength(): u64 {
    return load<u64>(this.at, 32);
  }

  /** The timestamp property in nanoseconds since 1970, or 0. */
  get timestampNS(): i64 {
    return load<i64>(this.at, 40);
  }

  /** When the router received the message, in nanoseconds since 1970. */
  get receivedNS(): i64 {
    return load<i64>(this.at, 64);
  }

  /** The message's priority. */
  get priority(): u8 {
    return load<u8>(this.at, 56);
  }

  /** 0 absent, 1 transient, 2 persistent. */
  get deliveryMode(): u8 {
    return load<u8>(this.at, 57);
  }

  /** Returns a property, empty when the message has none. */
  prop(slot: Slot): Str {
    if (<u32>slot >= this.u32(52)) return slice(this.at, 0);
    const entry = this.u32(48) + 8 * <u32>slot;
    const offset = this.u32(entry);
    const length = this.u32(entry + 4);
    return this.holds(offset, length) ? slice(this.at + offset, length) : slice(this.at, 0);
  }

  get headerCount(): i32 {
    return this.u32(20);
  }

  /** Returns the i-th header, 0 ≤ i < headerCount. */
  headerAt(i: i32): Value {
    if (<u32>i >= this.u32(20)) throw new RangeError("the message has no such header");
    return this.value(this.at + this.u32(16) + ENTRY * i);
  }

  /** Reads the entry at an address. */
  private value(e: usize): Value {
    const v = changetype<Value>(take(offsetof<Value>()));
    v.type = load<u8>(e, 6);
    v.flags = load<u8>(e, 7);
    const name = load<u32>(e);
    const nameLength: u32 = load<u16>(e, 4);
    const raw = load<u32>(e, 8);
    const length = load<u32>(e, 12);
    v.nameAt = this.at + name;
    v.nameLength = this.holds(name, nameLength) ? nameLength : 0;
    v.at = this.at + raw;
    v.length = this.holds(raw, length) ? length : 0;
    return v;
  }

  /** Finds a header by its name; null when there is none. */
  @inline
  header<N>(name: N): Value | null {
    const was = mark();
    return this.find(str(name), was);
  }

  /** Is `header` for a name whose `hash` is known, which spares comparing it with other names of its length. */
  @inline
  headerHashed<N>(name: N, hash: u32): Value | null {
    const was = mark();
    return this.findHashed(str(name), hash, was);
  }

  /** Finds a header and gives back what the arena held behind `was`. */
  private find(name: Str, was: usize): Value | null {
    const base = this.at;
    const length: u32 = name.length;
    let e = base + load<u32>(base, 16);
    const end = e + ENTRY * load<u32>(base, 20);
    for (; e < end; e += ENTRY) {
      if (<u32>load<u16>(e, 4) != length) continue;
      const at = load<u32>(e);
      if (!this.holds(at, length) || !same(base + at, name.at, length)) continue;
      release(was);
      return this.value(e);
    }
    release(was);
    return null;
  }

  private findHashed(name: Str, hash: u32, was: usize): Value | null {
    const base = this.at;
    let e = base + load<u32>(base, 16);
    const end = e + ENTRY * load<u32>(base, 20);
    for (; e < end; e += ENTRY) {
      if (load<u32>(e, 16) != hash) continue;
      const length: i32 = load<u16>(e, 4);
      const at = load<u32>(e);
      if (length != name.length || !this.holds(at, length) || !same(base + at, name.at, length)) continue;
      release(was);
      return this.value(e);
    }
    release(was);
    return null;
  }

  /** Returns a header that is a string or bytes, else null; see `Value.text` for others. */
  @inline
  headerText<N>(name: N): Str | null {
    return textOf(this.header(name));
  }

  /** Returns a configured string, or the default. It allocates, as do the others. */
  configText(name: string, without: string = ""): string {
    const text = this.headerText(name);
    return text != null ? text.toString() : without;
  }

  /** Returns a configured integer, or the default. */
  configInt(name: string, without: i64 = 0): i64 {
    const v = this.header(name);
    return v != null && v.type == HeaderType.Int64 ? v.int() : without;
  }

  /** Returns a configured boolean, or the default. */
  configBool(name: string, without: bool = false): bool {
    const v = this.header(name);
    return v != null && v.type == HeaderType.Bool ? v.bool() : without;
  }

  /** Refuses the configuration, and returns false, unless the value of a key is a string with something in it. */
  configRequire(d: Delta, name: string): bool {
    const text = this.headerText(name);
    if (text != null && text.length != 0) return true;
    d.error("config", name + " is missing");
    return false;
  }

  /** Returns the strings of a configured array, or the one string that stands in its place. */
  configList(name: string): string[] {
    const one = this.headerText(name);
    if (one != null) return [one.toString()];
    const list: string[] = [];
    let text = this.headerText(name + ".0");
    while (text != null) {
      list.push(text.toString());
      text = this.headerText(name + "." + list.length.toString());
    }
    return list;
  }

  /** Finds a value in the body by its path, as `findJSON`. */
  @inline
  json<P>(path: P): JSON | null {
    return findJSON(this.body(), path);
  }
}
