/**
 * For writing router filters in AssemblyScript, against filter ABI 1. A filter
 * exports `abi` and a handler for each stage it takes part in:
 *
 *     import { handle } from "./sdk/filter";
 *     export * from "./sdk/abi";
 *
 *     export function router_decide(at: usize, length: u32): i64 {
 *       return handle(at, length, (m, d) => {
 *         const type = m.json("order.type");
 *         if (type == null) d.reject("the body has no order.type");
 *         else if (type.is("created")) d.target("queue:orders.created");
 *       });
 *     }
 *
 * What a handler writes to `d` is the message's change; writing nothing leaves
 * the message as it is. Nothing here makes garbage during a call but what says
 * that it allocates. What is returned is valid until the handler returns.
 */
export { Delta } from "./delta";
export {
  addMetric, defineMetric, kvAdd, kvDelete, kvGet, kvSet, kvSwap, Level, log, logEnabled, MetricKind,
  observeMetric, random, readBody, readHeader, timeNS,
} from "./host";
export { equalJSON, findJSON, JSON, jsonBadAt, unescape } from "./json";
export { Flag, HeaderType, Message, Slot, Value } from "./message";
export { handle, Need, needBodyPrefix, needHeader, needs, onInit } from "./run";
export { concat, decimal, hash, Str } from "./str";
