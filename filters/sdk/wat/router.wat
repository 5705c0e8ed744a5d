  ;; ---- The router SDK for filters in WebAssembly text, against filter ABI 1 ----
  ;;
  ;; This text takes the place of the line ";; ROUTER SDK" of a filter. The format
  ;; wants imports first: the filter imports the host's functions that it calls
  ;; above that line, and has all else below it.
  ;;
  ;; A text is two values, address and length, and so are the results of functions
  ;; that return one: the result of a call is the argument of the next.
  ;;
  ;;   (call $rt_set_header (call $rt_str (i32.const 1024)) (call $rt_body))
  ;;
  ;; A handler calls $rt_begin with its two parameters first, and returns what
  ;; $rt_end returns. What it writes in between is the message's change.
  ;;
  ;; Memory, in bytes:
  ;;       0   128 zeros, then what the SDK needs
  ;;    1024   the filter's own, up to 32767: its data, and what it keeps
  ;;   32768   the change of the call at hand, 32 KiB; a larger one fails the message
  ;;   65536   the frame of the call, as much as the largest message needed
  ;;
  ;; Nothing allocates. Texts of a message are valid until the handler returns.
  (memory (export "memory") 2)
  (data (i32.const 256)
    "queue\00\00\00" "fanout\00\00" "exchange" "topic\00\00\00" "server\00\00" "notify\00\00" ;; 256 to 296
    "forward\00" "drop\00\00\00\00" "reject\00\00" "retry\00\00\00" "reply\00\00\00" ;; 304 to 336
    "stop\00\00\00\00" "continue" "too-big\00" "true\00\00\00\00" "false\00\00\00" ;; 344 to 376
    "the change does not fit the filter's delta buffer\00") ;; 384

  (global $rt_at (mut i32) (i32.const 0)) ;; the frame, or the zeros
  (global $rt_out (mut i32) (i32.const 32768)) ;; the end of the change
  (global $rt_full (mut i32) (i32.const 0)) ;; something did not fit

  (func (export "router_abi_1"))

  (func (export "router_buffer") (param $min i32) (result i32)
    (local $more i32)
    (local.set $more (i32.sub (local.get $min) (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 65536))))
    (if (i32.gt_u (local.get $min) (i32.const 0x7fff0000)) (then (return (i32.const 0))))
    (if (i32.gt_s (local.get $more) (i32.const 0))
      (then
        (if (i32.eq (i32.const -1) (memory.grow (i32.shr_u (i32.add (local.get $more) (i32.const 65535)) (i32.const 16))))
          (then (return (i32.const 0))))))
    (i32.const 65536))

  ;; ---- calls ----

  ;; Takes a handler's parameters.
  (func $rt_begin (param $at i32) (param $len i32)
    (global.set $rt_out (i32.const 32768))
    (global.set $rt_full (i32.const 0))
    (global.set $rt_at (i32.const 0))
    (if (i32.ge_u (local.get $len) (i32.const 80))
      (then
        (if (i32.eq (i32.load (local.get $at)) (i32.const 0x31525452))
          (then (global.set $rt_at (local.get $at)))))))

  ;; Returns what a handler returns: the change, 0 without one, or -2 when there
  ;; was no frame.
  (func $rt_end (result i64)
    (if (i32.eqz (global.get $rt_at)) (then (return (i64.const -2))))
    (if (global.get $rt_full)
      (then
        (global.set $rt_out (i32.const 32768))
        (global.set $rt_full (i32.const 0))
        (call $rt_error (i32.const 360) (i32.const 7) (i32.const 384) (i32.const 49))))
    (if (i32.eq (global.get $rt_out) (i32.const 32768)) (then (return (i64.const 0))))
    (call $rt_pair (i32.const 32768) (i32.sub (global.get $rt_out) (i32.const 32768))))

  ;; Returns address and length in one value, as router_needs_headers does.
  (func $rt_pair (param $p i32) (param $n i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $p)) (i64.const 32)) (i64.extend_i32_u (local.get $n))))

  ;; ---- texts ----

  ;; Returns the text at an address, which ends before a NUL byte.
  (func $rt_str (param $p i32) (result i32 i32)
    (local $end i32)
    (local.set $end (local.get $p))
    (loop $next
      (if (i32.load8_u (local.get $end))
        (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $next))))
    (local.get $p)
    (i32.sub (local.get $end) (local.get $p)))

  (func $rt_eq (param $p i32) (param $n i32) (param $q i32) (param $m i32) (result i32)
    (if (i32.ne (local.get $n) (local.get $m)) (then (return (i32.const 0))))
    (local.set $m (i32.add (local.get $p) (local.get $n)))
    (loop $next
      (if (i32.lt_u (local.get $p) (local.get $m))
        (then
          (if (i32.ne (i32.load8_u (local.get $p)) (i32.load8_u (local.get $q))) (then (return (i32.const 0))))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (local.set $q (i32.add (local.get $q) (i32.const 1)))
          (br $next))))
    (i32.const 1))

  ;; Copies a text to an address and returns the address behind it.
  (func $rt_copy (param $to i32) (param $p i32) (param $n i32) (result i32)
    (memory.copy (local.get $to) (local.get $p) (local.get $n))
    (i32.add (local.get $to) (local.get $n)))

  ;; Keeps a text, with a NUL byte behind it, in memory of the filter's own; nothing
  ;; when the address is 0, as that of a header that is absent.
  (func $rt_keep (param $to i32) (param $p i32) (param $n i32)
    (if (local.get $p)
      (then (i32.store8 (call $rt_copy (local.get $to) (local.get $p) (local.get $n)) (i32.const 0)))))

  ;; Returns the address of a byte in a text, or that of the text's end.
  (func $rt_find (param $p i32) (param $end i32) (param $c i32) (result i32)
    (loop $next
      (if (i32.lt_u (local.get $p) (local.get $end))
        (then
          (if (i32.ne (i32.load8_u (local.get $p)) (local.get $c))
            (then (local.set $p (i32.add (local.get $p) (i32.const 1))) (br $next))))))
    (local.get $p))

  (func $rt_is_utf8 (param $p i32) (param $n i32) (result i32)
    (local $end i32) (local $c i32) (local $more i32) (local $low i32) (local $high i32)
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (loop $next
      (if (i32.ge_u (local.get $p) (local.get $end)) (then (return (i32.const 1))))
      (local.set $c (i32.load8_u (local.get $p)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $c) (i32.const 0x80)))
      ;; How many bytes follow, and between what the first of them lies.
      (if (i32.gt_u (i32.sub (local.get $c) (i32.const 0xc2)) (i32.const 0x32)) (then (return (i32.const 0))))
      (local.set $more
        (i32.add (i32.const 1)
          (i32.add (i32.ge_u (local.get $c) (i32.const 0xe0)) (i32.ge_u (local.get $c) (i32.const 0xf0)))))
      (local.set $low (i32.const 0x80))
      (local.set $high (i32.const 0xbf))
      (if (i32.eq (local.get $c) (i32.const 0xe0)) (then (local.set $low (i32.const 0xa0))))
      (if (i32.eq (local.get $c) (i32.const 0xed)) (then (local.set $high (i32.const 0x9f))))
      (if (i32.eq (local.get $c) (i32.const 0xf0)) (then (local.set $low (i32.const 0x90))))
      (if (i32.eq (local.get $c) (i32.const 0xf4)) (then (local.set $high (i32.const 0x8f))))
      (if (i32.gt_u (local.get $more) (i32.sub (local.get $end) (local.get $p))) (then (return (i32.const 0))))
      (loop $tail
        (local.set $c (i32.load8_u (local.get $p)))
        (if (i32.gt_u (i32.sub (local.get $c) (local.get $low)) (i32.sub (local.get $high) (local.get $low)))
          (then (return (i32.const 0))))
        (local.set $low (i32.const 0x80))
        (local.set $high (i32.const 0xbf))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br_if $tail (local.tee $more (i32.sub (local.get $more) (i32.const 1)))))
      (br $next))
    (unreachable))

  ;; Returns a number in decimal; the next call overwrites it.
  (func $rt_decimal (param $v i64) (result i32 i32)
    (local $p i32) (local $u i64)
    (local.set $p (i32.const 152))
    (local.set $u (select (i64.sub (i64.const 0) (local.get $v)) (local.get $v) (i64.lt_s (local.get $v) (i64.const 0))))
    (loop $next
      (local.set $p (i32.sub (local.get $p) (i32.const 1)))
      (i64.store8 (local.get $p) (i64.add (i64.const 48) (i64.rem_u (local.get $u) (i64.const 10))))
      (local.set $u (i64.div_u (local.get $u) (i64.const 10)))
      (br_if $next (i64.ne (local.get $u) (i64.const 0))))
    (if (i64.lt_s (local.get $v) (i64.const 0))
      (then
        (local.set $p (i32.sub (local.get $p) (i32.const 1)))
        (i32.store8 (local.get $p) (i32.const 45))))
    (local.get $p)
    (i32.sub (i32.const 152) (local.get $p)))

  ;; ---- the message ----

  ;; Flags: 1 redelivered, 2 body truncated, 4 no body, 8 no headers, 16 no properties.
  (func $rt_flags (result i32) (i32.load offset=12 (global.get $rt_at)))
  (func $rt_body (result i32 i32)
    (i32.add (global.get $rt_at) (i32.load offset=24 (global.get $rt_at)))
    (i32.load offset=28 (global.get $rt_at)))
  (func $rt_body_full_len (result i64) (i64.load offset=32 (global.get $rt_at)))
  (func $rt_timestamp_ns (result i64) (i64.load offset=40 (global.get $rt_at)))
  (func $rt_received_ns (result i64) (i64.load offset=64 (global.get $rt_at)))
  (func $rt_priority (result i32) (i32.load8_u offset=56 (global.get $rt_at)))
  (func $rt_delivery_mode (result i32) (i32.load8_u offset=57 (global.get $rt_at)))

  ;; Returns the property in a slot of ABI.md, §2.2; it is empty when there is none.
  (func $rt_prop (param $slot i32) (result i32 i32)
    (local $e i32)
    (if (i32.ge_u (local.get $slot) (i32.load offset=52 (global.get $rt_at)))
      (then (return (global.get $rt_at) (i32.const 0))))
    (local.set $e (i32.add (i32.add (global.get $rt_at) (i32.load offset=48 (global.get $rt_at)))
      (i32.shl (local.get $slot) (i32.const 3))))
    (i32.add (global.get $rt_at) (i32.load (local.get $e)))
    (i32.load offset=4 (local.get $e)))

  (func $rt_header_count (result i32) (i32.load offset=20 (global.get $rt_at)))

  ;; Returns name, type and value of the i-th header.
  (func $rt_header_at (param $i i32) (result i32 i32 i32 i32 i32)
    (local $e i32)
    (local.set $e (i32.add (i32.add (global.get $rt_at) (i32.load offset=16 (global.get $rt_at)))
      (i32.mul (local.get $i) (i32.const 20))))
    (i32.add (global.get $rt_at) (i32.load (local.get $e)))
    (i32.load16_u offset=4 (local.get $e))
    (i32.load8_u offset=6 (local.get $e))
    (i32.add (global.get $rt_at) (i32.load offset=8 (local.get $e)))
    (i32.load offset=12 (local.get $e)))

  (func $rt_hash (param $p i32) (param $n i32) (result i32)
    (local $h i32)
    (local.set $n (i32.add (local.get $p) (local.get $n)))
    (local.set $h (i32.const 0x811c9dc5))
    (loop $next
      (if (i32.lt_u (local.get $p) (local.get $n))
        (then
          (local.set $h (i32.mul (i32.xor (local.get $h) (i32.load8_u (local.get $p))) (i32.const 0x01000193)))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br $next))))
    (local.get $h))

  ;; Finds a header by its name and returns type, as in ABI.md, §2.3, and value; the
  ;; type is -1 when there is none.
  (func $rt_header (param $p i32) (param $n i32) (result i32 i32 i32)
    (local $e i32) (local $end i32) (local $hash i32)
    (local.set $hash (call $rt_hash (local.get $p) (local.get $n)))
    (local.set $e (i32.add (global.get $rt_at) (i32.load offset=16 (global.get $rt_at))))
    (local.set $end (i32.add (local.get $e) (i32.mul (call $rt_header_count) (i32.const 20))))
    (loop $next
      (if (i32.lt_u (local.get $e) (local.get $end))
        (then
          (if (i32.eq (i32.load offset=16 (local.get $e)) (local.get $hash))
            (then
              (if (call $rt_eq (local.get $p) (local.get $n)
                    (i32.add (global.get $rt_at) (i32.load (local.get $e))) (i32.load16_u offset=4 (local.get $e)))
                (then
                  (return
                    (i32.load8_u offset=6 (local.get $e))
                    (i32.add (global.get $rt_at) (i32.load offset=8 (local.get $e)))
                    (i32.load offset=12 (local.get $e)))))))
          (local.set $e (i32.add (local.get $e) (i32.const 20)))
          (br $next))))
    (i32.const -1) (i32.const 0) (i32.const 0))

  ;; Returns a header's value as text: strings and bytes as they are, integers, times
  ;; and booleans written out; address 0 for other types.
  (func $rt_value_text (param $type i32) (param $p i32) (param $n i32) (result i32 i32)
    (if (i32.or (i32.eq (local.get $type) (i32.const 1)) (i32.eq (local.get $type) (i32.const 2)))
      (then (return (local.get $p) (local.get $n))))
    (if (i32.or (i32.eq (local.get $type) (i32.const 3)) (i32.eq (local.get $type) (i32.const 6)))
      (then (return (call $rt_decimal (i64.load (local.get $p))))))
    (if (i32.eq (local.get $type) (i32.const 5))
      (then
        (return (call $rt_str (select (i32.const 368) (i32.const 376) (i32.load8_u (local.get $p)))))))
    (i32.const 0) (i32.const 0))

  ;; Finds a header and returns it as text, as $rt_value_text.
  (func $rt_header_text (param $p i32) (param $n i32) (result i32 i32)
    (call $rt_value_text (call $rt_header (local.get $p) (local.get $n))))

  ;; ---- the change ----

  ;; Appends an op (ABI.md, §3) and returns where its value goes, 0 when it does not
  ;; fit.
  (func $rt_op (param $op i32) (param $flags i32) (param $k i32) (param $kn i32) (param $vn i32) (result i32)
    (local $at i32) (local $end i32)
    (local.set $at (global.get $rt_out))
    (local.set $end (i32.and (i32.const -8)
      (i32.add (i32.add (local.get $at) (i32.const 15)) (i32.add (local.get $kn) (local.get $vn)))))
    (if (i32.or (global.get $rt_full)
          (i32.or (i32.gt_u (i32.or (local.get $kn) (local.get $vn)) (i32.const 32767))
            (i32.gt_u (local.get $end) (i32.const 65536))))
      (then (global.set $rt_full (i32.const 1)) (return (i32.const 0))))
    (i64.store (i32.sub (local.get $end) (i32.const 8)) (i64.const 0)) ;; what pads it
    (i32.store (local.get $at)
      (i32.or (i32.or (local.get $op) (i32.shl (local.get $flags) (i32.const 8))) (i32.shl (local.get $kn) (i32.const 16))))
    (i32.store offset=4 (local.get $at) (local.get $vn))
    (global.set $rt_out (local.get $end))
    (call $rt_copy (i32.add (local.get $at) (i32.const 8)) (local.get $k) (local.get $kn)))

  (func $rt_put (param $op i32) (param $flags i32) (param $k i32) (param $kn i32) (param $v i32) (param $vn i32)
    (local $to i32)
    (local.set $to (call $rt_op (local.get $op) (local.get $flags) (local.get $k) (local.get $kn) (local.get $vn)))
    (if (local.get $to) (then (memory.copy (local.get $to) (local.get $v) (local.get $vn)))))

  (func $rt_put_i64 (param $op i32) (param $flags i32) (param $k i32) (param $kn i32) (param $v i64)
    (local $to i32)
    (local.set $to (call $rt_op (local.get $op) (local.get $flags) (local.get $k) (local.get $kn) (i32.const 8)))
    (if (local.get $to) (then (i64.store (local.get $to) (local.get $v)))))

  (func $rt_put_byte (param $op i32) (param $flags i32) (param $k i32) (param $kn i32) (param $v i32)
    (local $to i32)
    (local.set $to (call $rt_op (local.get $op) (local.get $flags) (local.get $k) (local.get $kn) (i32.const 1)))
    (if (local.get $to) (then (i32.store8 (local.get $to) (local.get $v)))))

  ;; Sets a header to a string or, when the text is not UTF-8, to bytes.
  (func $rt_set_header (param $k i32) (param $kn i32) (param $v i32) (param $vn i32)
    (call $rt_put (i32.const 1)
      (select (i32.const 0x10) (i32.const 0x20) (call $rt_is_utf8 (local.get $v) (local.get $vn)))
      (local.get $k) (local.get $kn) (local.get $v) (local.get $vn)))
  (func $rt_set_header_bytes (param $k i32) (param $kn i32) (param $v i32) (param $vn i32)
    (call $rt_put (i32.const 1) (i32.const 0x20) (local.get $k) (local.get $kn) (local.get $v) (local.get $vn)))
  (func $rt_set_header_i64 (param $k i32) (param $kn i32) (param $v i64)
    (call $rt_put_i64 (i32.const 1) (i32.const 0x30) (local.get $k) (local.get $kn) (local.get $v)))
  (func $rt_set_header_f64 (param $k i32) (param $kn i32) (param $v f64)
    (call $rt_put_i64 (i32.const 1) (i32.const 0x40) (local.get $k) (local.get $kn) (i64.reinterpret_f64 (local.get $v))))
  (func $rt_set_header_bool (param $k i32) (param $kn i32) (param $v i32)
    (call $rt_put_byte (i32.const 1) (i32.const 0x50) (local.get $k) (local.get $kn) (i32.ne (local.get $v) (i32.const 0))))
  ;; In seconds since 1970.
  (func $rt_set_header_time (param $k i32) (param $kn i32) (param $v i64)
    (call $rt_put_i64 (i32.const 1) (i32.const 0x60) (local.get $k) (local.get $kn) (local.get $v)))
  (func $rt_set_header_null (param $k i32) (param $kn i32)
    (call $rt_put (i32.const 1) (i32.const 0) (local.get $k) (local.get $kn) (i32.const 0) (i32.const 0)))
  (func $rt_del_header (param $k i32) (param $kn i32)
    (call $rt_put (i32.const 2) (i32.const 0) (local.get $k) (local.get $kn) (i32.const 0) (i32.const 0)))
  (func $rt_clear_headers
    (call $rt_put (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))

  ;; Sets the property in a slot; an empty text removes it.
  (func $rt_set_prop (param $slot i32) (param $v i32) (param $vn i32)
    (i32.store16 (i32.const 160) (local.get $slot))
    (call $rt_put (i32.const 4) (i32.const 0) (i32.const 160) (i32.const 2) (local.get $v) (local.get $vn)))
  (func $rt_set_priority (param $v i32)
    (i32.store16 (i32.const 160) (i32.const 32))
    (call $rt_put_byte (i32.const 4) (i32.const 0) (i32.const 160) (i32.const 2) (local.get $v)))
  (func $rt_set_delivery_mode (param $v i32)
    (i32.store16 (i32.const 160) (i32.const 33))
    (call $rt_put_byte (i32.const 4) (i32.const 0) (i32.const 160) (i32.const 2) (local.get $v)))
  ;; In seconds since 1970; $rt_set_prop of slot 34 with an empty text removes it.
  (func $rt_set_timestamp (param $v i64)
    (i32.store16 (i32.const 160) (i32.const 34))
    (call $rt_put_i64 (i32.const 4) (i32.const 0) (i32.const 160) (i32.const 2) (local.get $v)))

  ;; Adds a target written as in router.toml: queue:NAME, exchange:NAME/KEY,
  ;; topic:[EXCHANGE/]TOPIC, server:[EXCHANGE/]TOPIC.SERVER, fanout:TOPIC or
  ;; notify:[EXCHANGE/]TOPIC.PRIORITY. Returns 0 when the text is none.
  (func $rt_target (param $p i32) (param $n i32) (result i32)
    (local $end i32) (local $kn i32) (local $rest i32) (local $rn i32)
    (local $slash i32) (local $name i32) (local $nn i32) (local $dot i32) (local $to i32)
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (local.set $rest (call $rt_find (local.get $p) (local.get $end) (i32.const 58)))
    (if (i32.eq (local.get $rest) (local.get $end)) (then (return (i32.const 0))))
    (local.set $kn (i32.sub (local.get $rest) (local.get $p)))
    (local.set $rest (i32.add (local.get $rest) (i32.const 1)))
    (local.set $rn (i32.sub (local.get $end) (local.get $rest)))
    (if (i32.or
          (call $rt_eq (local.get $p) (local.get $kn) (i32.const 256) (i32.const 5))
          (call $rt_eq (local.get $p) (local.get $kn) (i32.const 264) (i32.const 6)))
      (then
        (if (local.get $rn)
          (then (call $rt_put (i32.const 5) (i32.const 0) (local.get $p) (local.get $kn) (local.get $rest) (local.get $rn))))
        (return (i32.ne (local.get $rn) (i32.const 0)))))
    (local.set $slash (call $rt_find (local.get $rest) (local.get $end) (i32.const 47)))
    ;; The value has the same bytes in another order, with NUL for slash and dot.
    (if (call $rt_eq (local.get $p) (local.get $kn) (i32.const 272) (i32.const 8))
      (then
        (if (i32.eq (local.get $slash) (local.get $end)) (then (return (i32.const 0))))
        (local.set $to (call $rt_op (i32.const 5) (i32.const 0) (local.get $p) (local.get $kn) (local.get $rn)))
        (if (local.get $to)
          (then
            (memory.copy (local.get $to) (local.get $rest) (local.get $rn))
            (i32.store8 (i32.add (local.get $to) (i32.sub (local.get $slash) (local.get $rest))) (i32.const 0))))
        (return (i32.const 1))))
    (local.set $name
      (select (local.get $rest) (i32.add (local.get $slash) (i32.const 1)) (i32.eq (local.get $slash) (local.get $end))))
    (local.set $nn (i32.sub (local.get $end) (local.get $name)))
    (if (call $rt_eq (local.get $p) (local.get $kn) (i32.const 280) (i32.const 5))
      (then (if (i32.eqz (local.get $nn)) (then (return (i32.const 0)))))
      (else
        (local.set $dot (call $rt_find (local.get $name) (local.get $end) (i32.const 46)))
        (if (call $rt_eq (local.get $p) (local.get $kn) (i32.const 296) (i32.const 6))
          (then
            (local.set $dot (local.get $end))
            (loop $last ;; of notify the last dot counts
              (local.set $dot (i32.sub (local.get $dot) (i32.const 1)))
              (if (i32.gt_u (local.get $dot) (local.get $name))
                (then (br_if $last (i32.ne (i32.load8_u (local.get $dot)) (i32.const 46)))))))
          (else
            (if (i32.eqz (call $rt_eq (local.get $p) (local.get $kn) (i32.const 288) (i32.const 6)))
              (then (return (i32.const 0))))))
        (if (i32.or (i32.le_u (local.get $dot) (local.get $name))
              (i32.ge_u (i32.add (local.get $dot) (i32.const 1)) (local.get $end)))
          (then (return (i32.const 0))))))
    (local.set $to (call $rt_op (i32.const 5) (i32.const 0) (local.get $p) (local.get $kn) (local.get $rn)))
    (if (i32.eqz (local.get $to)) (then (return (i32.const 1))))
    (memory.copy (local.get $to) (local.get $name) (local.get $nn))
    (if (local.get $dot)
      (then (i32.store8 (i32.add (local.get $to) (i32.sub (local.get $dot) (local.get $name))) (i32.const 0))))
    (if (i32.ne (local.get $slash) (local.get $end))
      (then
        (local.set $to (i32.add (local.get $to) (local.get $nn)))
        (i32.store8 (local.get $to) (i32.const 0))
        (memory.copy (i32.add (local.get $to) (i32.const 1)) (local.get $rest) (i32.sub (local.get $slash) (local.get $rest)))))
    (i32.const 1))

  (func $rt_forward
    (call $rt_put (i32.const 6) (i32.const 0) (i32.const 304) (i32.const 7) (i32.const 0) (i32.const 0)))
  (func $rt_drop (param $p i32) (param $n i32)
    (call $rt_put (i32.const 6) (i32.const 0) (i32.const 312) (i32.const 4) (local.get $p) (local.get $n)))
  (func $rt_reject (param $p i32) (param $n i32)
    (call $rt_put (i32.const 6) (i32.const 0) (i32.const 320) (i32.const 6) (local.get $p) (local.get $n)))
  ;; In milliseconds; 0 is the route's own backoff.
  (func $rt_retry (param $delay i64) (param $p i32) (param $n i32)
    (local $to i32)
    (if (i32.gt_u (local.get $n) (i32.const 32000)) (then (local.set $n (i32.const 32000))))
    (local.set $to
      (call $rt_op (i32.const 6) (i32.const 0) (i32.const 328) (i32.const 5) (i32.add (local.get $n) (i32.const 8))))
    (if (local.get $to)
      (then
        (i64.store (local.get $to) (local.get $delay))
        (memory.copy (i32.add (local.get $to) (i32.const 8)) (local.get $p) (local.get $n)))))
  (func $rt_reply
    (call $rt_put (i32.const 6) (i32.const 0) (i32.const 336) (i32.const 5) (i32.const 0) (i32.const 0)))
  (func $rt_stop
    (call $rt_put (i32.const 6) (i32.const 0) (i32.const 344) (i32.const 4) (i32.const 0) (i32.const 0)))
  (func $rt_continue
    (call $rt_put (i32.const 6) (i32.const 0) (i32.const 352) (i32.const 8) (i32.const 0) (i32.const 0)))

  ;; Copies the new body into the change.
  (func $rt_set_body (param $p i32) (param $n i32)
    (call $rt_put (i32.const 7) (i32.const 0) (i32.const 0) (i32.const 0) (local.get $p) (local.get $n)))
  ;; Names the new body where it lies; the message's may be edited there.
  (func $rt_set_body_ref (param $p i32) (param $n i32)
    (call $rt_put_i64 (i32.const 8) (i32.const 0) (i32.const 0) (i32.const 0) (call $rt_pair (local.get $n) (local.get $p))))
  ;; Starts a new message; what is written after it applies to that.
  (func $rt_emit
    (call $rt_put (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))

  ;; Fails the message: a short code for metrics, a text for people.
  (func $rt_error (param $k i32) (param $kn i32) (param $p i32) (param $n i32)
    (call $rt_put (i32.const 10) (i32.const 0) (local.get $k) (local.get $kn) (local.get $p) (local.get $n)))
  (func $rt_error_retryable (param $k i32) (param $kn i32) (param $p i32) (param $n i32)
    (call $rt_put (i32.const 10) (i32.const 2) (local.get $k) (local.get $kn) (local.get $p) (local.get $n)))

  ;; ---- JSON ----
  ;;
  ;; A reader that reads no further than the field that was asked for. It finds
  ;; values and is no validator: what lies behind the field, and the inside of what
  ;; is skipped, is not checked. Of members with the same name the first counts.

  (global $rt_p (mut i32) (i32.const 0)) ;; where the reader is
  (global $rt_e (mut i32) (i32.const 0)) ;; the document's end
  (global $rt_vp (mut i32) (i32.const 0)) ;; the string or value that was read
  (global $rt_vn (mut i32) (i32.const 0))
  (global $rt_esc (mut i32) (i32.const 0)) ;; it is a string that holds escapes
  (global $rt_next (mut i32) (i32.const 0)) ;; behind the character that was read
  (global $rt_bad_at (mut i32) (i32.const 0)) ;; where the document is malformed

  ;; Finds the value at a path like order.items.0.type; "\." is a dot inside a name,
  ;; an empty path the whole document. Returns what it is, and its text as it is
  ;; written, of a string without the quotes:
  ;;   0 absent, -1 malformed (at $rt_bad_at), else one of the characters
  ;;   { [ " 0 t f n, where 0 is a number, and \ is a string that holds escapes.
  (func $rt_json (param $doc i32) (param $dn i32) (param $p i32) (param $n i32) (result i32 i32 i32)
    (local $end i32) (local $q i32) (local $escaped i32) (local $found i32)
    (global.set $rt_p (local.get $doc))
    (global.set $rt_e (i32.add (local.get $doc) (local.get $dn)))
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (call $rt_space)
    (local.set $found (i32.const 1))
    (loop $segments
      (if (i32.lt_u (local.get $p) (local.get $end))
        (then
          (local.set $q (local.get $p))
          (local.set $escaped (i32.const 0))
          (loop $cut
            (if (i32.lt_u (local.get $q) (local.get $end))
              (then
                (if (i32.ne (i32.load8_u (local.get $q)) (i32.const 46))
                  (then
                    (if (i32.and (i32.eq (i32.load8_u (local.get $q)) (i32.const 92))
                          (i32.lt_u (i32.add (local.get $q) (i32.const 1)) (local.get $end)))
                      (then
                        (local.set $escaped (i32.const 1))
                        (local.set $q (i32.add (local.get $q) (i32.const 1)))))
                    (local.set $q (i32.add (local.get $q) (i32.const 1)))
                    (br $cut))))))
          (local.set $found
            (call $rt_enter (local.get $p) (i32.sub (local.get $q) (local.get $p)) (local.get $escaped)))
          (local.set $p (i32.add (local.get $q) (i32.const 1)))
          (br_if $segments (i32.eq (local.get $found) (i32.const 1))))))
    (if (i32.eqz (local.get $found)) (then (return (i32.const 0) (i32.const 0) (i32.const 0))))
    (if (i32.eq (local.get $found) (i32.const 1))
      (then
        (local.set $found (call $rt_value))
        (if (local.get $found) (then (return (local.get $found) (global.get $rt_vp) (global.get $rt_vn))))))
    (global.set $rt_bad_at (i32.sub (global.get $rt_p) (local.get $doc)))
    (i32.const -1) (i32.const 0) (i32.const 0))

  ;; Returns the text of what $rt_json found: a string without escapes, written to
  ;; the buffer when it has some, a number or a boolean as written. Address 0 for
  ;; everything else, for a malformed escape and when the buffer is too small.
  (func $rt_json_text (param $kind i32) (param $p i32) (param $n i32) (param $buf i32) (param $cap i32) (result i32 i32)
    (local $to i32) (local $end i32)
    (if (call $rt_plain (local.get $kind)) (then (return (local.get $p) (local.get $n))))
    (if (i32.ne (local.get $kind) (i32.const 92)) (then (return (i32.const 0) (i32.const 0))))
    (local.set $to (local.get $buf))
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (local.set $cap (i32.add (local.get $buf) (local.get $cap)))
    (loop $next
      (if (i32.lt_u (local.get $p) (local.get $end))
        (then
          (local.set $n (call $rt_char (local.get $p) (local.get $end)))
          (if (i32.or (i32.eqz (local.get $n)) (i32.gt_u (local.get $n) (i32.sub (local.get $cap) (local.get $to))))
            (then (return (i32.const 0) (i32.const 0))))
          (local.set $to (call $rt_copy (local.get $to) (i32.const 160) (local.get $n)))
          (local.set $p (global.get $rt_next))
          (br $next))))
    (local.get $buf)
    (i32.sub (local.get $to) (local.get $buf)))

  ;; Reports whether what $rt_json found is that string, a number written like that,
  ;; or the boolean with that name.
  (func $rt_json_is (param $kind i32) (param $p i32) (param $n i32) (param $text i32) (param $tn i32) (result i32)
    (if (i32.eq (local.get $kind) (i32.const 92))
      (then (return (call $rt_same (local.get $p) (local.get $n) (local.get $text) (local.get $tn) (i32.const 0)))))
    (if (call $rt_plain (local.get $kind))
      (then (return (call $rt_eq (local.get $p) (local.get $n) (local.get $text) (local.get $tn)))))
    (i32.const 0))

  (func $rt_plain (param $kind i32) (result i32)
    (i32.or
      (i32.or (i32.eq (local.get $kind) (i32.const 34)) (i32.eq (local.get $kind) (i32.const 48)))
      (i32.or (i32.eq (local.get $kind) (i32.const 116)) (i32.eq (local.get $kind) (i32.const 102)))))

  ;; Returns the byte at hand, 0 at the end.
  (func $rt_peek (result i32)
    (if (i32.ge_u (global.get $rt_p) (global.get $rt_e)) (then (return (i32.const 0))))
    (i32.load8_u (global.get $rt_p)))

  (func $rt_step (global.set $rt_p (i32.add (global.get $rt_p) (i32.const 1))))

  (func $rt_space
    (loop $next
      (if (call $rt_is_space (call $rt_peek)) (then (call $rt_step) (br $next)))))

  (func $rt_is_space (param $c i32) (result i32)
    (i32.or
      (i32.or (i32.eq (local.get $c) (i32.const 32)) (i32.eq (local.get $c) (i32.const 9)))
      (i32.or (i32.eq (local.get $c) (i32.const 10)) (i32.eq (local.get $c) (i32.const 13)))))

  ;; Goes to the member or element of the container at hand: 1 there, 0 absent, -1
  ;; malformed.
  (func $rt_enter (param $s i32) (param $n i32) (param $escaped i32) (result i32)
    (local $open i32) (local $want i32) (local $i i32) (local $c i32)
    (local.set $open (call $rt_peek))
    (if (i32.ne (i32.or (local.get $open) (i32.const 32)) (i32.const 123))
      (then (return (select (i32.const 0) (i32.const -1) (call $rt_value)))))
    (local.set $want (i32.const -1))
    (if (i32.eq (local.get $open) (i32.const 91)) (then (local.set $want (call $rt_index (local.get $s) (local.get $n)))))
    (call $rt_step)
    (loop $next
      (call $rt_space)
      (if (i32.eq (call $rt_peek) (i32.add (local.get $open) (i32.const 2))) (then (return (i32.const 0))))
      (if (local.get $i)
        (then
          (if (i32.ne (call $rt_peek) (i32.const 44)) (then (return (i32.const -1))))
          (call $rt_step)
          (call $rt_space)))
      (if (i32.eq (local.get $open) (i32.const 123))
        (then
          (if (i32.ne (call $rt_peek) (i32.const 34)) (then (return (i32.const -1))))
          (if (i32.eqz (call $rt_string)) (then (return (i32.const -1))))
          (call $rt_space)
          (if (i32.ne (call $rt_peek) (i32.const 58)) (then (return (i32.const -1))))
          (call $rt_step)
          (call $rt_space)
          (local.set $c
            (if (result i32) (i32.or (global.get $rt_esc) (local.get $escaped))
              (then
                (call $rt_same (global.get $rt_vp) (global.get $rt_vn) (local.get $s) (local.get $n) (local.get $escaped)))
              (else (call $rt_eq (global.get $rt_vp) (global.get $rt_vn) (local.get $s) (local.get $n))))))
        (else (local.set $c (i32.eq (local.get $i) (local.get $want)))))
      (if (local.get $c) (then (return (i32.const 1))))
      (if (i32.eqz (call $rt_value)) (then (return (i32.const -1))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next))
    (unreachable))

  ;; Returns the index that a segment is, or -1.
  (func $rt_index (param $s i32) (param $n i32) (result i32)
    (local $v i32) (local $digit i32)
    (if (i32.gt_u (i32.sub (local.get $n) (i32.const 1)) (i32.const 8)) (then (return (i32.const -1))))
    (local.set $n (i32.add (local.get $s) (local.get $n)))
    (loop $next
      (local.set $digit (i32.sub (i32.load8_u (local.get $s)) (i32.const 48)))
      (if (i32.gt_u (local.get $digit) (i32.const 9)) (then (return (i32.const -1))))
      (local.set $v (i32.add (i32.mul (local.get $v) (i32.const 10)) (local.get $digit)))
      (local.set $s (i32.add (local.get $s) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $s) (local.get $n))))
    (local.get $v))

  ;; Reads the string at hand; 0, without moving, when it does not end. Eight bytes
  ;; are looked at in one step while none of them is a quote or a backslash.
  (func $rt_string (result i32)
    (local $p i32) (local $escaped i32) (local $c i32) (local $q i64) (local $b i64)
    (local.set $p (i32.add (global.get $rt_p) (i32.const 1)))
    (loop $next
      (block $near
        (loop $far
          (br_if $near (i32.gt_u (i32.add (local.get $p) (i32.const 8)) (global.get $rt_e)))
          (local.set $q (i64.xor (i64.load (local.get $p)) (i64.const 0x2222222222222222)))
          (local.set $b (i64.xor (i64.load (local.get $p)) (i64.const 0x5c5c5c5c5c5c5c5c)))
          (br_if $near
            (i64.ne (i64.const 0)
              (i64.and (i64.const 0x8080808080808080)
                (i64.or
                  (i64.and (i64.sub (local.get $q) (i64.const 0x0101010101010101)) (i64.xor (local.get $q) (i64.const -1)))
                  (i64.and (i64.sub (local.get $b) (i64.const 0x0101010101010101)) (i64.xor (local.get $b) (i64.const -1)))))))
          (local.set $p (i32.add (local.get $p) (i32.const 8)))
          (br $far)))
      (loop $byte
        (if (i32.ge_u (local.get $p) (global.get $rt_e)) (then (return (i32.const 0))))
        (local.set $c (i32.load8_u (local.get $p)))
        (if (i32.and (i32.ne (local.get $c) (i32.const 34)) (i32.ne (local.get $c) (i32.const 92)))
          (then (local.set $p (i32.add (local.get $p) (i32.const 1))) (br $byte))))
      (if (i32.eq (local.get $c) (i32.const 92))
        (then
          (local.set $escaped (i32.const 1))
          (local.set $p (i32.add (local.get $p) (i32.const 2)))
          (br $next))))
    (global.set $rt_vp (i32.add (global.get $rt_p) (i32.const 1)))
    (global.set $rt_vn (i32.sub (local.get $p) (global.get $rt_vp)))
    (global.set $rt_esc (local.get $escaped))
    (global.set $rt_p (i32.add (local.get $p) (i32.const 1)))
    (i32.const 1))

  ;; Reads the value at hand and returns what it is; 0, without moving, when it is
  ;; malformed.
  (func $rt_value (result i32)
    (local $start i32) (local $p i32) (local $c i32) (local $kind i32) (local $depth i32)
    (local.set $start (global.get $rt_p))
    (local.set $kind (call $rt_peek))
    (if (i32.eq (local.get $kind) (i32.const 34))
      (then
        (if (i32.eqz (call $rt_string)) (then (return (i32.const 0))))
        (return (select (i32.const 92) (i32.const 34) (global.get $rt_esc)))))
    (if (i32.eq (i32.or (local.get $kind) (i32.const 32)) (i32.const 123))
      (then
        (local.set $p (local.get $start))
        (block $bad
          (loop $next
            (br_if $bad (i32.ge_u (local.get $p) (global.get $rt_e)))
            (local.set $c (i32.load8_u (local.get $p)))
            (if (i32.eq (local.get $c) (i32.const 34))
              (then
                (global.set $rt_p (local.get $p))
                (br_if $bad (i32.eqz (call $rt_string)))
                (local.set $p (global.get $rt_p))
                (br $next)))
            (local.set $p (i32.add (local.get $p) (i32.const 1)))
            (local.set $c (i32.or (local.get $c) (i32.const 32)))
            (local.set $depth
              (i32.add (local.get $depth)
                (i32.sub (i32.eq (local.get $c) (i32.const 123)) (i32.eq (local.get $c) (i32.const 125)))))
            (br_if $next (local.get $depth)))
          (global.set $rt_p (local.get $p))
          (global.set $rt_vp (local.get $start))
          (global.set $rt_vn (i32.sub (local.get $p) (local.get $start)))
          (return (local.get $kind)))
        (global.set $rt_p (local.get $start))
        (return (i32.const 0))))
    (local.set $p (local.get $start))
    (block $end
      (loop $scalar
        (br_if $end (i32.ge_u (local.get $p) (global.get $rt_e)))
        (local.set $c (i32.load8_u (local.get $p)))
        (br_if $end (i32.or (i32.eq (local.get $c) (i32.const 44)) (i32.eq (i32.or (local.get $c) (i32.const 32)) (i32.const 125))))
        (if (i32.le_u (local.get $c) (i32.const 32)) (then (br_if $end (call $rt_is_space (local.get $c)))))
        (local.set $p (i32.add (local.get $p) (i32.const 1)))
        (br $scalar)))
    (global.set $rt_p (local.get $p))
    (global.set $rt_vp (local.get $start))
    (global.set $rt_vn (i32.sub (global.get $rt_p) (local.get $start)))
    (if (i32.or (i32.eq (local.get $kind) (i32.const 45)) (i32.lt_u (i32.sub (local.get $kind) (i32.const 48)) (i32.const 10)))
      (then (return (i32.const 48))))
    (if (i32.ge_u (global.get $rt_vn) (i32.const 4)) (then (local.set $c (i32.load (local.get $start)))))
    (if (i32.eq (global.get $rt_vn) (i32.const 4))
      (then
        (if (i32.eq (local.get $c) (i32.const 0x65757274)) (then (return (i32.const 116)))) ;; true
        (if (i32.eq (local.get $c) (i32.const 0x6c6c756e)) (then (return (i32.const 110)))))) ;; null
    (if (i32.and (i32.eq (global.get $rt_vn) (i32.const 5)) (i32.eq (local.get $c) (i32.const 0x736c6166))) ;; fals
      (then (if (i32.eq (i32.load8_u offset=4 (local.get $start)) (i32.const 101)) (then (return (i32.const 102))))))
    (global.set $rt_p (local.get $start))
    (i32.const 0))

  ;; Compares what stands between a string's quotes with a text or, in a path, with a
  ;; segment in which a backslash takes the meaning from what follows.
  (func $rt_same (param $p i32) (param $n i32) (param $text i32) (param $tn i32) (param $path i32) (result i32)
    (local $end i32) (local $i i32)
    (local.set $end (i32.add (local.get $p) (local.get $n)))
    (local.set $tn (i32.add (local.get $text) (local.get $tn)))
    (loop $next
      (if (i32.lt_u (local.get $p) (local.get $end))
        (then
          (local.set $n (call $rt_char (local.get $p) (local.get $end)))
          (if (i32.eqz (local.get $n)) (then (return (i32.const 0))))
          (local.set $i (i32.const 0))
          (loop $bytes
            (if (i32.ge_u (local.get $text) (local.get $tn)) (then (return (i32.const 0))))
            (if (i32.and
                  (i32.and (local.get $path) (i32.eq (i32.load8_u (local.get $text)) (i32.const 92)))
                  (i32.lt_u (i32.add (local.get $text) (i32.const 1)) (local.get $tn)))
              (then (local.set $text (i32.add (local.get $text) (i32.const 1)))))
            (if (i32.ne (i32.load8_u (local.get $text)) (i32.load8_u offset=160 (local.get $i)))
              (then (return (i32.const 0))))
            (local.set $text (i32.add (local.get $text) (i32.const 1)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $bytes (i32.lt_u (local.get $i) (local.get $n))))
          (local.set $p (global.get $rt_next))
          (br $next))))
    (i32.eq (local.get $text) (local.get $tn)))

  ;; Reads a byte or an escape, writes it to 160 as UTF-8 and returns how many bytes
  ;; that is; 0 when it is malformed. A surrogate without its partner becomes U+FFFD.
  (func $rt_char (param $p i32) (param $end i32) (result i32)
    (local $c i32) (local $low i32)
    (local.set $c (i32.load8_u (local.get $p)))
    (global.set $rt_next (i32.add (local.get $p) (i32.const 1)))
    (if (i32.ne (local.get $c) (i32.const 92))
      (then (i32.store8 (i32.const 160) (local.get $c)) (return (i32.const 1))))
    (if (i32.ge_u (global.get $rt_next) (local.get $end)) (then (return (i32.const 0))))
    (local.set $c (i32.load8_u offset=1 (local.get $p)))
    (global.set $rt_next (i32.add (local.get $p) (i32.const 2)))
    (if (i32.eq (local.get $c) (i32.const 117)) ;; u
      (then
        (local.set $c (call $rt_hex4 (local.get $p) (local.get $end)))
        (if (i32.lt_s (local.get $c) (i32.const 0)) (then (return (i32.const 0))))
        (global.set $rt_next (i32.add (local.get $p) (i32.const 6)))
        (if (i32.eq (i32.and (local.get $c) (i32.const 0xf800)) (i32.const 0xd800))
          (then
            (local.set $low (call $rt_hex4 (global.get $rt_next) (local.get $end)))
            (if (i32.and (i32.lt_u (local.get $c) (i32.const 0xdc00))
                  (i32.eq (i32.and (local.get $low) (i32.const 0xfffffc00)) (i32.const 0xdc00)))
              (then
                (global.set $rt_next (i32.add (local.get $p) (i32.const 12)))
                (local.set $c
                  (i32.add (i32.const 0x10000)
                    (i32.or (i32.shl (i32.and (local.get $c) (i32.const 0x3ff)) (i32.const 10))
                      (i32.and (local.get $low) (i32.const 0x3ff))))))
              (else (local.set $c (i32.const 0xfffd)))))))
      (else
        (local.set $c (call $rt_escape (local.get $c)))
        (if (i32.eqz (local.get $c)) (then (return (i32.const 0))))))
    (call $rt_utf8 (local.get $c)))

  (func $rt_escape (param $c i32) (result i32)
    (if (i32.eq (local.get $c) (i32.const 98)) (then (return (i32.const 8)))) ;; b
    (if (i32.eq (local.get $c) (i32.const 102)) (then (return (i32.const 12)))) ;; f
    (if (i32.eq (local.get $c) (i32.const 110)) (then (return (i32.const 10)))) ;; n
    (if (i32.eq (local.get $c) (i32.const 114)) (then (return (i32.const 13)))) ;; r
    (if (i32.eq (local.get $c) (i32.const 116)) (then (return (i32.const 9)))) ;; t
    (select (local.get $c) (i32.const 0)
      (i32.or (i32.eq (local.get $c) (i32.const 34))
        (i32.or (i32.eq (local.get $c) (i32.const 92)) (i32.eq (local.get $c) (i32.const 47))))))

  ;; Writes a code point to 160.
  (func $rt_utf8 (param $c i32) (result i32)
    (if (i32.lt_u (local.get $c) (i32.const 0x80))
      (then (i32.store8 (i32.const 160) (local.get $c)) (return (i32.const 1))))
    (if (i32.lt_u (local.get $c) (i32.const 0x800))
      (then
        (i32.store8 (i32.const 160) (i32.or (i32.const 0xc0) (i32.shr_u (local.get $c) (i32.const 6))))
        (call $rt_tail (i32.const 161) (local.get $c))
        (return (i32.const 2))))
    (if (i32.lt_u (local.get $c) (i32.const 0x10000))
      (then
        (i32.store8 (i32.const 160) (i32.or (i32.const 0xe0) (i32.shr_u (local.get $c) (i32.const 12))))
        (call $rt_tail (i32.const 161) (i32.shr_u (local.get $c) (i32.const 6)))
        (call $rt_tail (i32.const 162) (local.get $c))
        (return (i32.const 3))))
    (i32.store8 (i32.const 160) (i32.or (i32.const 0xf0) (i32.shr_u (local.get $c) (i32.const 18))))
    (call $rt_tail (i32.const 161) (i32.shr_u (local.get $c) (i32.const 12)))
    (call $rt_tail (i32.const 162) (i32.shr_u (local.get $c) (i32.const 6)))
    (call $rt_tail (i32.const 163) (local.get $c))
    (i32.const 4))

  (func $rt_tail (param $at i32) (param $c i32)
    (i32.store8 (local.get $at) (i32.or (i32.const 0x80) (i32.and (local.get $c) (i32.const 0x3f)))))

  ;; Reads an escape of the form \uXXXX, or returns -1.
  (func $rt_hex4 (param $p i32) (param $end i32) (result i32)
    (local $v i32) (local $c i32)
    (if (i32.gt_u (i32.add (local.get $p) (i32.const 6)) (local.get $end)) (then (return (i32.const -1))))
    (if (i32.ne (i32.load16_u (local.get $p)) (i32.const 0x755c)) (then (return (i32.const -1))))
    (local.set $end (i32.add (local.get $p) (i32.const 6)))
    (local.set $p (i32.add (local.get $p) (i32.const 2)))
    (loop $next
      (local.set $c (i32.sub (i32.load8_u (local.get $p)) (i32.const 48)))
      (if (i32.gt_u (local.get $c) (i32.const 9))
        (then
          (local.set $c (i32.sub (i32.or (local.get $c) (i32.const 32)) (i32.const 49))) ;; a is 49 after 0
          (if (i32.gt_u (local.get $c) (i32.const 5)) (then (return (i32.const -1))))
          (local.set $c (i32.add (local.get $c) (i32.const 10)))))
      (local.set $v (i32.or (i32.shl (local.get $v) (i32.const 4)) (local.get $c)))
      (local.set $p (i32.add (local.get $p) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $p) (local.get $end))))
    (local.get $v))

  ;; ---- the end of the router SDK; below it stands the filter ----
