;; Fills and copies of more than one piece, and a checksum over all of memory.
(module
  (memory 20 20)
  (func (export "seed") (param $x i32)
    (local $i i32)
    (loop $l
      (i32.store (local.get $i) (local.tee $x (i32.add (i32.mul (local.get $x) (i32.const 1664525)) (i32.const 1013904223))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (i32.const 1310720)))))
  (func (export "sum") (result i64)
    (local $i i32) (local $s i64)
    (loop $l
      (local.set $s (i64.add (i64.mul (local.get $s) (i64.const 1099511628211)) (i64.load (local.get $i))))
      (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 1310720))))
    (local.get $s))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2))))
