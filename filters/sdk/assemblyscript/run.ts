import { Delta } from "./delta";
import { rewind, settle } from "./memory";
import { Message } from "./message";
import { concat, Str } from "./str";

/** What of a message the host hands over, see `needs`. */
export const enum Need {
  Body = 1,
  Headers = 2,
  Properties = 4,
  /** Nothing is kept between messages. */
  Stateless = 256,
}

/** Asks for only the first n bytes of the body, instead of `Need.Body`. */
export function needBodyPrefix(n: u32): i64 {
  return 8 | (<i64>n << 32);
}

let needed: i64 = Need.Body | Need.Headers | Need.Properties;

/** Says what the filter reads, at module scope or in `onInit`; otherwise it gets everything. */
export function needs(bits: i64): void {
  needed = bits;
}

/** What `needs` said. */
export function neededBits(): i64 {
  return needed;
}

let names: Str | null = null;

/**
 * Names, at module scope or in `onInit`, a header that the filter reads. Then
 * only the headers named are handed over, at most 64, which makes calls
 * cheaper; `Message.header` does not find others.
 */
export function needHeader<N>(name: N): void {
  const before = names;
  names = before == null ? Str.of(name) : concat(concat(before, "\0"), name);
}

/** The names of `needHeader`, with a NUL between two, as a result. */
export function neededHeaders(): i64 {
  const all = names;
  return all == null ? 0 : ((<i64>all.at) << 32) | all.length;
}

let configure: ((config: Message, d: Delta) => void) | null = null;

/**
 * Sets, at module scope, what is called once for each instance with the
 * configuration: its headers are the TOML table flattened with dots, its body
 * is the same as JSON. `d.error` refuses the configuration and is shown to the
 * operator.
 */
export function onInit(run: (config: Message, d: Delta) => void): void {
  configure = run;
}

const MALFORMED: i64 = -2;

const message = changetype<Message>(memory.data(offsetof<Message>(), 8));
const delta = changetype<Delta>(memory.data(offsetof<Delta>(), 8));

/** Runs `onInit`. */
export function init(at: usize, length: u32): i64 {
  const run = configure;
  if (run == null) return 0;
  if (!message.read(at, length)) return MALFORMED;
  delta.reset();
  run(message, delta);
  settle();
  return message.broken ? MALFORMED : delta.result();
}

/** Runs a handler on the frame that the host has written. It is what an exported function of a stage returns. */
// @ts-ignore: decorator
@inline
export function handle(at: usize, length: u32, run: (m: Message, d: Delta) => void): i64 {
  if (!message.read(at, length)) return MALFORMED;
  rewind();
  delta.reset();
  run(message, delta);
  return message.broken ? MALFORMED : delta.result();
}
