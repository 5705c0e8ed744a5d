// Package junit writes results of tests as the XML that test collectors read.
package junit

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Suite is what was tested together.
type Suite struct {
	Name  string
	Cases []Case
}

// Case is one result.
type Case struct {
	Class, Name string
	File        string
	Took        time.Duration
	Failed      string // why, on one line; empty if it passed
	Text        string // more about that
}

// Write writes the suite.
func (s *Suite) Write(w io.Writer) error {
	type failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		File    string   `xml:"file,attr"`
		Time    string   `xml:"time,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	type testsuite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Time     string     `xml:"time,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	seconds := func(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
	suite := testsuite{Name: s.Name, Tests: len(s.Cases)}
	var total time.Duration
	for _, c := range s.Cases {
		total += c.Took
		tc := testcase{Class: c.Class, Name: c.Name, File: c.File, Time: seconds(c.Took)}
		if c.Failed != "" {
			suite.Failures++
			tc.Failure = &failure{Message: c.Failed, Text: c.Text}
		}
		suite.Cases = append(suite.Cases, tc)
	}
	suite.Time = seconds(total)
	text, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, strings.TrimRight(string(text), "\n"))
	return err
}
