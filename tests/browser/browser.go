// Package browser drives Chromium in tests, as a person does who has switched JavaScript
// off. It speaks the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)
// over pipes, so that no port is open.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// patience bounds each step, so that a browser that hangs fails its test and no other.
const patience = time.Minute

// Tab is a tab of a browser of its own.
type Tab struct {
	t       *testing.T
	pipe    *os.File
	session string
	ended   chan struct{} // closed once the browser writes no more
	output  *bytes.Buffer

	mu       sync.Mutex
	next     int
	waiting  map[int]chan message
	loaded   chan struct{} // one for each page that has loaded
	requests []string
	entries  []string
}

type message struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
	SessionID string `json:"sessionId,omitempty"`
}

// Open starts a browser as wide as a phone, with JavaScript off, whose pages are asked for
// in the languages of an Accept-Language. Without Chromium the test is skipped; in CI that
// is an error.
func Open(t *testing.T, languages string) *Tab {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("Chromium is not installed: sudo apt-get install chromium")
	}
	toBrowser, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirs, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	// Its sandbox does not start for root. Only our own pages are opened.
	cmd := exec.CommandContext(ctx, program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	tab := &Tab{t: t, pipe: ours, ended: make(chan struct{}), output: &bytes.Buffer{}, waiting: map[int]chan message{}, loaded: make(chan struct{}, 100)}
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser}
	cmd.Stdout, cmd.Stderr = tab.output, tab.output
	cmd.WaitDelay = 10 * time.Second // its helpers inherit the output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toBrowser.Close()
	fromBrowser.Close()
	go tab.read(theirs)
	t.Cleanup(func() {
		// Closed in order, so that no helper of it writes into the folder that goes.
		if err := tab.send(1<<30, "", "Browser.close", nil); err != nil {
			stop()
		}
		ours.Close()
		select {
		case <-tab.ended:
		case <-time.After(patience):
			stop()
		}
		if err := cmd.Wait(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
			t.Logf("the browser ended with %v", err)
		}
		stop()
		theirs.Close()
	})

	var target struct{ TargetID, SessionID string }
	tab.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	tab.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &target)
	tab.session = target.SessionID
	for _, domain := range []string{"Page", "Network", "Log", "DOM", "CSS"} {
		tab.call(domain+".enable", nil, nil)
	}
	tab.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	tab.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": true}, nil)
	tab.call("Network.setExtraHTTPHeaders", map[string]any{"headers": map[string]string{"Accept-Language": languages}}, nil)
	return tab
}

// read receives what the browser sends: messages that end with a NUL.
func (tab *Tab) read(from *os.File) {
	defer close(tab.ended)
	in := bufio.NewReader(from)
	for {
		text, err := in.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		tab.receive(m)
	}
}

func (tab *Tab) receive(m message) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	var p struct {
		Request struct{ Method, URL string }
		Entry   struct{ Source, Text string }
	}
	_ = json.Unmarshal(m.Params, &p) // other events have other fields
	switch m.Method {
	case "Page.loadEventFired":
		tab.loaded <- struct{}{}
	case "Network.requestWillBeSent":
		tab.requests = append(tab.requests, p.Request.Method+" "+p.Request.URL)
	case "Log.entryAdded":
		tab.entries = append(tab.entries, p.Entry.Source+": "+p.Entry.Text)
	case "":
		if answer, ok := tab.waiting[m.ID]; ok {
			delete(tab.waiting, m.ID)
			answer <- m
		}
	}
}

func (tab *Tab) send(id int, session, method string, params any) error {
	if params == nil {
		params = struct{}{}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return err
	}
	text, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: raw})
	if err != nil {
		return err
	}
	_, err = tab.pipe.Write(append(text, 0))
	return err
}

// call asks the browser for something and decodes the result.
func (tab *Tab) call(method string, params, result any) {
	tab.t.Helper()
	answer := make(chan message, 1)
	tab.mu.Lock()
	tab.next++
	id := tab.next
	tab.waiting[id] = answer
	tab.mu.Unlock()
	if err := tab.send(id, tab.session, method, params); err != nil {
		tab.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			tab.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				tab.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-tab.ended:
		tab.t.Fatalf("%s: the browser has ended: %s", method, tab.output)
	case <-time.After(patience):
		tab.t.Fatalf("%s: no answer within a minute", method)
	}
}

