;; The filter that others are measured against: it is given the whole message, in
;; every stage, and changes nothing.
(module
  (memory (export "memory") 2)
  (global $top (mut i32) (i32.const 1024))
  (func (export "router_abi_1"))
  (func (export "router_buffer") (param $min i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.add (local.get $at) (i32.and (i32.add (local.get $min) (i32.const 7)) (i32.const -8))))
    (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
      (then
        (if (i32.eq (memory.grow (i32.add (i32.shr_u (local.get $min) (i32.const 16)) (i32.const 1))) (i32.const -1))
          (then (return (i32.const 0))))))
    (local.get $at))
  (func $pass (param i32 i32) (result i64)
    (if (i32.lt_u (local.get 1) (i32.const 80)) (then (return (i64.const -2))))
    (if (i32.ne (i32.load (local.get 0)) (i32.const 0x31525452)) (then (return (i64.const -2))))
    (i64.const 0))
  (export "router_decode" (func $pass))
  (export "router_unpack" (func $pass))
  (export "router_decide" (func $pass))
  (export "router_pack" (func $pass))
  (export "router_encode" (func $pass)))
