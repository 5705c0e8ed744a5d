package oslo

import "strings"

// Failure is an exception that a server's method ended with.
type Failure struct {
	Class     string   // name of the exception's class
	Module    string   // where the class is defined; clients map the two to a class of theirs
	Message   string   // the exception's text
	Traceback []string // lines, most with their line end
	Args      Raw      // list of the exception's arguments; nil is just the message
	Kwargs    Raw      // object of its named arguments; nil is none
}

// What a server answers when it has no such method. Clients know them by class
// and module, so both are as Python has them.
const (
	DispatcherModule = "oslo_messaging.rpc.dispatcher"
	builtinsModule   = "builtins"
	remotePostfix    = "_Remote"
)

// NoSuchMethod is the failure of a request whose method no endpoint has.
func NoSuchMethod(method string) Failure {
	return Failure{Class: "NoSuchMethod", Module: DispatcherModule, Message: "Endpoint does not support RPC method " + method}
}

// UnsupportedVersion is the failure of a request whose namespace and version
// no endpoint serves.
func UnsupportedVersion(version, method string) Failure {
	return Failure{
		Class: "UnsupportedVersion", Module: DispatcherModule,
		Message: "Endpoint does not support RPC version " + version + ". Attempted method: " + method,
	}
}

// BadArguments is the failure of a request whose arguments are of the wrong
// number, name or type.
func BadArguments(message string) Failure {
	return Failure{Class: "TypeError", Module: builtinsModule, Message: message}
}

// Encode returns the failure's JSON text, which travels as a string within the
// reply. A class that was itself received as a remote one goes under its
// original name.
func (f *Failure) Encode() Raw {
	class, module := f.Class, f.Module
	if strings.HasSuffix(class, remotePostfix) && strings.HasSuffix(module, remotePostfix) {
		class, module = strings.TrimSuffix(class, remotePostfix), strings.TrimSuffix(module, remotePostfix)
	}
	w := objectWriter{dst: append(make([]byte, 0, 256), '{')}
	w.text("class", class)
	w.text("module", module)
	w.text("message", f.Message)
	w.key("tb")
	w.dst = append(w.dst, '[')
	for i, line := range f.Traceback {
		if i > 0 {
			w.dst = append(w.dst, ", "...)
		}
		w.dst = appendQuoted(w.dst, line)
	}
	w.dst = append(w.dst, ']')
	w.key("args")
	if f.Args == nil {
		w.dst = append(appendQuoted(append(w.dst, '['), f.Message), ']')
	} else {
		w.dst = append(w.dst, f.Args...)
	}
	if f.Kwargs == nil {
		w.raw("kwargs", Raw("{}"))
	} else {
		w.raw("kwargs", f.Kwargs)
	}
	return Raw(append(w.dst, '}'))
}

// ParseFailure reads the failure member of a reply. It never fails, as the
// call has failed in any case: what is no failure text becomes the message.
func ParseFailure(failure Raw) Failure {
	text, isText := failure.Text()
	raw := failure
	if isText {
		raw = Raw(text)
	}
	o, err := ParseObject(raw)
	if err != nil {
		return Failure{Message: string(raw)}
	}
	f := Failure{Class: o.Text("class"), Module: o.Text("module"), Message: o.Text("message")}
	if f.Module == "exceptions" { // Python 2's name of builtins
		f.Module = builtinsModule
	}
	f.Args, _ = o.Get("args")
	f.Kwargs, _ = o.Get("kwargs")
	tb, _ := o.Get("tb")
	if lines, err := tb.Elements(); err == nil {
		for _, line := range lines {
			if text, ok := line.Text(); ok {
				f.Traceback = append(f.Traceback, text)
			}
		}
	}
	return f
}
