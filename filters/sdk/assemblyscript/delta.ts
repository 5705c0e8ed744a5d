import { extend, mark, release } from "./memory";
import { HeaderType, Slot } from "./message";
import { copy, slice, str, Str } from "./str";

const enum Op {
  SetHeader = 1,
  DelHeader,
  ClearHeaders,
  SetProp,
  Target,
  Action,
  Body,
  BodyRef,
  Emit,
  Error,
}

const FIRST: usize = 4096;
const space = memory.data(<i32>FIRST, 8);
const scratch = memory.data(16, 8);

// The kinds of target, as bytes.
const EXCHANGE: u64 = 0x65676e6168637865;
const TOPIC: u64 = 0x6369706f74;
const SERVER: u64 = 0x726576726573;
const FANOUT: u64 = 0x74756f6e6166;
const NOTIFY: u64 = 0x796669746f6e;

const DOT: u8 = 0x2e;
const SLASH: u8 = 0x2f;
const COLON: u8 = 0x3a;

/** Returns where a byte first is, or the end. */
function first(at: usize, end: usize, byte: u8): usize {
  while (at < end && load<u8>(at) != byte) at++;
  return at;
}

/**
 * What a filter changes. The methods copy what they are given, except
 * `setBodyRef`; texts are strings, Strs or Uint8Arrays.
 */
@unmanaged
@final
export class Delta {
  /** How many bytes of changes one call may write, bodies given by reference not counted. More fails the message. */
  static max: u32 = 1 << 20;

  private at: usize = 0;
  private cap: usize = 0;
  private used: usize = 0;
  private full: bool = false;

  /** Empties the delta and keeps its memory. */
  reset(): void {
    if (this.at == 0) {
      this.at = space;
      this.cap = FIRST;
    }
    this.used = 0;
    this.full = false;
  }

  /** How many bytes of changes there are; 0 is no change. */
  get length(): i32 {
    return <i32>this.used;
  }

  /** Returns what a handler hands to the host. */
  result(): i64 {
    if (this.full) {
      this.reset();
      this.error("too-big", "the change does not fit the filter's delta buffer");
    }
    return this.used == 0 ? 0 : (<i64>this.at << 32) | this.used;
  }

  /** Appends an op and returns where its value goes, or 0 when it does not fit. */
  private op(code: Op, flags: u32, key: usize, keyLength: u32, length: u32): usize {
    const need = (8 + <u64>keyLength + length + 7) & ~7;
    if (this.full || keyLength > 0xffff || (need > this.cap - this.used && !this.grow(need))) {
      this.full = true;
      return 0;
    }
    const at = this.at + this.used;
    this.used += <usize>need;
    store<u64>(this.at + this.used - 8, 0); // the padding
    store<u64>(at, (<u64>length << 32) | (keyLength << 16) | (flags << 8) | code);
    copy(at + 8, key, keyLength);
    return at + 8 + keyLength;
  }

  private grow(need: u64): bool {
    const want = need + this.used;
    if (want > <u64>Delta.max) return false;
    const most = min(<u64>Delta.max, max(want, 2 * <u64>this.cap));
    let at = extend(this.at, this.cap, this.used, <usize>most);
    if (at == 0) at = extend(this.at, this.cap, this.used, <usize>want);
    if (at == 0) return false;
    this.at = at;
    this.cap = (<usize>memory.size() << 16) - at;
    return true;
  }

  private put(code: Op, flags: u32, key: Str, value: Str): void {
    const to = this.op(code, flags, key.at, key.length, value.length);
    if (to != 0) copy(to, value.at, value.length);
  }

  @inline
  private number<N>(name: N, type: HeaderType, size: i32): void {
    this.put(Op.SetHeader, type << 4, str(name), slice(scratch, size));
  }

  /** Sets a header to a text, or to its bytes when it is not UTF-8. */
  @inline
  setHeader<N, T>(name: N, text: T): void {
    if (isString<T>()) this.put(Op.SetHeader, HeaderType.UTF8 << 4, str(name), str(text));
    else this.label(str(name), str(text));
  }

