;; Changes nothing.
(module
  ;; PRELUDE
  (func (export "router_decide") (param i32 i32) (result i64) (i64.const 0)))
