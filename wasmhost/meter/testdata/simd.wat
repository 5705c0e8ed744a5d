;; Vector instructions of every immediate form, and opcodes of two bytes.
(module
  (memory 1)
  (data (i32.const 0) "\01\02\03\04\05\06\07\08\09\0a\0b\0c\0d\0e\0f\10")
  (func (export "shuffle") (result i64)
    (i64x2.extract_lane 1 (i8x16.shuffle 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0
      (v128.load (i32.const 0)) (v128.const i32x4 1 2 3 4))))
  (func (export "abs") (param i32) (result i32)
    (i32x4.extract_lane 2 (i32x4.abs (i32x4.splat (local.get 0)))))
  (func (export "dot") (param i32 i32) (result i32)
    (i32x4.extract_lane 0 (i32x4.dot_i16x8_s (i16x8.splat (local.get 0)) (i16x8.splat (local.get 1)))))
  (func (export "lane") (param i64) (result i64)
    (v128.store64_lane offset=32 1 (i32.const 0) (i64x2.splat (local.get 0)))
    (i64x2.extract_lane 0 (v128.load64_lane offset=32 0 (i32.const 0) (v128.const i64x2 0 0))))
  (func (export "sum") (param $n i32) (result i32)
    (local $v v128)
    (loop $l
      (local.set $v (i32x4.add (local.get $v) (v128.load (i32.const 0))))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32x4.extract_lane 3 (local.get $v)))
  (func (export "conv") (param f32) (result i32)
    (i32x4.extract_lane 0 (i32x4.trunc_sat_f32x4_s (f32x4.splat (local.get 0)))))
  (func (export "bits") (param i32) (result i32)
    (i8x16.bitmask (i8x16.lt_s (i8x16.splat (local.get 0)) (v128.load (i32.const 0))))))
