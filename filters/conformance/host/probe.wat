;; Tells what the host did to it. Every stage answers with a new body:
;;
;;      0  u32 events, u32 calls of router_buffer, u32 ptr, u32 len (the arguments
;;         of this call), u32 length of the configuration frame, 12 bytes of 0
;;     32  events, a byte each: s start function, i _initialize, b router_buffer,
;;         c router_init, n router_needs, h router_needs_headers, d a stage
;;    288  for each call of router_buffer u32 min_cap, u32 what it returned
;;    800  the configuration frame
;;         the frame of this call
;;
;; The configuration's needs (an integer) is what router_needs returns, its
;; names (text, with commas) what router_needs_headers does.
(module
  (import "router" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 4)
  (data (i32.const 16) "closed")
  (global $events (mut i32) (i32.const 0))
  (global $buffers (mut i32) (i32.const 0))
  (global $config (mut i32) (i32.const 0))    ;; length of the frame at $R+800
  (global $names (mut i32) (i32.const 0))     ;; length of the names at 0x100
  (global $needs (mut i64) (i64.const 7))
  (global $top (mut i32) (i32.const 0x20000)) ;; from here memory is free
  (global $R i32 (i32.const 0x10000))         ;; the answer's head, 64 KiB of room

  (func $event (param $e i32)
    (if (i32.lt_u (global.get $events) (i32.const 256))
      (then (i32.store8 (i32.add (i32.add (global.get $R) (i32.const 32)) (global.get $events)) (local.get $e))))
    (global.set $events (i32.add (global.get $events) (i32.const 1))))

  ;; take makes n bytes available and returns where.
  (func $take (param $n i32) (result i32) (local $at i32) (local $pages i32)
    (local.set $at (global.get $top))
    (global.set $top (i32.and (i32.add (i32.add (local.get $at) (local.get $n)) (i32.const 7)) (i32.const -8)))
    (local.set $pages (i32.shr_u (i32.add (global.get $top) (i32.const 0xffff)) (i32.const 16)))
    (if (i32.gt_u (local.get $pages) (memory.size))
      (then (if (i32.eq (memory.grow (i32.sub (local.get $pages) (memory.size))) (i32.const -1)) (then (unreachable)))))
    (local.get $at))

  (func $start (call $event (i32.const 0x73)))
  (start $start)
  (func (export "router_abi_1") (unreachable)) ;; nobody calls it
  (func (export "_initialize") (call $event (i32.const 0x69)))

  (func (export "router_buffer") (param $min i32) (result i32) (local $at i32) (local $e i32)
    (call $event (i32.const 0x62))
    (local.set $at (call $take (local.get $min)))
    (local.set $e (i32.add (i32.add (global.get $R) (i32.const 288)) (i32.mul (i32.and (global.get $buffers) (i32.const 63)) (i32.const 8))))
    (i32.store (local.get $e) (local.get $min))
    (i32.store offset=4 (local.get $e) (local.get $at))
    (global.set $buffers (i32.add (global.get $buffers) (i32.const 1)))
    (local.get $at))

  (func (export "router_init") (param $at i32) (param $n i32) (result i64)
    (local $e i32) (local $left i32) (local $v i32) (local $i i32) (local $c i32)
    (call $event (i32.const 0x63))
    (global.set $config (local.get $n))
    (memory.copy (i32.add (global.get $R) (i32.const 800)) (local.get $at) (local.get $n))
    (local.set $e (i32.add (local.get $at) (i32.load offset=16 (local.get $at))))
    (local.set $left (i32.load offset=20 (local.get $at)))
    (block $done (loop $next
      (br_if $done (i32.eqz (local.get $left)))
      (local.set $v (i32.add (local.get $at) (i32.load offset=8 (local.get $e))))
      (if (i32.eq (i32.load offset=16 (local.get $e)) (i32.const 0x8539c9ba)) ;; needs
        (then (global.set $needs (i64.load (local.get $v)))))
      (if (i32.eq (i32.load offset=16 (local.get $e)) (i32.const 0xe6e5718f)) ;; names
        (then
          (global.set $names (i32.load offset=12 (local.get $e)))
          (local.set $i (i32.const 0))
          (loop $byte
            (local.set $c (i32.load8_u (i32.add (local.get $v) (local.get $i))))
            (if (i32.eq (local.get $c) (i32.const 0x2c)) (then (local.set $c (i32.const 0))))
            (i32.store8 offset=0x100 (local.get $i) (local.get $c))
            (br_if $byte (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (global.get $names))))))
      (local.set $e (i32.add (local.get $e) (i32.const 20)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
    (i64.const 0))

  (func (export "router_needs") (result i64)
    (call $event (i32.const 0x6e))
    (global.get $needs))

  (func (export "router_needs_headers") (result i64)
    (call $event (i32.const 0x68))
    (if (result i64) (global.get $names)
      (then (i64.or (i64.shl (i64.const 0x100) (i64.const 32)) (i64.extend_i32_u (global.get $names))))
      (else (i64.const 0))))

  (func (export "router_close") (call $log (i32.const 1) (i32.const 16) (i32.const 6)))

  (func $tell (param $at i32) (param $n i32) (result i64) (local $top i32) (local $out i32) (local $head i32)
    (call $event (i32.const 0x64))
    (local.set $top (global.get $top))
    (local.set $head (i32.add (i32.const 800) (global.get $config)))
    (local.set $out (call $take (i32.add (local.get $head) (local.get $n))))
    (global.set $top (local.get $top)) ;; the next call may have it
    (i32.store (global.get $R) (global.get $events))
    (i32.store offset=4 (global.get $R) (global.get $buffers))
    (i32.store offset=8 (global.get $R) (local.get $at))
    (i32.store offset=12 (global.get $R) (local.get $n))
    (i32.store offset=16 (global.get $R) (global.get $config))
    (memory.copy (local.get $out) (global.get $R) (local.get $head))
    (memory.copy (i32.add (local.get $out) (local.get $head)) (local.get $at) (local.get $n))
    ;; BODY_REF
    (i64.store (i32.const 32) (i64.const 0x0000000800000008))
    (i32.store (i32.const 40) (local.get $out))
    (i32.store (i32.const 44) (i32.add (local.get $head) (local.get $n)))
    (i64.const 0x0000002000000010))
  (export "router_decode" (func $tell))
  (export "router_unpack" (func $tell))
  (export "router_decide" (func $tell))
  (export "router_pack" (func $tell))
  (export "router_encode" (func $tell)))
