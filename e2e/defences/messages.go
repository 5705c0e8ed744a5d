package main

var messageClaims = []claim{
	{"Bodies beyond `max_message` become dead letters unread", []defence{
		{"router TestDeadLetters", "bodies may have any size", []edit{
			{"router/process.go", "n > cfg.MaxMessage {", "n > cfg.MaxMessage && false {"},
		}},
		{"amqp TestLargeMessagesComeOneAtATime", "large messages come as many at a time as others", []edit{
			{"amqp/listen.go", "return l.source.MaxBody > 0 && len(d.Body) > l.source.MaxBody", "return false"},
		}},
	}},
	{"Headers that the client library cannot decode", []defence{
		{"amqp TestAnUndecodableMessageEndsUpAlone", "what comes with an undecodable message is lost with it each time", []edit{
			{"amqp/listen.go", "\tl.noteUndecodable(err)\n", ""},
		}},
	}},
	{"What the broker would close a channel on", []defence{
		{"amqp TestUnsendableMessagesCostNothing", "names may be anything", []edit{
			{"amqp/check.go", "\tif err := target.Validate(); err != nil {\n\t\treturn unsendable(\"%w\", err)\n\t}\n", ""},
		}},
		{"amqp TestUnsendableMessagesCostNothing", "an expiration may be anything", []edit{
			{"amqp/check.go", "if env.Expiration != \"\" && !decimal(env.Expiration) {", "if false {"},
		}},
		{"amqp TestUnsendableMessagesCostNothing", "tables nest at any depth", []edit{
			{"amqp/check.go", "\tif depth > maxDepth {", "\tif false {"},
		}},
		{"amqp TestTheLargestHeadersPassAndOneByteMoreDoesNot", "headers are as large as they like", []edit{
			{"amqp/check.go", "size > frameMax-8 {", "size > frameMax+8 {"},
		}},
	}},
	{"`CC` and `BCC` reach no further queues", []defence{
		{"router TestOnlyAllowedCCPasses", "CC stays", []edit{
			{"router/process.go", "\t\tf.env.DelHeader(\"CC\")\n", ""},
		}},
		{"router TestOnlyAllowedCCPasses", "BCC stays", []edit{
			{"router/process.go", "\t\tf.env.DelHeader(\"BCC\")\n", ""},
		}},
	}},
	{"`x-router-` headers of a sender are taken off", []defence{
		{"router TestForgedRouterHeadersDoNotComeIn", "they stay", []edit{
			{"router/deadletter.go", "strings.EqualFold(name[:len(HeaderPrefix)], HeaderPrefix) {", "false {"},
		}},
		{"router TestForgedRouterHeadersDoNotComeIn", "they stay in capitals", []edit{
			{"router/deadletter.go", "strings.EqualFold(name[:len(HeaderPrefix)], HeaderPrefix) {", "strings.HasPrefix(name, HeaderPrefix) {"},
		}},
	}},
	{"Replies go to queues named like reply queues", []defence{
		{"router TestAllow", "replies go to any queue", []edit{
			{"router/allow.go", "return a.Permits(Target{Kind: TargetQueue, Queue: queue})", "return true"},
		}},
		{"app TestRepliesOfOsloRoutesGoToNoQueueOfTheConfiguration", "replies go to the configuration's own queues", []edit{
			{"app/oslo.go", "return !found && !strings", "return (found || !found) && !strings"},
		}},
		{"oslo/osloroute TestNobodyElseIsTold", "failures go to any queue", []edit{
			{"oslo/osloroute/requests.go", "\tif !c.Permits(to.queue) {", "\tif false {"},
		}},
		{"oslo/osloroute TestRepliesGoToTheirCallersAlone", "a reply goes where a filter sends it", []edit{
			{"oslo/osloroute/replies.go", "if d.Emission > 0 || len(d.Targets) != 1 || d.Targets[0] != to {", "if to.Queue == \"\" {"},
		}},
	}},
	{"Nesting of JSON is bounded, decompression too", []defence{
		{"oslo TestTheScannerTakesWhatPythonTakes", "objects nest at any depth", []edit{
			{"oslo/scan.go", "func scanObject(s []byte, i, depth int, found func(key, keyEnd, value, valueEnd int)) (int, error) {\n\tif depth >= MaxDepth {", "func scanObject(s []byte, i, depth int, found func(key, keyEnd, value, valueEnd int)) (int, error) {\n\tif false {"},
		}},
		{"oslo TestTheScannerTakesWhatPythonTakes", "arrays nest at any depth", []edit{
			{"oslo/scan.go", "func scanArray(s []byte, i, depth int, found func(value []byte)) (int, error) {\n\tif depth >= MaxDepth {", "func scanArray(s []byte, i, depth int, found func(value []byte)) (int, error) {\n\tif false {"},
		}},
		{"oslo TestDecompressionIsBounded", "a body decompresses to any size", []edit{
			{"oslo/content.go", "io.ReadAll(io.LimitReader(r, int64(limit)+1))\n\tif len(out) > limit {", "io.ReadAll(r)\n\tif false {"},
		}},
		{"rpc TestOsloBodiesAreBounded", "the limit of a body is not handed on", []edit{
			{"rpc/format_oslo.go", "limit := o.MaxBody", "limit := 2 * o.MaxBody"},
		}},
	}},
	{"Every record of the log is one line", []defence{
		{"telemetry TestNoValueReachesTheTerminalUnescaped", "what slog leaves is written", []edit{
			{"telemetry/logger.go", "\tw = escaper{w}\n", ""},
		}},
		{"router TestPrintable", "a text is not escaped", []edit{
			{"router/deadletter.go", "q := strconv.Quote(s[:min(len(s), n+utf8.UTFMax)])", "_ = strconv.Quote\n\tq := `\"` + s[:min(len(s), n+utf8.UTFMax)] + `\"`"},
		}},
		{"router TestPrintable", "a text has any length", []edit{
			{"router/deadletter.go", "\tif len(q) <= n {\n\t\treturn q\n\t}\n\tfor n > 0 && !utf8.RuneStart(q[n]) {\n\t\tn--\n\t}\n\treturn q[:n]", "\treturn q"},
		}},
		{"cmd/router TestNothingGivenOutHoldsASecret", "what slog leaves is written", []edit{
			{"telemetry/logger.go", "\tw = escaper{w}\n", ""},
		}},
	}},
	{"No value of a message is a metric's label", []defence{
		{"telemetry TestEveryMetricIsInTheGolden", "messages are counted by their key", []edit{
			{"telemetry/collector.go", "\"Messages taken from the route's queue.\", \"route\")", "\"Messages taken from the route's queue.\", \"route\", \"routing_key\")"},
			{"telemetry/collector.go", "float64(r.Received), r.Name)", "float64(r.Received), r.Name, \"\")"},
		}},
		{"wasmhost TestMetricsHaveLabels", "a filter makes any number of metrics", []edit{
			{"wasmhost/metrics.go", "if len(list) >= maxMetrics {", "if false {"},
		}},
		{"wasmhost TestHostFunctions", "a filter makes metrics of what it is sent", []edit{
			{"wasmhost/hostfuncs.go", "\tif g.starting {\n\t\tid =", "\tif true {\n\t\tid ="},
		}},
	}},
	{"Poison goes in no circles", []defence{
		{"e2e/matrix TestF19Poison", "what cannot arrive is tried again", []edit{
			{"router/lane.go", "if transient != nil && f.attempts", "if f.attempts"},
		}},
		{"router TestRetryableErrorFallsBackToThePolicy", "a filter may have a message tried for ever", []edit{
			{"router/process.go", "if fe.Retryable && l.now.attempts < l.route.cfg.Retry.MaxAttempts {", "if fe.Retryable {"},
		}},
	}},
}
