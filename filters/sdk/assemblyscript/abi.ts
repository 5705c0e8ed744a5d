// What every filter exports beside its stages: export * from "./sdk/abi".
import { reserveInput } from "./memory";
import { init, neededBits, neededHeaders } from "./run";

export function router_abi_1(): void {}

export function router_buffer(min: u32): usize {
  return reserveInput(min);
}

export function router_init(at: usize, length: u32): i64 {
  return init(at, length);
}

export function router_needs(): i64 {
  return neededBits();
}

export function router_needs_headers(): i64 {
  return neededHeaders();
}
