;; Refuses whatever it is configured with.
(module
  (memory (export "memory") 1)
  (data (i32.const 1024) "\0a\00\06\00\15\00\00\00configno such configuration")
  (func (export "router_abi_1"))
  (func (export "router_buffer") (param i32) (result i32) (i32.const 8192))
  (func (export "router_init") (param i32 i32) (result i64) (i64.const 0x0000040000000023))
  (func (export "router_decide") (param i32 i32) (result i64) (i64.const 0)))
