package chromium

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Page is one tab. Its methods fail the test when the page cannot do what they ask.
type Page struct {
	t       testing.TB
	pipe    *pipe
	session string
	context string // of storage and downloads

	mu       sync.Mutex
	problems []string
}

// NewPage opens an empty page with a storage of its own.
func (b *Browser) NewPage(t testing.TB) *Page {
	t.Helper()
	p := &Page{t: t, pipe: b.pipe}
	var context struct {
		BrowserContextID string `json:"browserContextId"`
	}
	p.call("Target.createBrowserContext", nil, &context)
	var target struct {
		TargetID string `json:"targetId"`
	}
	p.call("Target.createTarget", args{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	p.call("Target.attachToTarget", args{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session, p.context = attached.SessionID, context.BrowserContextID
	b.pipe.mu.Lock()
	b.pipe.events[p.session] = p.event
	b.pipe.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime", "Log", "Accessibility", "Audits"} {
		p.call(domain+".enable", nil, nil)
	}
	// Each page behaves as if it were the one in front.
	p.call("Emulation.setFocusEmulationEnabled", args{"enabled": true}, nil)
	p.Screen(1280, 800, false)
	return p
}

type args map[string]any

func (p *Page) call(method string, params, result any) {
	p.t.Helper()
	if err := p.try(method, params, result); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Page) try(method string, params, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return p.pipe.call(ctx, p.session, method, params, result)
}

// event notes what a page that is well has none of.
func (p *Page) event(method string, params json.RawMessage) {
	var what string
	switch method {
	case "Runtime.exceptionThrown":
		what = string(params)
	case "Runtime.consoleAPICalled":
		var call struct {
			Type string `json:"type"`
		}
		if _ = json.Unmarshal(params, &call); call.Type == "error" || call.Type == "warning" || call.Type == "assert" {
			what = string(params)
		}
	case "Log.entryAdded":
		var log struct {
			Entry struct{ Level, Text, URL string } `json:"entry"`
		}
		if _ = json.Unmarshal(params, &log); log.Entry.Level == "error" || log.Entry.Level == "warning" {
			what = log.Entry.Text + " " + log.Entry.URL
		}
	case "Audits.issueAdded":
		var issue struct {
			Issue struct {
				Code string `json:"code"`
			} `json:"issue"`
		}
		if _ = json.Unmarshal(params, &issue); issue.Issue.Code == "ContentSecurityPolicyIssue" {
			what = string(params)
		}
	}
	if what != "" {
		p.mu.Lock()
		p.problems = append(p.problems, what)
		p.mu.Unlock()
	}
}

// Problems returns what the page has complained about since it was last asked:
// exceptions, errors and warnings on its console, and what its policy refused.
func (p *Page) Problems() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.problems
	p.problems = nil
	return all
}

// Screen sets the size of the page in pixels and which theme its reader prefers.
func (p *Page) Screen(width, height int, dark bool) {
	p.t.Helper()
	p.call("Emulation.setDeviceMetricsOverride", args{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	theme := "light"
	if dark {
		theme = "dark"
	}
	p.call("Emulation.setEmulatedMedia", args{"features": []args{
		{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}, // nothing to wait for
	}}, nil)
}

// Downloads has files that the page saves go into a directory.
func (p *Page) Downloads(dir string) {
	p.t.Helper()
	p.call("Browser.setDownloadBehavior", args{"behavior": "allow", "downloadPath": dir, "browserContextId": p.context}, nil)
}

// Before has a script run in each page that is opened from now on, before its own.
func (p *Page) Before(script string) {
	p.t.Helper()
	p.call("Page.addScriptToEvaluateOnNewDocument", args{"source": script}, nil)
}

// Node is an element as assistive technology sees it.
type Node struct {
	Role, Name string
	Focusable  bool
}

// Nodes returns the page as assistive technology sees it.
func (p *Page) Nodes() []Node {
	p.t.Helper()
	type value struct {
		Value any `json:"value"`
	}
	var tree struct {
		Nodes []struct {
			Ignored    bool `json:"ignored"`
			Role, Name value
			Properties []struct {
				Name  string `json:"name"`
				Value value  `json:"value"`
			} `json:"properties"`
		} `json:"nodes"`
	}
	p.call("Accessibility.getFullAXTree", nil, &tree)
	var nodes []Node
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		node := Node{}
		node.Role, _ = n.Role.Value.(string)
		node.Name, _ = n.Name.Value.(string)
		for _, prop := range n.Properties {
			node.Focusable = node.Focusable || prop.Name == "focusable" && prop.Value.Value == true
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// Open goes to an address. What the page then loads is waited for with Wait.
func (p *Page) Open(url string) {
	p.t.Helper()
	p.call("Page.navigate", args{"url": url}, nil)
}

// Eval evaluates JavaScript, waits if it is a promise, and stores what comes of it in
// result, unless that is nil.
func (p *Page) Eval(script string, result any) {
	p.t.Helper()
	if err := p.eval(script, result); err != nil {
		p.t.Fatalf("%v, of: %s", err, script)
	}
}

func (p *Page) eval(script string, result any) error {
	var answer struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		ExceptionDetails *struct {
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
			Text string `json:"text"`
		} `json:"exceptionDetails"`
	}
	if err := p.try("Runtime.evaluate", args{"expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &answer); err != nil {
		return err
	}
	if e := answer.ExceptionDetails; e != nil {
		return fmt.Errorf("%s %s", e.Text, e.Exception.Description)
	}
	if result == nil || answer.Result.Value == nil {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// Wait waits until an expression holds. It may fail meanwhile, as while the page loads.
func (p *Page) Wait(condition string) {
	p.t.Helper()
	var holds bool
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = p.eval("Boolean("+condition+")", &holds); err == nil && holds {
			return
		}
	}
	var text string
	_ = p.eval("document.body.innerText", &text)
	p.t.Fatalf("this does not come to hold (last error: %v): %s\nthe page:\n%s", err, condition, text)
}

// Text returns what is read in the first element that matches.
func (p *Page) Text(selector string) string {
	p.t.Helper()
	var text string
	p.Eval("document.querySelector("+Quote(selector)+").innerText", &text)
	return text
}

// Quote returns a text as JavaScript has it.
func Quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Click waits for an element, brings it into view and clicks into its middle, as long
// as it is what is seen there.
func (p *Page) Click(selector string) {
	p.t.Helper()
	p.Wait("document.querySelector(" + Quote(selector) + ")")
	var at struct {
		X, Y float64
		Top  string
	}
	p.Eval(`(() => {
		const e = document.querySelector(`+Quote(selector)+`);
		e.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
		const r = e.getBoundingClientRect();
		const X = r.x + r.width / 2, Y = r.y + r.height / 2;
		const top = document.elementFromPoint(X, Y);
		return { X, Y, Top: e === top || e.contains(top) ? "" : top ? top.outerHTML.slice(0, 200) : "nothing" };
	})()`, &at)
	if at.Top != "" {
		p.t.Fatalf("%s cannot be clicked: there is %s", selector, at.Top)
	}
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		p.call("Input.dispatchMouseEvent", args{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// Type types text into what has the focus.
func (p *Page) Type(text string) {
	p.t.Helper()
	p.call("Input.insertText", args{"text": text}, nil)
}

// keys are those that tests press, with the code that pages are told.
var keys = map[string]struct {
	code int
	text string
}{
	"Tab": {9, ""}, "Enter": {13, "\r"}, "Escape": {27, ""}, " ": {32, " "}, "ArrowLeft": {37, ""}, "ArrowUp": {38, ""}, "ArrowRight": {39, ""}, "ArrowDown": {40, ""}, "Backspace": {8, ""},
}

// Press presses keys, by the names that pages know them by; "Shift+" before a name
// holds Shift.
func (p *Page) Press(names ...string) {
	p.t.Helper()
	for _, name := range names {
		key, shift := strings.CutPrefix(name, "Shift+")
		k, known := keys[key]
		if !known {
			p.t.Fatalf("no key %q", key)
		}
		press := args{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": k.code, "text": k.text}
		if shift {
			press["modifiers"] = 8
		}
		p.call("Input.dispatchKeyEvent", press, nil)
		press["type"] = "keyUp"
		delete(press, "text")
		p.call("Input.dispatchKeyEvent", press, nil)
	}
}

// TabTo presses Tab until the element has the focus, at most 200 times.
func (p *Page) TabTo(selector string) {
	p.t.Helper()
	for range 200 {
		var here bool
		if p.Eval("Boolean(document.activeElement?.matches("+Quote(selector)+"))", &here); here {
			return
		}
		p.Press("Tab")
	}
	p.t.Fatalf("the Tab key does not get to %s", selector)
}

// Screenshot writes a picture of the page, as far as it goes down, to a PNG file.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	var shot struct {
		Data string `json:"data"`
	}
	p.call("Page.captureScreenshot", args{"format": "png", "captureBeyondViewport": true}, &shot)
	png, err := base64.StdEncoding.DecodeString(shot.Data)
	if err == nil {
		err = os.WriteFile(path, png, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}
