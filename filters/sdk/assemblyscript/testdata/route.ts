// Reads three headers and chooses the target; each language's route does so.
import { handle, Need, needHeader, needs, onInit, Str } from "../filter";
export * from "../abi";

const TENANT = Str.of("tenant"), TYPE = Str.of("type"), REGION = Str.of("region");
const ACME = Str.of("acme"), CREATED = Str.of("created"), EU = Str.of("eu");
const TARGET = Str.of("queue:orders.created");

needs(Need.Headers | Need.Stateless);
onInit((_config, _d) => {
  needHeader("tenant");
  needHeader("type");
  needHeader("region");
});

export function router_decide(at: usize, length: u32): i64 {
  return handle(at, length, (m, d) => {
    const tenant = m.headerText(TENANT), type = m.headerText(TYPE), region = m.headerText(REGION);
    if (tenant == null || type == null || region == null) return;
    if (tenant.is(ACME) && type.is(CREATED) && region.is(EU)) d.target(TARGET);
  });
}
