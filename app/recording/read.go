package recording

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wasmrouter/router/app/record"
)

// each calls do with every record of the files, in turn, numbered from 1 across
// all of them, until it returns an error. A file that is torn is read up to there;
// torn then says where.
func each(paths []string, do func(n int, r *record.Record) error) (torn []string, err error) {
	n := 0
	for _, path := range paths {
		broken, err := one(path, &n, do)
		if err != nil {
			return torn, err
		}
		if broken != "" {
			torn = append(torn, broken)
		}
	}
	return torn, nil
}

func one(path string, n *int, do func(int, *record.Record) error) (torn string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	in := record.NewReader(f)
	for {
		r, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return "", nil
		case errors.Is(err, record.ErrTorn):
			return fmt.Sprintf("%s: %v", path, err), nil
		case err != nil:
			return "", fmt.Errorf("%s: %w", path, err)
		}
		*n++
		if err := do(*n, r); err != nil {
			return "", err
		}
	}
}