  private label(name: Str, text: Str): void {
    this.put(Op.SetHeader, (text.isUTF8() ? HeaderType.UTF8 : HeaderType.Bytes) << 4, name, text);
  }

  /** Sets a header to bytes. */
  @inline
  setHeaderBytes<N, T>(name: N, bytes: T): void {
    this.put(Op.SetHeader, HeaderType.Bytes << 4, str(name), str(bytes));
  }

  /** Sets a header to a 64-bit integer. */
  @inline
  setHeaderInt<N>(name: N, v: i64): void {
    store<i64>(scratch, v);
    this.number(name, HeaderType.Int64, 8);
  }

  /** Sets a header to a double. */
  @inline
  setHeaderFloat<N>(name: N, v: f64): void {
    store<f64>(scratch, v);
    this.number(name, HeaderType.Float64, 8);
  }

  /** Sets a header to a boolean. */
  @inline
  setHeaderBool<N>(name: N, v: bool): void {
    store<u8>(scratch, u8(v));
    this.number(name, HeaderType.Bool, 1);
  }

  /** Sets a header to a time in seconds since 1970. */
  @inline
  setHeaderTime<N>(name: N, seconds: i64): void {
    store<i64>(scratch, seconds);
    this.number(name, HeaderType.Time, 8);
  }

  /** Sets a header that has no value. */
  @inline
  setHeaderNull<N>(name: N): void {
    this.number(name, HeaderType.Null, 0);
  }

  /** Removes a header; an absent one is no error. */
  @inline
  delHeader<N>(name: N): void {
    this.put(Op.DelHeader, 0, str(name), str(""));
  }

  /** Removes all headers. */
  clearHeaders(): void {
    this.put(Op.ClearHeaders, 0, str(""), str(""));
  }

  private slot(slot: u32, value: Str): void {
    store<u16>(scratch, <u16>slot, 8);
    this.put(Op.SetProp, 0, slice(scratch + 8, 2), value);
  }

  /** Sets a property; an empty text removes it. */
  @inline
  setProp<T>(slot: Slot, text: T): void {
    this.slot(slot, str(text));
  }

  /** Sets the priority. */
  setPriority(v: u8): void {
    store<u8>(scratch, v);
    this.slot(32, slice(scratch, 1));
  }

  /** Sets the delivery mode: 0 removes it, 1 is transient, 2 persistent. */
  setDeliveryMode(v: u8): void {
    store<u8>(scratch, v);
    this.slot(33, slice(scratch, 1));
  }

  /** Sets the timestamp property, in seconds since 1970. */
  setTimestamp(seconds: i64): void {
    store<i64>(scratch, seconds);
    this.slot(34, slice(scratch, 8));
  }

  /** Removes the timestamp property. */
  delTimestamp(): void {
    this.slot(34, str(""));
  }

  /**
   * Adds a target written as in router.toml: queue:NAME, exchange:NAME/KEY,
   * topic:[EXCHANGE/]TOPIC, server:[EXCHANGE/]TOPIC.SERVER, fanout:TOPIC or
   * notify:[EXCHANGE/]TOPIC.PRIORITY. Returns false when the text is none.
   */
  @inline
  target<T>(text: T): bool {
    const was = mark();
    return this.route(str(text), was);
  }

  /** Adds a target and gives back what the arena held behind `was`. */
  private route(text: Str, was: usize): bool {
    const known = this.parse(text);
    release(was);
    return known;
  }

