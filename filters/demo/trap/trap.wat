;; Traps in decide: shows that the message fails and the process lives.
(module
  (memory (export "memory") 1)
  (func (export "router_abi_1"))
  (global $cap (mut i32) (i32.const 65024))
  (func (export "router_buffer") (param $min i32) (result i32)
    ;; The input buffer is all of memory from 512 on.
    (local $pages i32)
    (if (i32.le_u (local.get $min) (global.get $cap))
      (then (return (i32.const 512))))
    (local.set $pages
      (i32.add (i32.shr_u (i32.sub (local.get $min) (global.get $cap)) (i32.const 16)) (i32.const 1)))
    (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1))
      (then (return (i32.const 0))))
    (global.set $cap (i32.add (global.get $cap) (i32.shl (local.get $pages) (i32.const 16))))
    (i32.const 512))
  (func (export "router_needs") (result i64) (i64.const 0x100))
  (func (export "router_decide") (param i32 i32) (result i64)
    unreachable))
