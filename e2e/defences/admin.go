package main

var adminClaims = []claim{
	{"Loopback unless there is a token", []defence{
		{"admin TestAnAddressThatOthersCanReachNeedsAToken", "anybody may be let in", []edit{
			{"admin/server.go", "\tif !here && !s.cfg.guarded() {", "\tif false {"},
			{"admin/server.go", "\thost, err := cfg.validate()\n\tif err != nil {", "\thost, err := cfg.validate()\n\tif err != nil && !errors.Is(err, ErrInsecure) {"},
		}},
		{"admin TestAnAddressThatOthersCanReachNeedsAToken", "it is not told", []edit{
			{"admin/server.go", "\tif !here {\n\t\ts.cfg", "\tif false {\n\t\ts.cfg"},
		}},
	}},
	{"Without the token nothing is told but health", []defence{
		{"admin TestATokenIsAskedForBeforeAnythingIsTold", "the token is not asked for", []edit{
			{"admin/guard.go", "case g.asks && !known && r", "case false && r"},
		}},
		{"admin TestATokenIsAskedForBeforeAnythingIsTold", "any token will do", []edit{
			{"admin/guard.go", "return subtle.ConstantTimeCompare(sum[:], g.token[:]) == 1", "return subtle.ConstantTimeCompare(sum[:], g.token[:]) >= 0"},
		}},
		{"admin TestTheConsoleIsForEverybodyAndSaysNothing", "whatever can be read is the console's", []edit{
			{"admin/guard.go", "static := r.URL.Path == \"/\" ||", "static := r.Method == http.MethodGet ||"},
		}},
		{"admin TestReasonsAreToldToWhoHasTheToken", "reasons are told to everybody", []edit{
			{"admin/handlers.go", "if s.door.asks && !s.door.hasToken(r) {", "if false {"},
		}},
	}},
	{"With `client_ca_file` callers show a certificate", []defence{
		{"admin TestCallersShowACertificate", "callers need show none", []edit{
			{"admin/conns.go", "tls.RequireAndVerifyClientCert", "tls.RequestClientCert"},
		}},
		{"admin TestCallersShowACertificate", "any certificate will do", []edit{
			{"admin/conns.go", "tls.RequireAndVerifyClientCert", "tls.RequireAnyClientCert"},
		}},
		{"admin TestTheCertificateIsRenewed", "the listener shows what it began with", []edit{
			{"admin/conns.go", "\t\t\tpair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)\n\t\t\treturn &pair, err\n", "\t\t\treturn &pair, nil\n"},
			{"admin/conns.go", "\tif _, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile); err != nil {", "\tpair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)\n\tif err != nil {"},
		}},
	}},
	{"Web pages reach nothing", []defence{
		{"admin TestOnlyOwnHostNamesAreAnswered", "any name is answered", []edit{
			{"admin/guard.go", "case !known && r.TLS == nil && !g.knowsHost(r.Host):", "case false:"},
		}},
		{"admin TestWebPagesCannotReload", "pages of others may change something", []edit{
			{"admin/guard.go", "return ownOrigin.Check(r) != nil", "return false"},
		}},
		{"admin TestWebPagesCannotReload", "pages of others may fetch something", []edit{
			{"admin/guard.go", "return site == \"cross-site\" || site == \"same-site\"", "return site == \"never\""},
		}},
	}},
	{"What is in messages, and in what words filters refuse them", []defence{
		{"app TestDecisionsOfMessages", "decisions show messages", []edit{
			{"app/decisions.go", "if s.all.bodies.Load() {", "if true {"},
			{"app/decisions.go", "if !s.all.bodies.Load() {", "if false {"},
		}},
		{"app TestDecisionsOfMessages", "decisions are told in a filter's words", []edit{
			{"app/decisions.go", "loss.Quotes() {", "loss.Quotes() && false {"},
		}},
		{"app TestDeadLettersHideWhatIsInMessages", "lists of dead letters show messages", []edit{
			{"app/deadletters_api.go", "\t\tif !cfg.Admin.Bodies {\n\t\t\tsum", "\t\tif cfg == nil {\n\t\t\tsum"},
		}},
		{"app TestDeadLettersHideWhatIsInMessages", "a dead letter shows its message", []edit{
			{"app/deadletters_api.go", "\t\tif !cfg.Admin.Bodies {\n\t\t\td", "\t\tif cfg == nil {\n\t\t\td"},
		}},
		{"app TestDeadLettersHideWhatIsInMessages", "a dead letter's body can be asked for", []edit{
			{"app/deadletters_api.go", "case form != \"\" && !cfg.Admin.Bodies:", "case false:"},
		}},
		{"router TestWordsOfFiltersAreLeftOut", "the log is told in a filter's words", []edit{
			{"router/deadletter.go", "loss.Quotes() {", "loss.Quotes() && false {"},
		}},
		{"router TestWordsOfFiltersAreLeftOut", "errors are told in a filter's words", []edit{
			{"router/ports.go", "ok && quotes(fe.Class) {", "ok && false {"},
		}},
		{"app TestWhereDifferencesAreShown", "differences show messages", []edit{
			{"app/trial.go", "f.next.trial.Differences(t.cfg.Admin.Bodies)", "f.next.trial.Differences(true)"},
		}},
		{"app/shadow TestHiddenDifferencesHoldNoContent", "values stay", []edit{
			{"app/shadow/compare.go", "p.oldSize != \"\" {", "false {"},
		}},
		{"app/shadow TestHiddenDifferencesHoldNoContent", "bodies stay", []edit{
			{"app/shadow/compare.go", "\td.Body = \"\"\n", ""},
		}},
	}},
	{"Slow, many and large requests are bounded", []defence{
		{"admin TestSlowClientsAreCut", "clients take their time", []edit{
			{"admin/server.go", "\t\tReadHeaderTimeout: headerTimeout,\n\t\tReadTimeout:       readTimeout,\n", "\t\tReadHeaderTimeout: 200 * headerTimeout,\n\t\tReadTimeout:       200 * readTimeout,\n"},
		}},
		{"admin TestManyClientsAreTooMany", "clients are as many as they like", []edit{
			{"admin/conns.go", "if s.conns.Add(1) > maxConns {", "if s.conns.Add(1) > 2*maxConns {"},
		}},
		{"admin TestHugeHeadersAreRefused", "headers are as large as they like", []edit{
			{"admin/server.go", "maxHeaderBytes = 16 << 10", "maxHeaderBytes = 16 << 20"},
		}},
	}},
}
