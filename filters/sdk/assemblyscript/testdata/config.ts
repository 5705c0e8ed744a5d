// Says what it was configured with, and which headers it sees.
import { concat, handle, needHeader, onInit, Str } from "../filter";
export * from "../abi";

let text = "";
let without = "";
let int: i64 = 0;
let on: bool = false;
let list: string[] = [];
let kept = Str.of("nothing");

onInit((config, d) => {
  const first = config.headerText("first");
  if (first != null) needHeader(first);
  needHeader("tenant");
  if (!config.configRequire(d, "text")) return;
  text = config.configText("text");
  without = config.configText("absent", "default");
  int = config.configInt("int") + config.configInt("absent", 1);
  on = config.configBool("on") && config.configBool("absent", true);
  list = config.configList("list").concat(config.configList("one")).concat(config.configList("absent"));
  const table = config.json("list");
  if (table != null) kept = concat(table.raw, "!").keep();
});

export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    d.setHeader("text", text + " " + without + " " + list.join("+"));
    d.setHeaderInt("int", int);
    d.setHeaderBool("on", on);
    d.setHeader("kept", kept);
    for (let i = 0; i < m.headerCount; i++) d.setHeader(concat("saw-", m.headerAt(i).name), "x");
  });
}
