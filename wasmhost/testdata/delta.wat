;; Every stage returns the message's body as its delta.
(module
  ;; PRELUDE
  (func $body (param $p i32) (param $n i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (i32.add (local.get $p) (i32.load offset=24 (local.get $p)))) (i64.const 32))
      (i64.extend_i32_u (i32.load offset=28 (local.get $p)))))
  (export "router_decode" (func $body))
  (export "router_unpack" (func $body))
  (export "router_decide" (func $body))
  (export "router_pack" (func $body))
  (export "router_encode" (func $body)))
