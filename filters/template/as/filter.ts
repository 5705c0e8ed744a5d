import { handle, Need, needs, onInit } from "./sdk/filter";
export * from "./sdk/abi";

let field = "";
let target = "";

needs(Need.Body | Need.Stateless);
onInit((config, d) => {
  config.configRequire(d, "queue");
  field = config.configText("field", "type");
  target = "queue:" + config.configText("queue");
});

export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const v = m.json(field);
    const kind = v != null ? v.text() : null;
    if (kind == null) return d.reject("the body has no such field");
    d.setHeader("kind", kind);
    d.target(target);
  });
}
