package main

// faults are what rows of the fault matrix (docs/GUARANTEES.md) hold that are about what
// the router does not do: grow, and die for want of descriptors. They are tried with the
// claims and not counted among them.
func faults() []claim {
	return []claim{
		{"F28: a filter that leaks", []defence{
			{"e2e/matrix TestF28Leak", "its instances are not replaced", []edit{
				{"wasmhost/instance.go", "if why == grownTooLarge || g.frame", "if g.frame"},
			}},
			{"e2e/matrix TestF28Leak", "replaced instances are kept", []edit{
				{"wasmhost/instance.go", "\t\tin.fuel = g.budget.used()\n\t\tg.farewell()\n", "\t\tin.fuel = g.budget.used()\n\t\tkept.Store(g, in)\n"},
				{"wasmhost/instance.go", "// Why an instance is replaced that did not fail.", "var kept sync.Map\n\n// Why an instance is replaced that did not fail."},
				{"wasmhost/instance.go", "\t\"context\"\n", "\t\"context\"\n\t\"sync\"\n"},
			}},
			{"e2e/matrix TestF28Leak", "each call leaves a goroutine behind", []edit{
				{"wasmhost/instance.go", "\tend := in.stat.begin(stage)\n", "\tgo func() { select {} }()\n\tend := in.stat.begin(stage)\n"},
			}},
			{"e2e/matrix TestF28Leak", "each call leaves 4 KiB behind", []edit{
				{"wasmhost/instance.go", "\tend := in.stat.begin(stage)\n", "\tkept.Store(new(int), make([]byte, 4<<10))\n\tend := in.stat.begin(stage)\n"},
				{"wasmhost/instance.go", "// Why an instance is replaced that did not fail.", "var kept sync.Map\n\n// Why an instance is replaced that did not fail."},
				{"wasmhost/instance.go", "\t\"context\"\n", "\t\"context\"\n\t\"sync\"\n"},
			}},
		}},
		{"F32: few descriptors", []defence{
			{"e2e/matrix TestF32StartWithFewDescriptors", "the end says nothing of descriptors", []edit{
				{"cmd/router/main.go", "strings.Lines(suggestion(err.Error()))", "strings.Lines(suggestion(\"it failed\"))"},
			}},
			{"e2e/matrix TestF32StartWithFewDescriptors", "a start without descriptors ends as if it were done", []edit{
				{"cmd/router/main.go", "\tif err == nil {\n\t\treturn exitOK", "\tif err == nil || strings.Contains(err.Error(), \"too many open files\") {\n\t\treturn exitOK"},
			}},
			{"e2e/matrix TestF32DescriptorsExhausted", "a connection that cannot be opened ends the router", []edit{
				{"amqp/conn.go", "\tnc, err := b.cfg.Dial(ctx, \"tcp\", e.addr)\n\tif err != nil {\n\t\treturn nil, err", "\tnc, err := b.cfg.Dial(ctx, \"tcp\", e.addr)\n\tif err != nil {\n\t\tpanic(err)"},
			}},
			{"e2e/matrix TestF32DescriptorsExhausted", "the router does not try again", []edit{
				{"amqp/supply.go", "readable(wait))\n\t\t\tsleep(ctx, wait)\n\t\t\tcontinue", "readable(wait))\n\t\t\t<-ctx.Done()\n\t\t\tcontinue"},
			}},
		}},
	}
}
