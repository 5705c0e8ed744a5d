;; Answers with what the message's body says. A body of less than 8 bytes asks how
;; many messages this instance has had, this one included: SET_HEADER count.
;; Else its first 8 bytes are an i64:
;;
;;      0                   the rest of the body is the delta, where it lies
;;      1                   unreachable
;;      2                   a loop without end
;;      3                   a recursion without end
;;      4                   a load outside the memory
;;      5                   a division by zero
;;      6                   proc_exit(0)
;;      7                   abort("went wrong")
;;      8                   memory.grow until there is no more, then unreachable
;;      9                   log with an address outside the memory
;;     10                   log of 11 lines, the letters a to k
;;     11                   log of a line of 2,000 times "x"
;;      anything else       is returned
;;
;; At 1024 lies "static body". The input buffer is at 65536 and grows there;
;; more than 8 MiB it does not give.
(module
  (import "router" "log" (func $log (param i32 i32 i32)))
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 1024) "static body")
  (data (i32.const 1100) "\14\00\00\00w\00e\00n\00t\00 \00w\00r\00o\00n\00g\00")
  (data (i32.const 1200) "abcdefghijk")
  ;; SET_HEADER count, type i64
  (data (i32.const 1280) "\01\30\05\00\08\00\00\00count")
  (global $count (mut i64) (i64.const 0))

  (func (export "router_abi_1"))
  (func (export "router_buffer") (param $min i32) (result i32) (local $more i32)
    (if (i32.gt_u (local.get $min) (i32.const 0x800000)) (then (return (i32.const 0))))
    (local.set $more (i32.sub (i32.shr_u (i32.add (local.get $min) (i32.const 0x1ffff)) (i32.const 16)) (memory.size)))
    (if (i32.gt_s (local.get $more) (i32.const 0))
      (then (if (i32.eq (memory.grow (local.get $more)) (i32.const -1)) (then (return (i32.const 0))))))
    (i32.const 65536))

  (func $forever (param i32) (result i32)
    (i32.add (i32.const 1) (call $forever (i32.add (local.get 0) (i32.const 1)))))

  (func $behave (param $mode i64) (local $i i32)
    (if (i64.eq (local.get $mode) (i64.const 1)) (then (unreachable)))
    (if (i64.eq (local.get $mode) (i64.const 2)) (then (loop $l (br $l))))
    (if (i64.eq (local.get $mode) (i64.const 3)) (then (drop (call $forever (i32.const 0)))))
    (if (i64.eq (local.get $mode) (i64.const 4)) (then (drop (i32.load (i32.const -4)))))
    (if (i64.eq (local.get $mode) (i64.const 5)) (then (drop (i32.div_u (i32.const 1) (local.get $i)))))
    (if (i64.eq (local.get $mode) (i64.const 6)) (then (call $exit (i32.const 0))))
    (if (i64.eq (local.get $mode) (i64.const 7)) (then (call $abort (i32.const 1104) (i32.const 0) (i32.const 1) (i32.const 2))))
    (if (i64.eq (local.get $mode) (i64.const 8))
      (then
        (loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (unreachable)))
    (if (i64.eq (local.get $mode) (i64.const 9)) (then (call $log (i32.const 1) (i32.const -8) (i32.const 16))))
    (if (i64.eq (local.get $mode) (i64.const 10))
      (then (loop $l
        (call $log (i32.const 1) (i32.add (i32.const 1200) (local.get $i)) (i32.const 1))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 11))))))
    (if (i64.eq (local.get $mode) (i64.const 11))
      (then
        (memory.fill (i32.const 4096) (i32.const 0x78) (i32.const 2000))
        (call $log (i32.const 1) (i32.const 4096) (i32.const 2000)))))

  (func $run (param $at i32) (param $n i32) (result i64) (local $body i32) (local $mode i64)
    (global.set $count (i64.add (global.get $count) (i64.const 1)))
    (local.set $body (i32.add (local.get $at) (i32.load offset=24 (local.get $at))))
    (local.set $n (i32.load offset=28 (local.get $at)))
    (if (i32.lt_u (local.get $n) (i32.const 8))
      (then
        (i64.store (i32.const 1293) (global.get $count))
        (return (i64.const 0x0000050000000015))))
    (local.set $mode (i64.load (local.get $body)))
    (if (i64.eqz (local.get $mode))
      (then (return (i64.or
        (i64.shl (i64.extend_i32_u (i32.add (local.get $body) (i32.const 8))) (i64.const 32))
        (i64.extend_i32_u (i32.sub (local.get $n) (i32.const 8)))))))
    (if (i64.lt_u (local.get $mode) (i64.const 12))
      (then (call $behave (local.get $mode)) (return (i64.const 0))))
    (local.get $mode))
  (export "router_decode" (func $run))
  (export "router_unpack" (func $run))
  (export "router_decide" (func $run))
  (export "router_pack" (func $run))
  (export "router_encode" (func $run)))
