(module
  ;; ROUTER SDK
  (data (i32.const 1024) "field\00") (data (i32.const 1040) "queue\00") (data (i32.const 1056) "kind\00") (data (i32.const 1072) "config\00")
  (data (i32.const 1088) "queue is missing\00") (data (i32.const 1120) "the body has no such field\00")
  (data (i32.const 2048) "queue:") (data (i32.const 3072) "type\00") ;; what the configuration completes, and replaces
  (func (export "router_needs") (result i64) (i64.const 0x101)) ;; the body; stateless

  (func (export "router_init") (param $at i32) (param $len i32) (result i64)
    (call $rt_begin (local.get $at) (local.get $len))
    (call $rt_keep (i32.const 2054) (call $rt_header_text (call $rt_str (i32.const 1040))))
    (call $rt_keep (i32.const 3072) (call $rt_header_text (call $rt_str (i32.const 1024))))
    (if (i32.eqz (i32.load8_u (i32.const 2054)))
      (then (call $rt_error (call $rt_str (i32.const 1072)) (call $rt_str (i32.const 1088)))))
    (call $rt_end))

  (func (export "router_decide") (param $at i32) (param $len i32) (result i64) (local $p i32) (local $n i32)
    (call $rt_begin (local.get $at) (local.get $len))
    (call $rt_json (call $rt_body) (call $rt_str (i32.const 3072)))
    (local.set $p (local.set $n (call $rt_json_text (i32.const 4096) (i32.const 1024))))
    (if (local.get $p)
      (then (call $rt_set_header (call $rt_str (i32.const 1056)) (local.get $p) (local.get $n)) (drop (call $rt_target (call $rt_str (i32.const 2048)))))
      (else (call $rt_reject (call $rt_str (i32.const 1120)))))
    (call $rt_end)))
