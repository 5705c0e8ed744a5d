;; Recursion, an imported function, a start function that is not last, exports
;; of imported and defined functions, and names.
(module
  (import "host" "add" (func $add (param i32 i32) (result i32)))
  (global $seven i32 (i32.const 7))
  (global $g (mut i32) (i32.const 5))
  (func $fib (export "fib") (param $n i32) (result i32)
    (if (result i32) (i32.lt_s (local.get $n) (i32.const 2))
      (then (local.get $n))
      (else (call $add
        (call $fib (i32.sub (local.get $n) (i32.const 1)))
        (call $fib (i32.sub (local.get $n) (i32.const 2)))))))
  (func $init (global.set $g (i32.add (global.get $seven) (global.get $g))))
  (func (export "g") (result i32) (global.get $g))
  (export "add" (func $add))
  (start $init))
