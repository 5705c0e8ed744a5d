package deploy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wasmrouter/router/app"
	"github.com/wasmrouter/router/config"
	"github.com/wasmrouter/router/internal/testkit"
)

// object is what these tests read of a Kubernetes object. Other fields are not
// refused: there is no API server here to say which there are.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     pod
		}
		Egress []struct {
			Ports []struct{ Port int }
		}
	}
}

type pod struct {
	Grace           int  `yaml:"terminationGracePeriodSeconds"`
	Token           bool `yaml:"automountServiceAccountToken"`
	SecurityContext struct {
		RunAsNonRoot bool `yaml:"runAsNonRoot"`
		RunAsUser    int  `yaml:"runAsUser"`
		FSGroup      int  `yaml:"fsGroup"`
	} `yaml:"securityContext"`
	Containers []container
	Volumes    []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		Secret    struct {
			Name string `yaml:"secretName"`
			Mode int    `yaml:"defaultMode"`
		}
	}
}

type container struct {
	Args  []string
	Ports []struct {
		Name string
		Port int `yaml:"containerPort"`
	}
	SecurityContext struct {
		Escalation bool `yaml:"allowPrivilegeEscalation"`
		ReadOnly   bool `yaml:"readOnlyRootFilesystem"`
	} `yaml:"securityContext"`
	Startup   probe   `yaml:"startupProbe"`
	Liveness  probe   `yaml:"livenessProbe"`
	Readiness probe   `yaml:"readinessProbe"`
	Mounts    []mount `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet   struct{ Path, Port, Scheme string } `yaml:"httpGet"`
	Period    int                                 `yaml:"periodSeconds"`
	Threshold int                                 `yaml:"failureThreshold"`
}

type mount struct {
	Name     string
	Path     string `yaml:"mountPath"`
	ReadOnly bool   `yaml:"readOnly"`
}

const kubernetes = "kubernetes"

// kustomization is what kubectl apply -k reads first.
type kustomization struct {
	Resources          []string
	ConfigMapGenerator []struct {
		Name  string
		Files []string
	} `yaml:"configMapGenerator"`
	Images []struct{ Name string }
}

// objects returns the objects that kubectl would apply, by kind.
func objects(t *testing.T) (k kustomization, byKind map[string]object) {
	t.Helper()
	decode(t, "kustomization.yaml", &k)
	byKind = map[string]object{}
	for _, file := range k.Resources {
		var o object
		decode(t, file, &o)
		if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name != "router" {
			t.Errorf("%s: %+v", file, o)
		}
		byKind[o.Kind] = o
	}
	return k, byKind
}

// decode decodes the one document of a file.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(kubernetes, file))
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Fatalf("%s has a second document: %v", file, err)
	}
}

// pathless is the container's configuration as it is on this machine: secrets in a
// directory of the test, another broker, another port.
func pathless(t *testing.T, c container) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(kubernetes, "router.toml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := string(text)
	authority := testkit.NewAuthority(t, "authority")
	authority.Issue(t, "admin", &x509.Certificate{DNSNames: []string{"router"}})
	for name, from := range map[string]string{
		"router-amqp/password": "", "router-admin/token": "",
		"router-tls/tls.crt": authority.Cert("admin"), "router-tls/tls.key": authority.Key("admin"),
	} {
		path := "/run/secrets/" + name
		if !slices.ContainsFunc(c.Mounts, func(m mount) bool { return m.Path == filepath.Dir(path) && m.ReadOnly }) {
			t.Errorf("nothing is mounted at %s", filepath.Dir(path))
		}
		if !strings.Contains(s, path) {
			t.Errorf("the configuration does not read %s", path)
		}
		if from == "" {
			from = filepath.Join(dir, filepath.Base(path))
			if err := os.WriteFile(from, []byte(testToken), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s = strings.ReplaceAll(s, path, from)
	}
	cache := "/var/cache/router"
	if !slices.ContainsFunc(c.Mounts, func(m mount) bool { return m.Path == cache && !m.ReadOnly }) {
		t.Errorf("nothing that can be written is mounted at %s", cache)
	}
	s = strings.ReplaceAll(s, cache, filepath.Join(dir, "cache"))
	s = strings.ReplaceAll(s, "amqp://rabbitmq.rabbitmq.svc:5672/", "embedded://"+testkit.FreeAddress(t))
	s = strings.ReplaceAll(s, "allow_plaintext = true", "quorum_as_classic = true")
	s = strings.ReplaceAll(s, "0.0.0.0:9690", "0.0.0.0:0")
	path := filepath.Join(dir, "router.toml")
	if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const testToken = "a-token-of-this-test-0123456789"

func TestTheManifestsFitEachOtherAndTheRouter(t *testing.T) {
	k, all := objects(t)
	for _, kind := range []string{"ServiceAccount", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} {
		if _, ok := all[kind]; !ok {
			t.Errorf("there is no %s", kind)
		}
	}
	files, err := filepath.Glob(kubernetes + "/*.yaml")
	if err != nil || len(files) != len(k.Resources)+1 {
		t.Errorf("%d files, %d resources and the kustomization: %v", len(files), len(k.Resources), err)
	}
	d := all["Deployment"].Spec
	spec := d.Template.Spec
	labels := d.Template.Metadata.Labels
	for kind, selector := range map[string]map[string]string{
		"Deployment":          d.Selector.MatchLabels,
		"PodDisruptionBudget": all["PodDisruptionBudget"].Spec.Selector.MatchLabels,
		"NetworkPolicy":       all["NetworkPolicy"].Spec.PodSelector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s selects nothing", kind)
		}
		for key, want := range selector {
			if labels[key] != want {
				t.Errorf("%s does not select the pods", kind)
			}
		}
	}
	if len(spec.Containers) != 1 {
		t.Fatalf("%d containers", len(spec.Containers))
	}
	c := spec.Containers[0]
	cfg, warnings, err := config.Load(pathless(t, c), config.Options{})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if grace, least := time.Duration(spec.Grace)*time.Second, cfg.Process.DrainTimeout.Std()+closing; grace <= least {
		t.Errorf("terminationGracePeriodSeconds %s cuts a drain off, which may take %s", grace, least)
	}
	if got := cfg.Process.DrainTimeout; got != config.Default().Config.Process.DrainTimeout {
		t.Errorf("drain_timeout %s is not the default, which the comments name", got)
	}
	if !spec.SecurityContext.RunAsNonRoot || spec.SecurityContext.RunAsUser != 65532 || spec.SecurityContext.FSGroup != 65532 || spec.Token {
		t.Errorf("the pod: %+v", spec.SecurityContext)
	}
	if c.SecurityContext.Escalation || !c.SecurityContext.ReadOnly {
		t.Errorf("the container: %+v", c.SecurityContext)
	}
	if _, all := stages(t, "docker/Dockerfile"); !slices.Contains(all[1].lines, "USER 65532:65532") {
		t.Error("the image has another user")
	}
	if want := []string{"run", "-c", "/etc/router/router.toml"}; !slices.Equal(c.Args, want) {
		t.Errorf("the container runs %q, want %q", c.Args, want)
	}
	if len(c.Ports) != 1 || c.Ports[0].Port != 9690 {
		t.Errorf("ports %+v", c.Ports)
	}
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap.Name != "" && v.ConfigMap.Name != k.ConfigMapGenerator[0].Name {
			t.Errorf("there is no ConfigMap %s", v.ConfigMap.Name)
		}
		if v.Secret.Name != "" && v.Secret.Mode != 0o440 {
			t.Errorf("secret %s has mode %o", v.Secret.Name, v.Secret.Mode)
		}
	}
	for _, m := range c.Mounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	if ports := all["NetworkPolicy"].Spec.Egress[0].Ports; ports[0].Port != 5672 || ports[1].Port != 5671 {
		t.Errorf("the policy lets the router to %+v", ports)
	}
}

// The kubelet asks the pod's address, without a token.
func TestTheProbesAreAnswered(t *testing.T) {
	_, all := objects(t)
	c := all["Deployment"].Spec.Template.Spec.Containers[0]
	a, err := app.New(t.Context(), app.Options{ConfigPath: pathless(t, c), LogOutput: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	defer stop()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The kubelet trusts any certificate.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	ask := func(path string) int {
		resp, err := client.Get("https://" + strings.ReplaceAll(a.AdminAddr(), "[::]", "127.0.0.1") + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for what, p := range map[string]probe{"startup": c.Startup, "liveness": c.Liveness, "readiness": c.Readiness} {
		if p.HTTPGet.Port != c.Ports[0].Name || p.HTTPGet.Scheme != "HTTPS" || p.Period == 0 || p.Threshold == 0 {
			t.Errorf("%s: %+v", what, p)
		}
		testkit.Await(t, time.Minute, what, func() (bool, string) {
			code := ask(p.HTTPGet.Path)
			return code == http.StatusOK, http.StatusText(code)
		})
	}
	if c.Liveness.HTTPGet.Path == c.Readiness.HTTPGet.Path {
		t.Error("a router that is cut off from the broker would be restarted")
	}
	if code := ask("/metrics"); code != http.StatusUnauthorized {
		t.Errorf("/metrics without a token: %d", code)
	}
}
