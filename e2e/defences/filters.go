package main

var filterClaims = []claim{
	{"A module is vetted before anything compiles it", []defence{
		{"wasmhost/meter TestRefusals", "bodies may have any size", []edit{
			{"wasmhost/meter/bodies.go", "if len(body) > m.limits.BodySize {", "if false {"},
		}},
		{"wasmhost/meter TestRefusals", "a vector's count is believed", []edit{
			{"wasmhost/meter/reader.go", "if uint64(n)*uint64(size) > uint64(r.remaining()) {", "if false {"},
		}},
		{"wasmhost/meter TestRefusals", "blocks nest at any depth", []edit{
			{"wasmhost/meter/control.go", "limit := c.m.limits.Depth; n > limit", "limit := 1 << 30; n > limit"},
		}},
		{"wasmhost/meter TestRefusals", "a function has any number of locals", []edit{
			{"wasmhost/meter/code.go", "if c.locals > uint64(c.m.limits.Locals) {", "if false {"},
		}},
		{"wasmhost/meter TestRefusals", "branch tables have any number of targets", []edit{
			{"wasmhost/meter/control.go", "c.targets > limit {", "false {"},
		}},
		{"wasmhost/meter TestRefusals", "tables have any size", []edit{
			{"wasmhost/meter/section.go", "if total > uint64(m.limits.TableElements) {", "if false {"},
		}},
		{"wasmhost/meter TestTruncatedModuleIsRefusedAtEveryByte", "a function may be without an end", []edit{
			{"wasmhost/meter/meter.go", "if m.defined > 0 && m.span[secCode].empty() {", "if false {"},
			{"wasmhost/meter/reader.go", "if uint64(n) > uint64(r.remaining()) {\n\t\tmalformed(at, \"%s of %d", "if n = min(n, uint32(r.remaining())); false {\n\t\tmalformed(at, \"%s of %d"},
		}},
		{"wasmhost/meter FuzzInstrument", "code is read past its end", []edit{
			{"wasmhost/meter/code.go", "if p = c.plain(b, p); p >= len(b) {", "if p = c.plain(b, p); false {"},
		}},
	}},
	{"What nevertheless compiles for long or large", []defence{
		{"wasmhost/compile TestBombs", "the clock of a compilation is not looked at", []edit{
			{"wasmhost/compile/child_linux.go", "\t\t{unix.RLIMIT_CPU, seconds, 1},\n", ""},
			{"wasmhost/compile/process.go", "context.WithTimeout(ctx, allowed)", "context.WithCancel(ctx)"},
		}},
		{"wasmhost/compile TestBombs", "a module is larger than the memory", []edit{
			{"wasmhost/compile/child.go", "if size > uint64(memory) {", "if false {"},
		}},
		{"wasmhost/compile TestChildIsConfined", "its memory is not limited", []edit{
			{"wasmhost/compile/child_linux.go", "\t\t{unix.RLIMIT_DATA, data + uint64(memory) + stacks, 0},\n", ""},
			{"wasmhost/compile/child_linux.go", "size, data, err := mapped()", "size, _, err := mapped()"},
		}},
		{"wasmhost/compile TestChildIsConfined", "its processor time is not limited", []edit{
			{"wasmhost/compile/child_linux.go", "{unix.RLIMIT_CPU, seconds, 1}", "{unix.RLIMIT_CPU, seconds + 3600, 1}"},
		}},
		{"wasmhost/compile TestChildIsConfined", "it has the files that the router has inherited", []edit{
			{"wasmhost/compile/child_linux.go", "return closeOthers()", "return nil"},
		}},
		{"wasmhost/compile TestChildIsConfined", "it has the router's environment", []edit{
			{"wasmhost/compile/process.go", "env := []string{\"GOMAXPROCS", "env := append(os.Environ(), []string{\"GOMAXPROCS"},
			{"wasmhost/compile/process.go", "\"GOTRACEBACK=none\"}", "\"GOTRACEBACK=none\"}...)"},
		}},
		{"wasmhost/compile TestEndsOfAChild", "it is given the router's environment", []edit{
			{"wasmhost/compile/process.go", "\tcmd.Env = environment()\n", ""},
		}},
		{"wasmhost/compile TestEndsOfAChild", "a crash is nobody's fault", []edit{
			{"wasmhost/compile/process.go", "case outOfMemory(complaint):", "case false:"},
		}},
	}},
	{"Calls end at their time and fuel", []defence{
		{"wasmhost TestTimeOfACall", "a call may last for ever", []edit{
			{"wasmhost/budget.go", "if b.spent > b.limit {", "if false {"},
		}},
		{"wasmhost/meter TestEndlessWorkIsStopped", "entering a function costs nothing", []edit{
			{"wasmhost/meter/code.go", "c.m.appendCharge(c.head, units+declared/localsPerUnit, uint32(c.locals))", "c.m.appendCharge(c.head, 0*(units+declared/localsPerUnit), uint32(c.locals))"},
		}},
		{"wasmhost TestHostileSuite", "time is not looked at", []edit{
			{"wasmhost/budget.go", "if b.spent > b.limit {", "if false {"},
		}},
		{"wasmhost TestHostileSuite", "starting is not counted", []edit{
			{"wasmhost/guest.go", "g.budget.start(f.limits.StartTime, f.limits.StartFuel)", "g.budget.start(100*f.limits.StartTime, 100*f.limits.StartFuel)"},
		}},
	}},
	{"Memory, tables, stack and output are bounded", []defence{
		{"wasmhost TestResults", "output may have any size", []edit{
			{"wasmhost/guest.go", "if int64(n) > g.filter.limits.Output {", "if false {"},
		}},
		{"wasmhost TestHostileCalls", "what is full is not told from what traps", []edit{
			{"wasmhost/guest.go", "full := g.memory || int64(g.mem.Size()) > g.filter.limits.Memory*7/8", "full := false"},
		}},
		{"wasmhost TestMemoryLimit", "memory grows to four times its limit", []edit{
			{"wasmhost/program.go", "uint32(memory/pageSize)", "uint32(4*memory/pageSize)"},
			{"wasmhost/meter/section.go", "low, min(high, uint32(m.limits.MemoryPages))", "low, min(high, 4*uint32(m.limits.MemoryPages))"},
		}},
		{"wasmhost TestTableLimit", "tables grow without end", []edit{
			{"wasmhost/meter/section.go", "t.max = min(t.max, uint32(m.limits.TableElements))", "_ = t"},
		}},
		{"wasmhost TestStackIsBoundedBeforeTheRuntimeBoundsIt", "stacks grow without end", []edit{
			{"wasmhost/guest.go", "if int64(g.running.stackSize()) > g.filter.limits.Stack {", "if false {"},
		}},
	}},
	{"Unknown imports are refused by name", []defence{
		{"wasmhost TestLoadRefuses", "unknown imports are left to the runtime", []edit{
			{"wasmhost/inspect.go", "if len(missing) > 0 {", "if false {"},
		}},
		{"wasmhost TestLoadRefuses", "the cache needs no grant", []edit{
			{"wasmhost/hostfuncs.go", `{name: "kv_get", params: types(i32, i32, i32, i32), results: types(i32), grant: "kv", run`, `{name: "kv_get", params: types(i32, i32, i32, i32), results: types(i32), run`},
		}},
		{"wasmhost TestLoadRefuses", "metrics need no grant", []edit{
			{"wasmhost/hostfuncs.go", `results: types(i32), grant: "metrics", run: hostMetricDef`, `results: types(i32), run: hostMetricDef`},
		}},
		{"wasmhost TestHostFunctions", "the clock needs no grant", []edit{
			{"wasmhost/hostfuncs.go", "case g.filter.grants.Clock:\n", "case true:\n"},
		}},
		{"wasmhost TestHostFunctions", "chance needs no grant", []edit{
			{"wasmhost/hostfuncs.go", "if g.filter.grants.Random {", "if true {"},
		}},
	}},
	{"The WASI functions reach nothing", []defence{
		{"wasmhost TestWASI", "the monotonic clock is the machine's", []edit{
			{"wasmhost/wasi.go", "case g.filter.grants.Clock:\n", "case true:\n"},
		}},
		{"wasmhost TestWASI", "the realtime clock is the machine's", []edit{
			{"wasmhost/hostfuncs.go", "case g.filter.grants.Clock:\n", "case true:\n"},
		}},
		{"wasmhost TestWASI", "there is an environment", []edit{
			{"wasmhost/wasi.go", "\tclear(guestView(mem, stack[0], 4))\n", "\tcopy(guestView(mem, stack[0], 4), \"\\x01\")\n"},
		}},
		{"wasmhost TestWASI", "other files than the two outputs can be written", []edit{
			{"wasmhost/wasi.go", "if fd != 1 && fd != 2 {", "if fd == 0 {"},
		}},
		{"wasmhost TestWASI", "chance is the machine's", []edit{
			{"wasmhost/wasi.go", "g.random(guestView(mem, stack[0], stack[1]))", "_, _ = crand.Read(guestView(mem, stack[0], stack[1]))"},
			{"wasmhost/wasi.go", "import (\n", "import (\n\tcrand \"crypto/rand\"\n"},
		}},
	}},
	{"What a filter hands back is checked as a stranger's", []defence{
		{"wasmhost TestLyingDeltas", "the lengths of an op are believed", []edit{
			{"wasmhost/delta.go", "if 8+klen+vlen > uint64(len(rest)) {", "if false {"},
		}},
		{"wasmhost TestLyingDeltas", "names of headers hold anything", []edit{
			{"wasmhost/delta.go", "case !validText(name):", "case false:"},
		}},
		{"wasmhost TestResults", "a delta may lie outside the memory", []edit{
			{"wasmhost/guest.go", "\tif !ok {\n\t\treturn nil, invalidf(\"the delta", "\tif false {\n\t\t_ = ok\n\t\treturn nil, invalidf(\"the delta"},
		}},
		{"wasmhost TestMessagesKeepTheirValues", "a delta is read where it lies", []edit{
			{"wasmhost/delta.go", "x.data, x.stage = append(x.data[:0], view...), stage", "x.data, x.stage = view, stage"},
		}},
		{"wasmhost TestMessagesKeepTheirValues", "a body stays where the filter has it", []edit{
			{"wasmhost/apply.go", "cur.Body = bytes.Clone(o.value)", "cur.Body = o.value"},
		}},
		{"wasmhost FuzzDelta", "a retry's delay is read where there is none", []edit{
			{"wasmhost/delta.go", "if len(reason) < 8 {", "if false {"},
		}},
	}},
	{"A filter sends only where the route allows", []defence{
		{"router TestDeadLetters", "a filter sends where it likes", []edit{
			{"router/targets.go", "if !r.cfg.Allow.Permits(t) {", "if false {"},
		}},
		{"router TestAllow", "a pattern matches a part of a target", []edit{
			{"router/allow.go", "(`(?s)\\A(?:` + strings.Join(alternatives, \"|\") + `)\\z`)", "(`(?s)(?:` + strings.Join(alternatives, \"|\") + `)`)"},
		}},
		{"router TestAllow", "patterns are expressions", []edit{
			{"router/allow.go", "parts[j] = regexp.QuoteMeta(parts[j])", "_ = parts[j]"},
		}},
		{"router TestAllow", "without patterns everything is allowed", []edit{
			{"router/allow.go", "\tif a == nil {\n\t\treturn false", "\tif a == nil {\n\t\treturn true"},
		}},
	}},
	{"A filter sets no `CC`, `BCC` or `x-router-` header", []defence{
		{"wasmhost TestLyingDeltas", "a filter sets CC", []edit{
			{"wasmhost/delta.go", "case string(name) == \"CC\" || string(name) == \"BCC\",\n\t\tlen", "case len"},
		}},
		{"wasmhost TestLyingDeltas", "a filter sets x-router- headers", []edit{
			{"wasmhost/delta.go", "string(name) == \"BCC\",\n\t\tlen(name) >= 9 && strings.EqualFold(string(name[:9]), \"x-router-\"):", "string(name) == \"BCC\":"},
		}},
		{"wasmhost TestLyingDeltas", "a filter sets the properties that only are shown", []edit{
			{"wasmhost/delta.go", "case s < frameProps:", "case false:"},
		}},
		{"amqp TestAForeignUserIDIsLeftOut", "a user id is sent on", []edit{
			{"amqp/convert.go", "if env.UserID == user {", "if true {"},
		}},
	}},
	{"A filter fails its own messages alone", []defence{
		{"e2e/matrix TestF28HostileFilters", "a trap is the router's", []edit{
			{"wasmhost/instance.go", "\tcase fail.poisons():\n", "\tcase fail.poisons():\n\t\tpanic(fail)\n"},
		}},
		{"wasmhost TestInstancesDoNotShareState", "lanes share a guest", []edit{
			{"wasmhost/filter.go", "\tif g != nil {\n\t\tin.adopt(g)", "\tif everybodys == nil {\n\t\teverybodys = g\n\t}\n\tif g != nil {\n\t\tin.adopt(everybodys)"},
			{"wasmhost/filter.go", "// leave takes a closed lane off the books.", "var everybodys *guest\n\n// leave takes a closed lane off the books."},
		}},
		{"wasmhost TestAFilterThatAlwaysTraps", "a filter that keeps failing does not rest", []edit{
			{"wasmhost/gate.go", "\tif g.level > g.free {\n\t\tg.failing = true\n", "\tif false {\n\t\tg.failing = true\n"},
		}},
	}},
	{"A filter logs bounded lines at a bounded rate", []defence{
		{"wasmhost TestLogLimits", "lines are as long as the filter wants", []edit{
			{"wasmhost/log.go", "cutText(string(text[:min(len(text), maxLogLine+1)]), maxLogLine)", "cutText(string(text), len(text))"},
		}},
		{"wasmhost TestLogLimits", "a call logs any number of lines", []edit{
			{"wasmhost/log.go", "if g.logged >= g.filter.limits.LogLines || !l", "if !l"},
		}},
		{"wasmhost TestLogRate", "a filter logs at any rate", []edit{
			{"wasmhost/log.go", "rate.Limit(perSecond), logBurst", "rate.Inf, logBurst"},
		}},
	}},
	{"The bytes that are hashed are those that are compiled", []defence{
		{"wasmhost TestLoadRefuses", "the sum is not compared", []edit{
			{"wasmhost/load.go", "if !strings.EqualFold(want, have) {", "if false {"},
		}},
		{"app TestReloadKeepsWhatRunsAfterAnError", "a reload does not compare sums", []edit{
			{"wasmhost/load.go", "if !strings.EqualFold(want, have) {", "if false {"},
		}},
		{"app TestReloadKeepsWhatRunsAfterAnError", "what cannot be loaded is taken for nothing", []edit{
			{"app/reload.go", "\tnext, broker, err := a.build(ctx, cfg, \"\")\n\tif err != nil {\n\t\treturn nil, nil, err\n\t}", "\tnext, broker, err := a.build(ctx, cfg, \"\")\n\tif err != nil {\n\t\treturn a.table.Load(), a.broker.Load(), nil\n\t}"},
		}},
	}},
	{"With `process.signers` a module without a signature", []defence{
		{"config TestOnlySignedFiltersAreRead", "any signature will do", []edit{
			{"config/signature.go", "err == nil && ed25519.Verify(key, module, data) {", "err == nil && len(key) > 0 {"},
		}},
		{"config TestOnlySignedFiltersAreRead", "a module without a signature is not asked for one", []edit{
			{"config/signature.go", "\tif err != nil {\n\t\treturn c.Errorf(at, hint, \"process.signers", "\tif errors.Is(err, os.ErrNotExist) {\n\t\treturn nil\n\t}\n\tif err != nil {\n\t\treturn c.Errorf(at, hint, \"process.signers"},
			{"config/signature.go", "\t\"errors\"\n", "\t\"errors\"\n\t\"os\"\n"},
		}},
		{"config TestOnlyASignedShadowIsRead", "a new version needs no signature", []edit{
			{"config/path.go", "\tif err := c.verify(at, f.Path, data); err != nil {", "\tif err := c.verify(at, f.Path, data); err != nil && at[len(at)-2] != \"shadow\" {"},
		}},
		{"config TestKeysOfSignersAreChecked", "keys are not looked at", []edit{
			{"config/signature.go", "if _, err := signer(text); err != nil {", "if _, err := signer(text); err != nil && false {"},
		}},
		{"config TestKeysOfSignersAreChecked", "an empty list asks for nothing", []edit{
			{"config/signature.go", "written && len(c.Process.Signers) == 0 {", "written && false {"},
		}},
		{"config TestASignatureLiesBesideItsModule", "a signature may lie elsewhere", []edit{
			{"config/signature.go", "readFile(c.open(file))(", "readFile(openFile(c.Dir() + \"/\" + file))("},
		}},
	}},
	{"With `process.require_pins`", []defence{
		{"config TestBadFilesAreReportedAsInTheirGoldenFiles", "a filter needs no pin", []edit{
			{"config/check.go", "if p.RequirePins && f.SHA256 == \"\" &&", "if false &&"},
		}},
	}},
	{"The cache of machine code is the user's alone", []defence{
		{"wasmhost/compile TestDirectoryThatOthersCanWriteIsRefused", "others may write the directory", []edit{
			{"wasmhost/compile/private.go", "case stat.Mode().Perm()&0o022 != 0:", "case false:"},
		}},
		{"wasmhost/compile TestDirectoryThatOthersCanWriteIsRefused", "the directory may be another's", []edit{
			{"wasmhost/compile/private_unix.go", "if int(sys.Uid) != os.Getuid() {", "if false {"},
		}},
		{"wasmhost/compile TestDirectoryThatOthersCanWriteIsRefused", "the directory may be a link", []edit{
			{"wasmhost/compile/private.go", "case stat.Mode()&os.ModeSymlink != 0:", "case false:"},
		}},
		{"wasmhost/compile TestDirectoryThatOthersCanWriteIsRefused", "others may replace the directory", []edit{
			{"wasmhost/compile/private.go", "if stat.Mode().Perm()&0o002 != 0 && stat.Mode()&os.ModeSticky == 0 {", "if false {"},
		}},
		{"wasmhost/compile TestDamage", "damaged code is run", []edit{
			{"wasmhost/compile/directory.go", "\tif want != have {", "\tif want == \"\" && have == \"\" {"},
		}},
	}},
}
