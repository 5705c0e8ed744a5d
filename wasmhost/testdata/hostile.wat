;; Does what the first byte of the body says. Counts its calls in a global, so
;; that a test sees whether it is the same instance: a call with '=' answers
;; with an ERROR whose code is the count as one digit.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "router" "log" (func $log (param i32 i32 i32)))
  (import "router" "random" (func $random (param i32 i32)))
  (import "router" "body_read" (func $body_read (param i32 i32 i32) (result i32)))
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  ;; PRELUDE
  (global $calls (mut i32) (i32.const 0))
  (table 2 funcref)
  (type $void (func))
  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func $tree (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0))
      (then (i32.const 1))
      (else (i32.add (call $tree (i32.sub (local.get 0) (i32.const 1)))
                     (call $tree (i32.sub (local.get 0) (i32.const 1)))))))
  (func (export "router_decide") (param $p i32) (param $n i32) (result i64)
    (local $c i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (local.set $c (i32.load8_u (i32.add (local.get $p) (i32.load offset=24 (local.get $p)))))
    (if (i32.eq (local.get $c) (i32.const 0x3d)) ;; = how many calls
      (then
        (i32.store (i32.const 0) (i32.const 0x1000a))
        (i32.store (i32.const 4) (i32.const 0))
        (i32.store8 (i32.const 8) (i32.add (i32.const 0x30) (global.get $calls)))
        (return (i64.const 9))))
    (if (i32.eq (local.get $c) (i32.const 0x6c)) (then (loop $l (br $l))))                       ;; l loop
    (if (i32.eq (local.get $c) (i32.const 0x72)) (then (drop (call $recurse (i32.const 0)))))    ;; r recursion
    (if (i32.eq (local.get $c) (i32.const 0x78)) (then (drop (call $tree (i32.const 200)))))     ;; x exponential
    (if (i32.eq (local.get $c) (i32.const 0x75)) (then (unreachable)))                           ;; u
    (if (i32.eq (local.get $c) (i32.const 0x64)) (then (drop (i32.div_u (i32.const 1) (i32.const 0))))) ;; d
    (if (i32.eq (local.get $c) (i32.const 0x6f)) (then (drop (i32.load offset=4294967295 (i32.const -1))))) ;; o out of bounds
    (if (i32.eq (local.get $c) (i32.const 0x69)) (then (call_indirect (type $void) (i32.const 1)))) ;; i null function
    (if (i32.eq (local.get $c) (i32.const 0x6e)) (then (drop (i32.trunc_f64_s (f64.const nan))))) ;; n
    (if (i32.eq (local.get $c) (i32.const 0x65)) (then (call $exit (i32.const 0))))              ;; e
    (if (i32.eq (local.get $c) (i32.const 0x45)) (then (call $exit (i32.const 3))))              ;; E
    (if (i32.eq (local.get $c) (i32.const 0x61)) (then (call $abort (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))) ;; a
    (if (i32.eq (local.get $c) (i32.const 0x6d)) ;; m memory eater
      (then
        (loop $l (br_if $l (i32.ne (memory.grow (i32.const 8)) (i32.const -1))))
        (unreachable)))
    (if (i32.eq (local.get $c) (i32.const 0x66)) ;; f fill in a loop
      (then (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 0x67)) ;; g log flood
      (then (loop $l (call $log (i32.const 2) (i32.const 0) (i32.const 65536)) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 0x52)) ;; R random flood
      (then (loop $l (call $random (i32.const 0) (i32.const 65536)) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 0x62)) ;; b body_read flood
      (then (loop $l (drop (call $body_read (i32.const 0) (i32.const 0) (i32.const 65536))) (br $l))))
    (if (i32.eq (local.get $c) (i32.const 0x70)) ;; p host function with a bad address
      (then (call $log (i32.const 2) (i32.const -16) (i32.const 64))))
    (if (i32.eq (local.get $c) (i32.const 0x73)) ;; s sleep for ever
      (then (loop $l (drop (call $poll (i32.const 0) (i32.const 4096) (i32.const 1) (i32.const 8192))) (br $l))))
    (i64.const 0)))
