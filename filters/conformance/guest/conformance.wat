;; The conformance filter of SPEC.md, in WebAssembly text. It tells commands apart by
;; the hash of their names.
(module
  (import "router" "log" (func $log (param i32 i32 i32)))
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
  ;; ROUTER SDK

  ;; Memory: texts from 1024; from 8192 buffers of 1 KiB each for command and keys,
  ;; values, old values, JSON texts and numbers; from 16384 what is kept of the configuration.
  (data (i32.const 1024) "closed\00") (data (i32.const 1032) "fail\00") (data (i32.const 1040) "config\00")
  (data (i32.const 1048) "needs\00") (data (i32.const 1056) "text\00") (data (i32.const 1064) "table.key\00")
  (data (i32.const 1080) "int\00") (data (i32.const 1088) "bool\00") (data (i32.const 1096) "do\00")
  (data (i32.const 1104) "conf_total\00") (data (i32.const 1120) "conf_level\00")
  (data (i32.const 1136) "conf_seconds\00") (data (i32.const 1152) "n\00") (data (i32.const 1160) "value\00")
  (data (i32.const 1168) "unknown command\00") (data (i32.const 1184) "E1\00") (data (i32.const 1192) "no way\00")
  (data (i32.const 1200) "E2\00") (data (i32.const 1208) "later perhaps\00") (data (i32.const 1224) "count\00")
  (data (i32.const 1232) "utf8\00") (data (i32.const 1240) "grün\00") (data (i32.const 1248) "bytes\00")
  (data (i32.const 1256) "i64\00") (data (i32.const 1264) "f64\00") (data (i32.const 1272) "time\00")
  (data (i32.const 1280) "null\00") (data (i32.const 1288) "k\00") (data (i32.const 1296) "before\00")
  (data (i32.const 1304) "gone\00") (data (i32.const 1312) "after\00") (data (i32.const 1320) "kept\00")
  (data (i32.const 1328) "60000\00") (data (i32.const 1336) "not needed\00") (data (i32.const 1352) "zu groß\00")
  (data (i32.const 1368) "later\00") (data (i32.const 1376) "split\00") (data (i32.const 1384) "queue:a\00")
  (data (i32.const 1392) "part\00") (data (i32.const 1400) "one\00") (data (i32.const 1408) "queue:b\00")
  (data (i32.const 1416) "second\00") (data (i32.const 1424) "two\00") (data (i32.const 1432) "new body\00")
  (data (i32.const 1448) "target\00") (data (i32.const 1456) "not a target\00") (data (i32.const 1472) "found\00")
  (data (i32.const 1480) "type\00") (data (i32.const 1488) "flags\00") (data (i32.const 1496) "stage\00")
  (data (i32.const 1504) "priority\00") (data (i32.const 1520) "delivery_mode\00")
  (data (i32.const 1536) "timestamp_ns\00") (data (i32.const 1552) "received_ns\00")
  (data (i32.const 1568) "body_len\00") (data (i32.const 1584) "body_full_len\00")
  (data (i32.const 1600) "headers\00") (data (i32.const 1608) "xor\00") (data (i32.const 1616) "kind\00")
  (data (i32.const 1624) "raw\00") (data (i32.const 1632) "a\00") (data (i32.const 1640) "b\00")
  (data (i32.const 1648) "header\00") (data (i32.const 1656) "body\00") (data (i32.const 1664) "defined\00")
  (data (i32.const 1672) "cap\00")
  (data (i32.const 1680) "queue:q\00exchange:ex/key\00exchange:/key\00topic:t\00topic:ex/t\00server:t.s\00server:ex/t.s\00fanout:t\00notify:t.info\00notify:ex/t.info\00\00")
  (data (i32.const 1808) "slot\00") (data (i32.const 1816) "name\00") (data (i32.const 1824) "path\00")
  (data (i32.const 1832) "absent\00") (data (i32.const 1840) "malformed\00") (data (i32.const 1856) "object\00")
  (data (i32.const 1864) "array\00") (data (i32.const 1872) "number\00") (data (i32.const 1880) "true\00")
  (data (i32.const 1888) "false\00") (data (i32.const 1896) "string\00") (data (i32.const 1904) "off\00")
  (data (i32.const 1912) "level\00") (data (i32.const 1920) "key\00") (data (i32.const 1928) "ttl\00")
  (data (i32.const 1936) "old\00") (data (i32.const 1944) "by\00")
  (global $needs (mut i64) (i64.const 7))
  (global $count (mut i64) (i64.const 0))
  (global $has_text (mut i32) (i32.const 0))
  (global $has_key (mut i32) (i32.const 0))
  (global $has_int (mut i32) (i32.const 0))
  (global $int (mut i64) (i64.const 0))
  (global $has_bool (mut i32) (i32.const 0))
  (global $bool (mut i32) (i32.const 0))
  (global $init_time (mut i64) (i64.const 0))
  (global $init_header (mut i32) (i32.const 0))
  (global $init_body (mut i32) (i32.const 0))
  (global $total (mut i32) (i32.const 0))
  (global $level (mut i32) (i32.const 0))
  (global $seconds (mut i32) (i32.const 0))

  (func (export "router_needs") (result i64) (global.get $needs))
  (func (export "router_close") (call $log (i32.const 1) (call $rt_str (i32.const 1024))))
  (func (export "router_decode") (param i32 i32) (result i64) (call $run (local.get 0) (local.get 1)))
  (func (export "router_unpack") (param i32 i32) (result i64) (call $run (local.get 0) (local.get 1)))
  (func (export "router_decide") (param i32 i32) (result i64) (call $run (local.get 0) (local.get 1)))
  (func (export "router_pack") (param i32 i32) (result i64) (call $run (local.get 0) (local.get 1)))
  (func (export "router_encode") (param i32 i32) (result i64) (call $run (local.get 0) (local.get 1)))

  (func (export "router_init") (param i32 i32) (result i64)
    (local $type i32) (local $p i32) (local $n i32)
    (call $rt_begin (local.get 0) (local.get 1))
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (i32.const 1032))))))
    (if (i32.eq (local.get $type) (i32.const 1))
      (then
        (call $rt_error (call $rt_str (i32.const 1040)) (local.get $p) (local.get $n))
        (return (call $rt_end))))
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (i32.const 1048))))))
    (if (i32.eq (local.get $type) (i32.const 3)) (then (global.set $needs (i64.load (local.get $p)))))
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (i32.const 1056))))))
    (if (i32.eq (local.get $type) (i32.const 1))
      (then
        (global.set $has_text (i32.const 1))
        (call $rt_keep (i32.const 16384) (local.get $p) (local.get $n))))
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (i32.const 1064))))))
    (if (i32.eq (local.get $type) (i32.const 1))
      (then
        (global.set $has_key (i32.const 1))
        (call $rt_keep (i32.const 17408) (local.get $p) (local.get $n))))
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (i32.const 1080))))))
    (if (i32.eq (local.get $type) (i32.const 3))
      (then
        (global.set $has_int (i32.const 1))
        (global.set $int (i64.load (local.get $p)))))
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (i32.const 1088))))))
    (if (i32.eq (local.get $type) (i32.const 5))
      (then
        (global.set $has_bool (i32.const 1))
        (global.set $bool (i32.load8_u (local.get $p)))))
    (global.set $init_time (call $time_ns))
    (global.set $init_header (call $header_get (call $rt_str (i32.const 1096)) (i32.const 8192) (i32.const 16)))
    (global.set $init_body (call $body_read (i32.const 0) (i32.const 8192) (i32.const 1)))
    (global.set $total (call $metric_def (i32.const 0) (call $rt_str (i32.const 1104))))
    (global.set $level (call $metric_def (i32.const 1) (call $rt_str (i32.const 1120))))
    (global.set $seconds (call $metric_def (i32.const 2) (call $rt_str (i32.const 1136))))
    (call $rt_end))

  ;; Finds a header in the frame, else asks for it: whether there is one, and its bytes.
  (func $argument (param $name i32) (param $buf i32) (result i32 i32 i32)
    (local $type i32) (local $p i32) (local $n i32)
    (local.set $type (local.set $p (local.set $n (call $rt_header (call $rt_str (local.get $name))))))
    (if (i32.ge_s (local.get $type) (i32.const 0)) (then (return (i32.const 1) (local.get $p) (local.get $n))))
    (local.set $n (call $header_get (call $rt_str (local.get $name)) (local.get $buf) (i32.const 1024)))
    (i32.ge_s (local.get $n) (i32.const 0))
    (local.get $buf)
    (select (local.get $n) (i32.const 0) (i32.le_u (local.get $n) (i32.const 1024))))

  (func $text (param $name i32) (param $buf i32) (result i32 i32)
    (local $p i32) (local $n i32)
    (call $argument (local.get $name) (local.get $buf))
    (local.set $p (local.set $n))
    (drop)
    (local.get $p)
    (local.get $n))

  (func $number (param $name i32) (result i64)
    (local $p i32) (local $n i32)
    (local.set $p (local.set $n (call $text (local.get $name) (i32.const 12288))))
    (if (i32.eq (local.get $n) (i32.const 8)) (then (return (i64.load (local.get $p)))))
    (i64.const 0))

  (func $cap (result i32)
    (local $cap i64)
    (local.set $cap (call $number (i32.const 1672)))
    (i32.wrap_i64 (select (local.get $cap) (i64.const 0) (i64.le_u (local.get $cap) (i64.const 1024)))))

  (func $set_i32 (param $k i32) (param $kn i32) (param $v i32)
    (call $rt_set_header_i64 (local.get $k) (local.get $kn) (i64.extend_i32_s (local.get $v))))

  ;; Answers with the length of a value in the buffer and, if it fits, the value.
  (func $got (param $n i32) (param $cap i32)
    (call $set_i32 (call $rt_str (i32.const 1152)) (local.get $n))
    (if (i32.le_u (local.get $n) (local.get $cap))
      (then (call $rt_set_header_bytes (call $rt_str (i32.const 1160)) (i32.const 9216) (local.get $n)))))

  (func $run (param $at i32) (param $len i32) (result i64)
    (local $found i32) (local $p i32) (local $n i32) (local $command i32)
    (call $rt_begin (local.get $at) (local.get $len))
    (local.set $found (local.set $p (local.set $n (call $argument (i32.const 1096) (i32.const 8192)))))
    (if (local.get $found)
      (then
        (local.set $command (call $rt_hash (local.get $p) (local.get $n)))
        (if (i32.eqz (call $change (local.get $command)))
          (then
            (if (i32.eqz (call $read (local.get $command)))
              (then
                (if (i32.eqz (call $use (local.get $command)))
                  (then (call $rt_error (call $rt_str (i32.const 1096)) (call $rt_str (i32.const 1168)))))))))))
    (call $rt_end))

  ;; Runs the commands that always make the same change.
  (func $change (param $command i32) (result i32)
    (local $p i32) (local $n i32)
    (if (i32.eq (local.get $command) (i32.const 0x7b7a7318)) ;; pass
      (then (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x21918751)) ;; error
      (then (call $rt_error (call $rt_str (i32.const 1184)) (call $rt_str (i32.const 1192))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xd5d1c6fe)) ;; error-retry
      (then (call $rt_error_retryable (call $rt_str (i32.const 1200)) (call $rt_str (i32.const 1208))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x60809302)) ;; trap
      (then (unreachable)))
    (if (i32.eq (local.get $command) (i32.const 0x39b1ddf4)) ;; count
      (then
        (global.set $count (i64.add (global.get $count) (i64.const 1)))
        (call $rt_set_header_i64 (call $rt_str (i32.const 1224)) (global.get $count))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xffe0c49a)) ;; types
      (then
        (call $rt_set_header (call $rt_str (i32.const 1232)) (call $rt_str (i32.const 1240)))
        (i32.store (i32.const 8192) (i32.const 0x10ff00))
        (call $rt_set_header_bytes (call $rt_str (i32.const 1248)) (i32.const 8192) (i32.const 3))
        (call $rt_set_header_i64 (call $rt_str (i32.const 1256)) (i64.const -7))
        (call $rt_set_header_f64 (call $rt_str (i32.const 1264)) (f64.const 0.5))
        (call $rt_set_header_bool (call $rt_str (i32.const 1088)) (i32.const 1))
        (call $rt_set_header_time (call $rt_str (i32.const 1272)) (i64.const 1700000000))
        (call $rt_set_header_null (call $rt_str (i32.const 1280)))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xcf598e4a)) ;; del
      (then (call $rt_del_header (call $rt_str (i32.const 1288))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x5c6e1222)) ;; clear
      (then
        (call $rt_set_header (call $rt_str (i32.const 1296)) (call $rt_str (i32.const 1304)))
        (call $rt_clear_headers)
        (call $rt_set_header (call $rt_str (i32.const 1312)) (call $rt_str (i32.const 1320)))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x87b59dd1)) ;; props
      (then
        (local.set $p (i32.const 2))
        (loop $next
          (i32.store8 (i32.const 8192) (i32.const 112))
          (i32.store8 (i32.const 8193) (i32.add (i32.const 48) (local.get $p)))
          (call $rt_set_prop (local.get $p) (i32.const 8192) (i32.const 2))
          (local.set $p (i32.add (local.get $p) (i32.const 1)))
          (br_if $next (i32.le_u (local.get $p) (i32.const 8))))
        (call $rt_set_prop (i32.const 12) (call $rt_str (i32.const 1328)))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xe1ffdb94)) ;; attributes
      (then
        (call $rt_set_priority (i32.const 7))
        (call $rt_set_delivery_mode (i32.const 1))
        (call $rt_set_timestamp (i64.const 1700000000))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xdb9215fd)) ;; remove
      (then
        (call $rt_set_prop (i32.const 2) (i32.const 0) (i32.const 0))
        (call $rt_set_prop (i32.const 8) (i32.const 0) (i32.const 0))
        (call $rt_set_prop (i32.const 12) (i32.const 0) (i32.const 0))
        (call $rt_set_prop (i32.const 34) (i32.const 0) (i32.const 0))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x88f674e1)) ;; targets
      (then
        (local.set $p (i32.const 1680)) ;; the first of ten, an empty one behind
        (loop $next
          (local.set $p (local.set $n (call $rt_str (local.get $p))))
          (if (local.get $n)
            (then
              (drop (call $rt_target (local.get $p) (local.get $n)))
              (local.set $p (i32.add (i32.add (local.get $p) (local.get $n)) (i32.const 1)))
              (br $next))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xb45fa81a)) ;; forward
      (then (call $rt_forward) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xb1727e44)) ;; continue
      (then (call $rt_continue) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xa9a58d8c)) ;; drop
      (then (call $rt_drop (call $rt_str (i32.const 1336))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x8534cac6)) ;; reject
      (then (call $rt_reject (call $rt_str (i32.const 1352))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xda79aab9)) ;; retry
      (then (call $rt_retry (i64.const 1500) (call $rt_str (i32.const 1368))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x29931627)) ;; reply
      (then (call $rt_reply) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xcb532ae5)) ;; stop
      (then
        (call $rt_drop (i32.const 0) (i32.const 0))
        (call $rt_stop)
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x2d88474a)) ;; emit
      (then
        (call $rt_drop (call $rt_str (i32.const 1376)))
        (call $rt_emit)
        (drop (call $rt_target (call $rt_str (i32.const 1384))))
        (call $rt_set_header_i64 (call $rt_str (i32.const 1392)) (i64.const 1))
        (call $rt_set_body (call $rt_str (i32.const 1400)))
        (call $rt_emit)
        (drop (call $rt_target (call $rt_str (i32.const 1408))))
        (call $rt_set_prop (i32.const 7) (call $rt_str (i32.const 1416)))
        (call $rt_del_header (call $rt_str (i32.const 1288)))
        (call $rt_set_body (call $rt_str (i32.const 1424)))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xdbaa7975)) ;; body
      (then (call $rt_set_body (call $rt_str (i32.const 1432))) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x18a7beee)) ;; empty
      (then (call $rt_set_body (i32.const 0) (i32.const 0)) (return (i32.const 1))))
    (i32.const 0))

  ;; Runs the commands that read the message.
  (func $read (param $command i32) (result i32)
    (local $p i32) (local $n i32) (local $end i32) (local $c i32)
    (if (i32.eq (local.get $command) (i32.const 0x32608848)) ;; target
      (then
        (if (i32.eqz (call $rt_target (call $text (i32.const 1448) (i32.const 9216))))
          (then (call $rt_error (call $rt_str (i32.const 1448)) (call $rt_str (i32.const 1456)))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x42f48402)) ;; ref
      (then (call $rt_set_body_ref (call $rt_body)) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x6789b051)) ;; slice
      (then
        (local.set $p (local.set $n (call $rt_body)))
        (if (i32.ge_u (local.get $n) (i32.const 2))
          (then
            (call $rt_set_body_ref (i32.add (local.get $p) (i32.const 1)) (i32.sub (local.get $n) (i32.const 2))))
          (else (call $rt_set_body_ref (local.get $p) (i32.const 0))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x0a8c6a47)) ;; upper
      (then
        (local.set $p (local.set $n (call $rt_body)))
        (local.set $end (i32.add (local.get $p) (local.get $n)))
        (loop $next
          (if (i32.lt_u (local.get $p) (local.get $end))
            (then
              (local.set $c (i32.load8_u (local.get $p)))
              (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
                (then (i32.store8 (local.get $p) (i32.sub (local.get $c) (i32.const 32)))))
              (local.set $p (i32.add (local.get $p) (i32.const 1)))
              (br $next))))
        (call $rt_set_body_ref (call $rt_body))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xd20a71a6)) ;; frame
      (then (call $frame) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xd93e11f8)) ;; prop
      (then
        (call $rt_set_header (call $rt_str (i32.const 1160)) (call $rt_prop (i32.wrap_i64 (call $number (i32.const 1808)))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xe488d460)) ;; header
      (then
        (local.set $c (local.set $p (local.set $n (call $rt_header (call $text (i32.const 1816) (i32.const 8192))))))
        (call $rt_set_header_bool (call $rt_str (i32.const 1472)) (i32.ge_s (local.get $c) (i32.const 0)))
        (if (i32.ge_s (local.get $c) (i32.const 0))
          (then
            (call $set_i32 (call $rt_str (i32.const 1480)) (local.get $c))
            (call $rt_set_header_bytes (call $rt_str (i32.const 1160)) (local.get $p) (local.get $n))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x147aa128)) ;; each
      (then (call $each) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x36a1a243)) ;; json
      (then (call $json) (return (i32.const 1))))
    (i32.const 0))

  (func $frame
    (call $set_i32 (call $rt_str (i32.const 1488)) (call $rt_flags))
    (call $set_i32 (call $rt_str (i32.const 1496)) (i32.load8_u offset=58 (global.get $rt_at)))
    (call $set_i32 (call $rt_str (i32.const 1504)) (call $rt_priority))
    (call $set_i32 (call $rt_str (i32.const 1520)) (call $rt_delivery_mode))
    (call $rt_set_header_i64 (call $rt_str (i32.const 1536)) (call $rt_timestamp_ns))
    (call $rt_set_header_i64 (call $rt_str (i32.const 1552)) (call $rt_received_ns))
    (call $set_i32 (call $rt_str (i32.const 1568)) (i32.load offset=28 (global.get $rt_at)))
    (call $rt_set_header_i64 (call $rt_str (i32.const 1584)) (call $rt_body_full_len))
    (call $set_i32 (call $rt_str (i32.const 1600)) (call $rt_header_count)))

  (func $each
    (local $i i32) (local $bytes i32) (local $hashes i32) (local $p i32) (local $n i32) (local $vn i32)
    (loop $next
      (if (i32.lt_u (local.get $i) (call $rt_header_count))
        (then
          (call $rt_header_at (local.get $i))
          (local.set $vn)
          (drop)
          (drop)
          (local.set $p (local.set $n))
          (local.set $bytes (i32.add (local.get $bytes) (i32.add (local.get $n) (local.get $vn))))
          (local.set $hashes (i32.xor (local.get $hashes) (call $rt_hash (local.get $p) (local.get $n))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br $next))))
    (call $set_i32 (call $rt_str (i32.const 1224)) (local.get $i))
    (call $set_i32 (call $rt_str (i32.const 1248)) (local.get $bytes))
    (call $rt_set_header_i64 (call $rt_str (i32.const 1608)) (i64.extend_i32_u (local.get $hashes))))

  (func $json
    (local $kind i32) (local $p i32) (local $n i32) (local $text i32) (local $tn i32)
    (local.set $kind (local.set $p (local.set $n (call $rt_json (call $rt_body) (call $text (i32.const 1824) (i32.const 8192))))))
    (call $rt_set_header (call $rt_str (i32.const 1616)) (call $rt_str (call $kind_name (local.get $kind))))
    (if (i32.gt_s (local.get $kind) (i32.const 0))
      (then
        (call $rt_set_header_bytes (call $rt_str (i32.const 1624)) (local.get $p) (local.get $n))
        (call $rt_json_text (local.get $kind) (local.get $p) (local.get $n) (i32.const 11264) (i32.const 1024))
        (local.set $text (local.set $tn))
        (if (local.get $text) (then (call $rt_set_header (call $rt_str (i32.const 1056)) (local.get $text) (local.get $tn)))))))

  (func $kind_name (param $kind i32) (result i32)
    (if (i32.eqz (local.get $kind)) (then (return (i32.const 1832))))
    (if (i32.eq (local.get $kind) (i32.const -1)) (then (return (i32.const 1840))))
    (if (i32.eq (local.get $kind) (i32.const 123)) (then (return (i32.const 1856))))
    (if (i32.eq (local.get $kind) (i32.const 91)) (then (return (i32.const 1864))))
    (if (i32.eq (local.get $kind) (i32.const 48)) (then (return (i32.const 1872))))
    (if (i32.eq (local.get $kind) (i32.const 116)) (then (return (i32.const 1880))))
    (if (i32.eq (local.get $kind) (i32.const 102)) (then (return (i32.const 1888))))
    (if (i32.eq (local.get $kind) (i32.const 110)) (then (return (i32.const 1280))))
    (i32.const 1896))

  ;; Runs the commands that call the host.
  (func $use (param $command i32) (result i32)
    (local $p i32) (local $n i32) (local $found i32)
    (if (i32.eq (local.get $command) (i32.const 0x23ff66c7)) ;; config
      (then
        (if (global.get $has_text) (then (call $rt_set_header (call $rt_str (i32.const 1056)) (call $rt_str (i32.const 16384)))))
        (if (global.get $has_int) (then (call $rt_set_header_i64 (call $rt_str (i32.const 1080)) (global.get $int))))
        (if (global.get $has_bool) (then (call $rt_set_header_bool (call $rt_str (i32.const 1088)) (global.get $bool))))
        (if (global.get $has_key) (then (call $rt_set_header (call $rt_str (i32.const 1064)) (call $rt_str (i32.const 17408)))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x7437b521)) ;; header-get
      (then
        (call $got
          (call $header_get (call $text (i32.const 1816) (i32.const 8192)) (i32.const 9216) (call $cap)) (call $cap))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x1d7ce4bc)) ;; body-read
      (then
        (call $got
          (call $body_read (i32.wrap_i64 (call $number (i32.const 1904))) (i32.const 9216) (call $cap)) (call $cap))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x3f515151)) ;; log
      (then
        (call $log (i32.wrap_i64 (call $number (i32.const 1912))) (call $text (i32.const 1056) (i32.const 9216)))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x5d3c9be4)) ;; time
      (then (call $rt_set_header_i64 (call $rt_str (i32.const 1272)) (call $time_ns)) (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x144f0c62)) ;; random
      (then
        (call $random (i32.const 8192) (i32.const 16))
        (call $random (i32.const 9216) (i32.const 16))
        (call $rt_set_header_bytes (call $rt_str (i32.const 1632)) (i32.const 8192) (i32.const 16))
        (call $rt_set_header_bytes (call $rt_str (i32.const 1640)) (i32.const 9216) (i32.const 16))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x16b1d373)) ;; init
      (then
        (call $rt_set_header_i64 (call $rt_str (i32.const 1272)) (global.get $init_time))
        (call $set_i32 (call $rt_str (i32.const 1648)) (global.get $init_header))
        (call $set_i32 (call $rt_str (i32.const 1656)) (global.get $init_body))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xc9af4301)) ;; metric
      (then
        (call $metric_add (global.get $total) (i64.const 2))
        (call $metric_add (global.get $level) (i64.const 5))
        (call $metric_obs (global.get $seconds) (f64.const 0.25))
        (call $rt_set_header_bool (call $rt_str (i32.const 1664))
          (i32.and
            (i32.and
              (i32.ge_s (i32.or (i32.or (global.get $total) (global.get $level)) (global.get $seconds)) (i32.const 0))
              (i32.ne (global.get $total) (global.get $level)))
            (i32.and
              (i32.ne (global.get $level) (global.get $seconds))
              (i32.ne (global.get $total) (global.get $seconds)))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x00923275)) ;; kv-get
      (then
        (call $got (call $kv_get (call $text (i32.const 1920) (i32.const 8192)) (i32.const 9216) (call $cap)) (call $cap))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x7ea05c09)) ;; kv-set
      (then
        (call $set_i32 (call $rt_str (i32.const 1152))
          (call $kv_set (call $text (i32.const 1920) (i32.const 8192)) (call $text (i32.const 1160) (i32.const 9216)) (call $number (i32.const 1928))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xced78bec)) ;; kv-swap
      (then
        (local.set $found (local.set $p (local.set $n (call $argument (i32.const 1936) (i32.const 10240)))))
        (if (i32.eqz (local.get $found)) (then (local.set $n (i32.const -1))))
        (call $set_i32 (call $rt_str (i32.const 1152))
          (call $kv_swap (call $text (i32.const 1920) (i32.const 8192)) (local.get $p) (local.get $n)
            (call $text (i32.const 1160) (i32.const 9216)) (call $number (i32.const 1928))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0x455ffc6e)) ;; kv-add
      (then
        (call $rt_set_header_i64 (call $rt_str (i32.const 1152))
          (call $kv_add (call $text (i32.const 1920) (i32.const 8192)) (call $number (i32.const 1944)) (call $number (i32.const 1928))))
        (return (i32.const 1))))
    (if (i32.eq (local.get $command) (i32.const 0xfa5e8c08)) ;; kv-delete
      (then
        (call $set_i32 (call $rt_str (i32.const 1152)) (call $kv_delete (call $text (i32.const 1920) (i32.const 8192))))
        (return (i32.const 1))))
    (i32.const 0)))
