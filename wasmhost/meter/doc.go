// Package meter checks a WebAssembly module before it is compiled and rewrites
// it so that it pays for the work it does.
//
// # Why
//
// A runtime trusts the module it compiles: vector counts are allocated before
// they are checked, compile time grows faster than the input for some shapes of
// code, and native code runs until it returns. [Instrument] closes these doors
// from the outside: it refuses what cannot be compiled in reasonable time and
// memory, and adds yield points to everything else. It needs no runtime and no
// allocation that is larger than a few times its input.
//
// # The contract with the host
//
// The returned module has one import and one or two exports more than its source:
//
//   - it imports the function [FuelModule].[FuelFunction] of type () -> ();
//   - it exports the mutable i64 global [FuelGlobal], which starts at zero;
//   - it exports as [StartFunction] a function () -> () that runs the start function,
//     if there is one, which does not run by itself.
//
// The host calls the start function first of all, in the way it calls any other, so
// that nothing of the guest runs before the host has an instance to look at.
//
// The global is the credit of the running call. The guest lowers it at every
// charge point and calls the imported function as soon as it is below zero.
// The host does one of two things there: it sets the global to a new positive
// slice and returns, or it panics (or closes the module) and so ends the call.
// What the guest had overdrawn is the negative value it finds in the global;
// used = slice given - value left. A host that returns without setting the
// global is called again at every charge point, which is slow and harmless.
//
// With credit left, the guest calls the function before it throws an exception
// and before it enters a handler of exceptions. The host bounds then what only it
// can see: wazero copies the whole stack for each handler that is open. If
// [Module].ExceptionRefs is set, it must also keep every exception of the call
// alive until the call ends, because wazero hands out plain addresses. What the
// host ends a call with passes by all handlers of the guest.
//
// The host sets the global before each call. A call that needs less than its slice
// never leaves the guest.
//
// # The price list
//
// One unit stands for at most [UnitWeight] plain instructions:
//
//   - entering a function: 1, and 1 more for every 64 locals it declares;
//   - starting a loop body, each time round: 1. A function that every call goes
//     through such a loop of, with nothing but plain instructions before, is
//     charged for by the loop alone;
//   - straight code: after every [RunLength] instructions on a path without any
//     other charge as many units as they are worth. Shorter stretches belong to the
//     function or the loop they end, and those before a call to the function that
//     calls, too: it costs as many more each time as the dearest of them is worth,
//     at most 9. Calls count as 16 instructions there, ref.func as 64,
//     loads, stores, vectors, divisions, remainders and floating-point
//     arithmetic as 4;
//   - memory.fill, memory.copy, memory.init: 1 per 64 bytes, rounded down, and 1.
//     The first two are done in pieces of 256 KiB, and each costs 1 more;
//   - memory.grow: 1, and 1024 per page when it succeeded;
//   - table.fill, table.copy, table.init, table.grow: 1 per 8 elements, rounded
//     down, and 1;
//   - throw, throw_ref, and each call in the body of a try_table: 64.
//
// Bulk operations are charged for what they could do at most, the size of the
// memory or table, so that one with absurd operands traps as it would have
// without metering. The price of a run depends on the module and its input only.
//
// # What changes in the module
//
// Imported functions keep their indices, all others move up by one; references
// to them are renumbered wherever they occur. Every function gets one local more
// and the charges, or two for the branches of short loops; a few functions that
// charge for bulk operations and exceptions, or do them in pieces, are appended. A
// try_table becomes a block, and the calls and throws in it get a try_table each:
// see exception.go for what that mends. The maxima of memories and tables are
// lowered to the limits. Custom sections are dropped, except for
// function names when these are well-formed. All else is kept byte for byte, and
// the output depends on the input and the limits alone.
//
// # What is accepted
//
// The core specification 2.0 with tail calls, exceptions (try_table, not the older
// try) and extended constant expressions. References to exceptions may not be in
// tables and globals, and exceptions may not carry vectors. Threads, garbage-collected
// types, typed function references, 64-bit and multiple memories, relaxed vectors
// and older exceptions are refused by name.
//
// Instrument checks structure and indices, not types, except for those of catch
// clauses: the runtime still has to validate the result.
package meter
