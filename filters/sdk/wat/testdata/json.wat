;; Says what the JSON reader finds in the body at the path that the header "path"
;; has. sdk/c/testdata/json.c is its twin.
(module
  ;; ROUTER SDK
  (data (i32.const 1024) "path\00") (data (i32.const 1032) "bad\00") (data (i32.const 1040) "kind\00")
  (data (i32.const 1048) "raw\00") (data (i32.const 1056) "text\00") (data (i32.const 1064) "is\00")
  (data (i32.const 1072) "equal\00") (data (i32.const 1080) "self\00")

  (func (export "router_decide") (param i32 i32) (result i64)
    (local $kind i32) (local $p i32) (local $n i32) (local $text i32) (local $tn i32)
    (call $rt_begin (local.get 0) (local.get 1))
    (call $rt_json (call $rt_body) (call $rt_header_text (call $rt_str (i32.const 1024))))
    (local.set $n) (local.set $p) (local.set $kind)
    (if (i32.eqz (local.get $kind)) (then (return (call $rt_end))))
    (if (i32.eq (local.get $kind) (i32.const -1))
      (then
        (call $rt_set_header_i64 (call $rt_str (i32.const 1032)) (i64.extend_i32_u (global.get $rt_bad_at)))
        (return (call $rt_end))))
    (i32.store8 (i32.const 2048) (select (i32.const 34) (local.get $kind) (i32.eq (local.get $kind) (i32.const 92))))
    (call $rt_set_header (call $rt_str (i32.const 1040)) (i32.const 2048) (i32.const 1))
    (call $rt_set_header_bytes (call $rt_str (i32.const 1048)) (local.get $p) (local.get $n))
    (call $rt_json_text (local.get $kind) (local.get $p) (local.get $n) (i32.const 4096) (i32.const 1024))
    (local.set $tn) (local.set $text)
    (if (local.get $text)
      (then
        (call $rt_set_header (call $rt_str (i32.const 1056)) (local.get $text) (local.get $tn))
        (call $rt_set_header_bool (call $rt_str (i32.const 1072))
          (call $rt_json_is (local.get $kind) (local.get $p) (local.get $n) (call $rt_header_text (call $rt_str (i32.const 1064)))))
        (call $rt_set_header_bool (call $rt_str (i32.const 1080))
          (call $rt_json_is (local.get $kind) (local.get $p) (local.get $n) (local.get $text) (local.get $tn)))))
    (call $rt_end)))
