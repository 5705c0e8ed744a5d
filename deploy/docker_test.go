package deploy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// stage is one part of a Dockerfile.
type stage struct {
	from  string
	lines []string
}

// stages joins what is continued on the next line, and drops comments.
func stages(t *testing.T, path string) (before []string, all []stage) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.ReplaceAll(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(string(text), ""), "\\\n", " ")
	for line := range strings.Lines(joined) {
		switch line = strings.Join(strings.Fields(line), " "); {
		case line == "":
		case strings.HasPrefix(line, "FROM "):
			all = append(all, stage{from: line})
		case all == nil:
			before = append(before, line)
		default:
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
		}
	}
	return before, all
}

func (s stage) has(t *testing.T, want ...string) {
	t.Helper()
	all := strings.Join(s.lines, "\n")
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("%s: there is no %q in\n%s", s.from, w, all)
		}
	}
}

func TestTheImageHoldsTheProgramAndRunsAsNobody(t *testing.T) {
	args, all := stages(t, "docker/Dockerfile")
	if len(all) != 2 {
		t.Fatalf("%d stages", len(all))
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	release := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if got := strings.Join(args, "\n"); !strings.Contains(got, "GO_IMAGE=golang:"+string(release[1])) || !strings.Contains(got, "distroless/static") || !strings.Contains(got, ":nonroot") {
		t.Errorf("the base images are not those of Go %s and distroless for nonroot:\n%s", release[1], got)
	}
	// One way to build, so that `make twice` speaks for the image, too.
	all[0].has(t, "make build", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH")
	all[1].has(t, "COPY --from=build /out/router /usr/bin/router", "USER 65532:65532",
		`ENTRYPOINT ["/usr/bin/router"]`, `CMD ["run", "-c", "/etc/router/router.toml"]`,
		"--chown=65532:65532 /out/var/cache/router /var/cache/router", "ENV XDG_CACHE_HOME=/var/cache/router", "EXPOSE 9690")
	for _, line := range all[1].lines {
		if strings.HasPrefix(line, "RUN ") || strings.HasPrefix(line, "ADD ") {
			t.Errorf("the image has no shell, and nothing from elsewhere: %s", line)
		}
	}
}
