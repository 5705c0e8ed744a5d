package main

var brokerClaims = []claim{
	{"TLS 1.2 or better with chain and host name verified", []defence{
		{"amqp TestTLS", "chain and name are not verified", []edit{
			{"amqp/endpoint.go", "InsecureSkipVerify: t.InsecureSkipVerify,", "InsecureSkipVerify: true,"},
		}},
		{"amqp TestTLS", "the client's certificate is not shown", []edit{
			{"amqp/endpoint.go", "cfg.Certificates = []tls.Certificate{cert}", "_ = cert"},
		}},
		{"amqp TestTLS", "who shows a certificate logs in with a password", []edit{
			{"amqp/conn.go", "\tif b.cfg.TLS.External {", "\tif false {"},
		}},
		{"amqp TestOldTLSIsRefused", "TLS 1.0 will do", []edit{
			{"amqp/endpoint.go", "tls.VersionTLS12", "tls.VersionTLS10"},
		}},
		{"amqp TestTLSFilesAreCheckedAtOnce", "files are read when they are needed", []edit{
			{"amqp/broker.go", "if _, err := cfg.TLS.client(endpoints[0].host); err != nil {", "if _, err := cfg.TLS.client(endpoints[0].host); false {"},
		}},
	}},
	{"No password goes over `amqp://` to another machine", []defence{
		{"amqp TestPlainPasswordsStayOnTheMachine", "it goes anywhere", []edit{
			{"amqp/endpoint.go", "case !e.tls && !c.AllowPlaintext && !loopback(e.host):", "case false:"},
		}},
		{"amqp TestPlainPasswordsStayOnTheMachine", "a name that begins with localhost is this machine's", []edit{
			{"amqp/endpoint.go", "host == \"localhost\" ||", "strings.HasPrefix(host, \"localhost\") ||"},
		}},
	}},
	{"No log, error, metric, profile or page shows a secret", []defence{
		{"cmd/router TestNothingGivenOutHoldsASecret", "a table of free shape is shown as it is", []edit{
			{"config/redact.go", "if r.hidden[join(path)] || slices.ContainsFunc(path[len(path)-1:], secretName.MatchString) {", "if slices.ContainsFunc(path[:0], secretName.MatchString) {"},
		}},
		{"cmd/router TestNothingGivenOutHoldsASecret", "decisions show messages", []edit{
			{"app/decisions.go", "if s.all.bodies.Load() {", "if true {"},
			{"app/decisions.go", "if !s.all.bodies.Load() {", "if false {"},
		}},
		{"config TestNoSecretIsEverShown", "a secret prints as it is", []edit{
			{"config/secret.go", "\tif s.text == \"\" {\n\t\treturn \"\"\n\t}\n\treturn hidden", "\treturn s.text"},
		}},
		{"config TestNoSecretIsEverShown", "an address prints with its password", []edit{
			{"config/secret.go", "\t\t\tat += \":\" + hidden\n", "\t\t\tat = p.User.String()\n"},
		}},
		{"amqp TestNoErrorHoldsAPassword", "errors hold addresses", []edit{
			{"amqp/endpoint.go", "\t\tif err1 != nil || err2 != nil {\n\t\t\treturn e, errUserInfo", "\t\tif err1 != nil || err2 != nil {\n\t\t\treturn e, fmt.Errorf(\"%q\", raw)"},
		}},
		{"app TestSecretsStayInside", "a refused login is told with its password", []edit{
			{"amqp/explain.go", "text = fmt.Sprintf(\"login as", "text = e.password + fmt.Sprintf(\"login as"},
		}},
	}},
	{"Secrets come from environment or files", []defence{
		{"app TestReloadChangesTheBrokersCredentials", "a file is read once", []edit{
			{"config/interpolate.go", "\tdata, mode, err := readFile(in.open(full))(maxSecretFile)", "\tif strings.HasSuffix(read, \"\\n\") {\n\t\treturn strings.TrimSpace(read), nil\n\t}\n\tdata, mode, err := readFile(in.open(full))(maxSecretFile)\n\tread = string(data)"},
			{"config/interpolate.go", "func (in interpolation) file(", "var read string\n\nfunc (in interpolation) file("},
		}},
		{"amqp TestARefusedLoginIsExplainedWithoutThePassword", "it is told with the password", []edit{
			{"amqp/explain.go", "text = fmt.Sprintf(\"login as", "text = e.password + fmt.Sprintf(\"login as"},
		}},
		{"amqp TestARefusedLoginIsExplainedWithoutThePassword", "it is tried again at once", []edit{
			{"amqp/supply.go", "const refusedPause = 5 * time.Second", "const refusedPause = time.Nanosecond"},
		}},
	}},
	{"The permissions below are enough", []defence{
		{"cmd/router TestDocumentedPermissionsAreEnoughAndNoMore", "the router declares what it is told to find", []edit{
			{"amqp/declare.go", "\t\t\tif q.Passive {", "\t\t\tif false {"},
		}},
	}},
}