// Go opens an address and waits until the page has loaded.
func (tab *Tab) Go(url string) {
	tab.t.Helper()
	var out struct{ ErrorText string }
	tab.call("Page.navigate", map[string]any{"url": url}, &out)
	if out.ErrorText != "" {
		tab.t.Fatalf("%s: %s", url, out.ErrorText)
	}
	tab.load()
}

func (tab *Tab) load() {
	tab.t.Helper()
	select {
	case <-tab.loaded:
	case <-tab.ended:
		tab.t.Fatalf("the browser has ended: %s", tab.output)
	case <-time.After(patience):
		tab.t.Fatal("no page loads within a minute")
	}
}

// find returns the node that a CSS selector finds.
func (tab *Tab) find(selector string) (node int) {
	tab.t.Helper()
	var doc struct{ Root struct{ NodeID int } }
	tab.call("DOM.getDocument", map[string]any{"depth": 0}, &doc)
	var found struct{ NodeID int }
	tab.call("DOM.querySelector", map[string]any{"nodeId": doc.Root.NodeID, "selector": selector}, &found)
	if found.NodeID == 0 {
		tab.t.Fatalf("the page has no %s: %s", selector, tab.source())
	}
	return found.NodeID
}

// Type types a text into the element.
func (tab *Tab) Type(selector, text string) {
	tab.t.Helper()
	tab.call("DOM.focus", map[string]any{"nodeId": tab.find(selector)}, nil)
	tab.call("Input.insertText", map[string]any{"text": text}, nil)
}

// Click clicks the middle of the element.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	node := tab.find(selector)
	tab.call("DOM.scrollIntoViewIfNeeded", map[string]any{"nodeId": node}, nil)
	var at struct{ Quads [][]float64 }
	tab.call("DOM.getContentQuads", map[string]any{"nodeId": node}, &at)
	if len(at.Quads) == 0 {
		tab.t.Fatalf("%s is not visible: %s", selector, tab.source())
	}
	q := at.Quads[0]
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		tab.call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": (q[0] + q[4]) / 2, "y": (q[1] + q[5]) / 2, "button": "left", "clickCount": 1}, nil)
	}
}

// Submit clicks the element and waits until the page that it leads to has loaded.
func (tab *Tab) Submit(selector string) {
	tab.t.Helper()
	tab.Click(selector)
	tab.load()
}

// Style returns a computed property of the element.
func (tab *Tab) Style(selector, property string) string {
	tab.t.Helper()
	var out struct {
		ComputedStyle []struct{ Name, Value string }
	}
	tab.call("CSS.getComputedStyleForNode", map[string]any{"nodeId": tab.find(selector)}, &out)
	for _, p := range out.ComputedStyle {
		if p.Name == property {
			return p.Value
		}
	}
	return ""
}

// Width returns how wide the content of the page is, in CSS pixels.
func (tab *Tab) Width() float64 {
	tab.t.Helper()
	var out struct{ CSSContentSize struct{ Width float64 } }
	tab.call("Page.getLayoutMetrics", nil, &out)
	return out.CSSContentSize.Width
}

func (tab *Tab) source() string {
	tab.t.Helper()
	var doc struct{ Root struct{ NodeID int } }
	tab.call("DOM.getDocument", map[string]any{"depth": 0}, &doc)
	var out struct{ OuterHTML string }
	tab.call("DOM.getOuterHTML", map[string]any{"nodeId": doc.Root.NodeID}, &out)
	return out.OuterHTML
}

// Text returns the title of the page, and all that can be read on it.
func (tab *Tab) Text() (title, text string) {
	tab.t.Helper()
	doc, err := html.Parse(strings.NewReader(tab.source()))
	if err != nil {
		tab.t.Fatal(err)
	}
	var b strings.Builder
	for n := range doc.Descendants() {
		switch {
		case n.Type != html.TextNode || n.Parent.Data == "style":
		case n.Parent.Data == "title":
			title = n.Data
		default:
			fmt.Fprintln(&b, strings.TrimSpace(n.Data))
		}
	}
	return title, b.String()
}

// Requests returns all that the browser has asked for, as "METHOD URL".
func (tab *Tab) Requests() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.requests
}

// Complaints returns what the browser has to say about the pages, such as violations of
// their policy.
func (tab *Tab) Complaints() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return tab.entries
}
