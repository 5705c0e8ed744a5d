package main

var processClaims = []claim{
	{"Filter files lie in the configuration's directory", []defence{
		{"config TestReadFilterStaysInTheDirectory", "links lead anywhere", []edit{
			{"config/path.go", "\treturn openWithin(dir, path)", "\treturn openFile(filepath.Join(dir, path))"},
		}},
		{"config TestReadFilterStaysInTheDirectory", "paths lead anywhere", []edit{
			{"config/path.go", "\tif c.Process.AllowOutsidePaths {", "\tif true {"},
			{"config/check.go", "case !p.AllowOutsidePaths && !filepath.IsLocal(f.Path):", "case !filepath.IsLocal(\".\"):"},
		}},
	}},
	{"Files are regular and of bounded size", []defence{
		{"config TestReadFilterIsBounded", "files have any size", []edit{
			{"config/interpolate.go", "if err == nil && int64(len(data)) > limit {", "if false {"},
		}},
		{"config TestSecretFilesArePlainFiles", "files are of any kind", []edit{
			{"config/interpolate.go", "if !info.Mode().IsRegular() {", "if false {"},
		}},
		{"config TestSecretFilesArePlainFiles", "a pipe holds the router up", []edit{
			{"config/interpolate.go", "os.O_RDONLY | syscall.O_NONBLOCK", "os.O_RDONLY | 0*syscall.O_NONBLOCK"},
		}},
	}},
	{"Secret and key files that every user may read", []defence{
		{"config TestSecretsThatOthersCanReadAreDoubted", "secret files may be open", []edit{
			{"config/interpolate.go", "if mode.Perm()&0o004 != 0 {", "if mode == 1 {"},
		}},
		{"config TestSecretsThatOthersCanReadAreDoubted", "a configuration with secrets may be open", []edit{
			{"config/load.go", "if err == nil && mode.Perm()&0o004 != 0 {", "if mode == 0 {"},
		}},
		{"config TestSecretsThatOthersCanReadAreDoubted", "key files may be open", []edit{
			{"config/check_broker.go", "file != \"\" && err == nil && info.Mode().Perm()&0o004 != 0 {", "false && err == nil && info != nil {"},
		}},
	}},
	{"What is interpolated is neither TOML nor interpolated again", []defence{
		{"config TestNoSecretIsEverShown", "what is interpolated is shown in errors", []edit{
			{"config/redact.go", "if r.hidden[join(path)] && v.Kind() != reflect.Bool && !v.CanInt() {", "if false {"},
		}},
		{"config FuzzExpand", "what is interpolated is interpolated again", []edit{
			{"config/interpolate.go", "\t\tb.WriteString(s[:i] + value)\n\t\ts = s[i+end+1:]", "\t\ts = s[:i] + value + s[i+end+1:]"},
		}},
		{"config TestBadFilesAreReportedAsInTheirGoldenFiles", "unknown keys are left alone", []edit{
			{"config/bind.go", "\t\t\tb.fail(at, problem{\"unknown key\", b.misplaced(key, fields)})\n", ""},
		}},
		{"config FuzzParse", "an interpolation without an end is read", []edit{
			{"config/interpolate.go", "\t\tif end < 0 {", "\t\tif false {"},
		}},
	}},
	{"A crash leaves no core", []defence{
		{"cmd/router TestACrashLeavesNoCore", "it leaves one", []edit{
			{"cmd/router/run.go", "\tnoCore()\n", "\t_ = noCore\n"},
		}},
	}},
	{"Few dependencies, each with one owner", []defence{
		{"app TestImportsFollowTheHouse", "anything imports anything", []edit{
			{"config/unit.go", "import (\n", "import (\n\t_ \"github.com/spf13/pflag\"\n"},
		}},
	}},
	{"The built-in filters are built from the sources here", []defence{
		{"filters TestModulesAreBuiltFromTheirSources", "a source is changed and nothing built", []edit{
			{"filters/stock/sampler/src/sampler.c", "(h ^ 0xff)", "(h ^ 0xfe)"},
		}},
		{"filters TestSumsAreOfTheModules", "a module is changed", []edit{
			{"filters/stock/rewrite/rewrite.wasm", "router_abi_1", "router_abi_2"},
		}},
	}},
	{"A build can be repeated", []defence{
		{"app/workbench TestBuildsAreReproducible", "paths of the machine are built in", []edit{
			{"app/workbench/compilers.go", "\"-trimpath\", ", ""},
		}},
	}},
}