  private parse(text: Str): bool {
    const at = text.at;
    const end = at + text.length;
    if (text.length > 6 && load<u32>(at) == 0x75657571 && load<u16>(at, 4) == 0x3a65) { // queue:
      const to = this.op(Op.Target, 0, at, 5, text.length - 6);
      if (to != 0) copy(to, at + 6, text.length - 6);
      return true;
    }
    let kind: u64 = 0;
    let colon = at;
    for (; colon < end && load<u8>(colon) != COLON; colon++) {
      if (colon == at + 8) return false;
      kind |= u64(load<u8>(colon)) << (8 * u64(colon - at));
    }
    const rest = colon + 1;
    if (rest >= end) return false;
    if (kind == FANOUT) {
      this.parts(at, colon, rest, end, 0, 0, 0);
      return true;
    }
    const slash = first(rest, end, SLASH);
    const has = slash < end;
    const name = has ? slash + 1 : rest;
    if (kind == EXCHANGE) {
      if (has) this.parts(at, colon, rest, slash, 0, name, end);
      return has;
    }
    let dot: usize = 0;
    if (kind == SERVER) {
      dot = first(name, end, DOT);
    } else if (kind == NOTIFY) {
      for (dot = end; dot > name && load<u8>(dot - 1) != DOT; ) dot--;
      dot = dot == name ? end : dot - 1;
    } else if (kind != TOPIC) {
      return false;
    }
    if (dot != 0 ? dot == name || dot + 1 >= end : name == end) return false;
    this.parts(at, colon, name, end, dot, has ? rest : 0, slash);
    return true;
  }

  /**
   * Writes a target of the name from `a` and, if `b` is not 0, a NUL byte and
   * the name from `b`; at `dot`, if it is not 0, too there is a NUL byte.
   */
  private parts(kind: usize, kindEnd: usize, a: usize, aEnd: usize, dot: usize, b: usize, bEnd: usize): void {
    const n = <u32>(aEnd - a);
    const to = this.op(Op.Target, 0, kind, <u32>(kindEnd - kind), b == 0 ? n : n + 1 + <u32>(bEnd - b));
    if (to == 0) return;
    memory.copy(to, a, n);
    if (dot != 0) store<u8>(to + (dot - a), 0);
    if (b == 0) return;
    store<u8>(to + n, 0);
    memory.copy(to + n + 1, b, bEnd - b);
  }

  /** Acknowledges and counts the message. */
  @inline
  drop<T>(reason: T): void {
    this.put(Op.Action, 0, str("drop"), str(reason));
  }

  /** Dead-letters the message with the reason, of which 256 bytes are kept. */
  @inline
  reject<T>(reason: T): void {
    this.put(Op.Action, 0, str("reject"), str(reason));
  }

  /** Asks for another run after `delayMS` milliseconds; 0 is the route's own backoff. */
  @inline
  retry<T>(delayMS: i64, reason: T): void {
    this.later(delayMS, str(reason));
  }

  private later(delayMS: i64, r: Str): void {
    const retry = str("retry");
    const to = this.op(Op.Action, 0, retry.at, retry.length, 8 + r.length);
    if (to == 0) return;
    store<i64>(to, delayMS);
    memory.copy(to + 8, r.at, r.length);
  }

  /** Answers the caller with the message as this delta leaves it. */
  reply(): void {
    this.put(Op.Action, 0, str("reply"), str(""));
  }

  /** Sends the message to the targets of an earlier filter or of the route. A target says so by itself. */
  forward(): void {
    this.put(Op.Action, 0, str("forward"), str(""));
  }

  /** Leaves an earlier decision as it is, as writing nothing does. */
  continue(): void {
    this.put(Op.Action, 0, str("continue"), str(""));
  }

  /** Skips the filters after this one. */
  stop(): void {
    this.put(Op.Action, 0, str("stop"), str(""));
  }

  /** Copies the new body into the delta. */
  @inline
  setBody<T>(body: T): void {
    this.put(Op.Body, 0, str(""), str(body));
  }

  /** Names the new body where it lies; it must not change until the next call. A slice of the message's body is allowed. */
  setBodyRef(body: Str): void {
    store<u32>(scratch, <u32>body.at);
    store<u32>(scratch, body.length, 4);
    this.put(Op.BodyRef, 0, str(""), slice(scratch, 8));
  }

  /** Starts a new message; what is written after it applies to that. */
  emit(): void {
    this.put(Op.Emit, 0, str(""), str(""));
  }

  /** Fails the message: a short code for metrics and a text for people. Everything else in the delta is then ignored. */
  @inline
  error<C, T>(code: C, text: T): void {
    this.put(Op.Error, 0, str(code), str(text));
  }

  /** Is `error` for what may go well the next time. */
  @inline
  errorRetryable<C, T>(code: C, text: T): void {
    this.put(Op.Error, 2, str(code), str(text));
  }
}
