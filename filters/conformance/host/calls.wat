;; Calls the functions of the module router, by the numbers that they are imported in.
;;
;; The message's body is a script: u64 n, then n entries of 80 bytes: i64 function,
;; 8 arguments of i64, i64 result. It is copied to 4096 and run there; the
;; new body is the same with the results filled in, and with what the calls
;; wrote into the rest of it. A script of one's own can be given to router_init, in
;; hexadecimal in the configuration's "script"; its outcome lies at 65536
;; afterwards. Function 50 is memory.copy(to, from, n).
(module
  (import "router" "log" (func $log (param i32 i32 i32)))
  (import "router" "log_enabled" (func $log_enabled (param i32) (result i32)))
  (import "router" "header_get" (func $header_get (param i32 i32 i32 i32) (result i32)))
  (import "router" "body_read" (func $body_read (param i32 i32 i32) (result i32)))
  (import "router" "time_ns" (func $time_ns (result i64)))
  (import "router" "random" (func $random (param i32 i32)))
  (import "router" "metric_def" (func $metric_def (param i32 i32 i32) (result i32)))
  (import "router" "metric_add" (func $metric_add (param i32 i64)))
  (import "router" "metric_obs" (func $metric_obs (param i32 f64)))
  (import "router" "kv_get" (func $kv_get (param i32 i32 i32 i32) (result i32)))
  (import "router" "kv_set" (func $kv_set (param i32 i32 i32 i32 i64) (result i32)))
  (import "router" "kv_swap" (func $kv_swap (param i32 i32 i32 i32 i32 i32 i64) (result i32)))
  (import "router" "kv_add" (func $kv_add (param i32 i32 i64 i64) (result i64)))
  (import "router" "kv_delete" (func $kv_delete (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $length (mut i32) (i32.const 0)) ;; of the script at 65536

  (func (export "router_abi_1"))
  (func (export "router_buffer") (param $min i32) (result i32) (local $more i32)
    (local.set $more (i32.sub (i32.shr_u (i32.add (local.get $min) (i32.const 0x2ffff)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $more) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $more)) (i32.const -1)) (then (return (i32.const 0))))))
    (i32.const 131072))

  ;; $i and $l are the k-th argument of the entry at $e, $x its float.
  (func $l (param $e i32) (param $k i32) (result i64)
    (i64.load offset=8 (i32.add (local.get $e) (i32.shl (local.get $k) (i32.const 3)))))
  (func $i (param $e i32) (param $k i32) (result i32)
    (i32.wrap_i64 (call $l (local.get $e) (local.get $k))))
  (func $x (param $e i32) (param $k i32) (result f64)
    (f64.reinterpret_i64 (call $l (local.get $e) (local.get $k))))

  (func $entry (param $e i32) (result i64) (local $f i32)
    (local.set $f (i32.load (local.get $e)))
    (if (i32.eq (local.get $f) (i32.const 50))
      (then (memory.copy (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)))))
    (if (i32.eq (local.get $f) (i32.const 0))
      (then (call $log (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)))))
    (if (i32.eq (local.get $f) (i32.const 1))
      (then (return (i64.extend_i32_s (call $log_enabled (call $i (local.get $e) (i32.const 0)))))))
    (if (i32.eq (local.get $f) (i32.const 2))
      (then (return (i64.extend_i32_s (call $header_get (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)) (call $i (local.get $e) (i32.const 3)))))))
    (if (i32.eq (local.get $f) (i32.const 3))
      (then (return (i64.extend_i32_s (call $body_read (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)))))))
    (if (i32.eq (local.get $f) (i32.const 4))
      (then (return (call $time_ns))))
    (if (i32.eq (local.get $f) (i32.const 5))
      (then (call $random (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)))))
    (if (i32.eq (local.get $f) (i32.const 6))
      (then (return (i64.extend_i32_s (call $metric_def (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)))))))
    (if (i32.eq (local.get $f) (i32.const 7))
      (then (call $metric_add (call $i (local.get $e) (i32.const 0)) (call $l (local.get $e) (i32.const 1)))))
    (if (i32.eq (local.get $f) (i32.const 8))
      (then (call $metric_obs (call $i (local.get $e) (i32.const 0)) (call $x (local.get $e) (i32.const 1)))))
    (if (i32.eq (local.get $f) (i32.const 9))
      (then (return (i64.extend_i32_s (call $kv_get (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)) (call $i (local.get $e) (i32.const 3)))))))
    (if (i32.eq (local.get $f) (i32.const 10))
      (then (return (i64.extend_i32_s (call $kv_set (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)) (call $i (local.get $e) (i32.const 3)) (call $l (local.get $e) (i32.const 4)))))))
    (if (i32.eq (local.get $f) (i32.const 11))
      (then (return (i64.extend_i32_s (call $kv_swap (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $i (local.get $e) (i32.const 2)) (call $i (local.get $e) (i32.const 3)) (call $i (local.get $e) (i32.const 4)) (call $i (local.get $e) (i32.const 5)) (call $l (local.get $e) (i32.const 6)))))))
    (if (i32.eq (local.get $f) (i32.const 12))
      (then (return (call $kv_add (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)) (call $l (local.get $e) (i32.const 2)) (call $l (local.get $e) (i32.const 3))))))
    (if (i32.eq (local.get $f) (i32.const 13))
      (then (return (i64.extend_i32_s (call $kv_delete (call $i (local.get $e) (i32.const 0)) (call $i (local.get $e) (i32.const 1)))))))
    (i64.const 0))

  (func $script (local $e i32) (local $n i32)
    (local.set $n (i32.load (i32.const 4096)))
    (local.set $e (i32.const 4104))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $n)))
      (i64.store offset=72 (local.get $e) (call $entry (local.get $e)))
      (local.set $e (i32.add (local.get $e) (i32.const 80)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1)))
      (br $next))))

  (func $digit (param $c i32) (result i32)
    (if (result i32) (i32.ge_u (local.get $c) (i32.const 0x61))
      (then (i32.sub (local.get $c) (i32.const 0x57)))
      (else (i32.sub (local.get $c) (i32.const 0x30)))))

  (func (export "router_init") (param $at i32) (param $n i32) (result i64) (local $e i32) (local $from i32) (local $to i32)
    (if (i32.eqz (i32.load offset=20 (local.get $at))) (then (return (i64.const 0))))
    (local.set $e (i32.add (local.get $at) (i32.load offset=16 (local.get $at))))
    (if (i32.ne (i32.load offset=16 (local.get $e)) (i32.const 0x203e6faa)) (then (return (i64.const -4)))) ;; script
    (local.set $from (i32.add (local.get $at) (i32.load offset=8 (local.get $e))))
    (global.set $length (i32.shr_u (i32.load offset=12 (local.get $e)) (i32.const 1)))
    (local.set $to (i32.const 4096))
    (loop $byte
      (i32.store8 (local.get $to) (i32.or
        (i32.shl (call $digit (i32.load8_u (local.get $from))) (i32.const 4))
        (call $digit (i32.load8_u offset=1 (local.get $from)))))
      (local.set $from (i32.add (local.get $from) (i32.const 2)))
      (br_if $byte (i32.lt_u (local.tee $to (i32.add (local.get $to) (i32.const 1))) (i32.add (global.get $length) (i32.const 4096)))))
    (call $script)
    (memory.copy (i32.const 65536) (i32.const 4096) (global.get $length))
    (i64.const 0))

  (func $run (param $at i32) (param $len i32) (result i64) (local $n i32)
    (local.set $n (i32.load offset=28 (local.get $at)))
    (memory.copy (i32.const 4096) (i32.add (local.get $at) (i32.load offset=24 (local.get $at))) (local.get $n))
    (call $script)
    ;; BODY_REF
    (i64.store (i32.const 16) (i64.const 0x0000000800000008))
    (i32.store (i32.const 24) (i32.const 4096))
    (i32.store (i32.const 28) (local.get $n))
    (i64.const 0x0000001000000010))
  (export "router_decide" (func $run)))
