;; Hands the body back: in decode what lies between its first and its last byte, where
;; it lies, in encode in capitals, in place. Its twin is sdk/rust/testdata/body.rs.
(module
  ;; ROUTER SDK
  (func (export "router_needs") (result i64) (i64.const 0x101))

  (func (export "router_decode") (param i32 i32) (result i64)
    (local $p i32) (local $n i32)
    (call $rt_begin (local.get 0) (local.get 1))
    (call $rt_body)
    (local.set $n) (local.set $p)
    (if (i32.ge_u (local.get $n) (i32.const 2))
      (then (call $rt_set_body_ref (i32.add (local.get $p) (i32.const 1)) (i32.sub (local.get $n) (i32.const 2)))))
    (call $rt_end))

  (func (export "router_encode") (param i32 i32) (result i64)
    (local $p i32) (local $end i32) (local $c i32)
    (call $rt_begin (local.get 0) (local.get 1))
    (i32.add (call $rt_body))
    (local.set $end)
    (call $rt_body)
    (drop)
    (local.set $p)
    (loop $next
      (if (i32.lt_u (local.get $p) (local.get $end))
        (then
          (local.set $c (i32.load8_u (local.get $p)))
          (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
            (then (i32.store8 (local.get $p) (i32.sub (local.get $c) (i32.const 32)))))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br $next))))
    (call $rt_set_body_ref (call $rt_body))
    (call $rt_end)))
