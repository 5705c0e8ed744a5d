// Package doctest finds the code blocks of Markdown files, so that tests can
// try what the documentation shows.
package doctest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Block is one fenced code block.
type Block struct {
	File string
	Line int      // of the first line of the text, from 1
	Info []string // the words after the opening fence; the first is the language
	Text string
}

// Blocks returns the fenced code blocks of a Markdown text. A fence that is
// never closed is an error, since whatever follows it would be taken for code.
func Blocks(file, text string) ([]Block, error) {
	var blocks []Block
	var fence string
	var b Block
	for n, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(strings.TrimRight(line, "\r \t"), " >")
		switch {
		case fence != "" && strings.HasPrefix(trimmed, fence) && strings.Trim(trimmed, fence[:1]) == "":
			fence = ""
			blocks = append(blocks, b)
		case fence != "":
			b.Text += line + "\n"
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			info := strings.TrimLeft(trimmed, trimmed[:1])
			fence = trimmed[:len(trimmed)-len(info)]
			b = Block{File: file, Line: n + 2, Info: strings.Fields(info)}
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("%s:%d: the code block is not closed", file, b.Line-1)
	}
	return blocks, nil
}

// Language returns every block of the given language in the Markdown files at
// and below the paths. A path that does not exist is an error.
func Language(language string, paths ...string) ([]Block, error) {
	var found []Block
	for _, path := range paths {
		err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(file) != ".md" {
				return err
			}
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			blocks, err := Blocks(file, string(text))
			for _, b := range blocks {
				if len(b.Info) > 0 && b.Info[0] == language {
					found = append(found, b)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(found, func(a, b Block) int { return strings.Compare(a.File, b.File) })
	return found, nil
}
