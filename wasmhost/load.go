package wasmhost

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/wasmrouter/router/router"
)

// Load checks, compiles and starts a filter: the pin, the structure, exports and
// imports, grants and stages, then one instance up to and including router_init,
// so that a filter that cannot start is known before it gets a message. Errors
// name the filter and wrap [ErrPin], [ErrModule], [ErrGrant] or [ErrClosed] where
// one of these is the cause. The caller closes the filter.
func (h *Host) Load(ctx context.Context, cfg FilterConfig) (*Filter, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, fmt.Errorf("filter %s: %w", cfg.Name, ErrClosed)
	}
	h.work.Add(1) // the code that starts here must not be freed meanwhile
	h.mu.Unlock()
	defer h.work.Done()

	f, err := h.load(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("filter %s: %w", cfg.Name, err)
	}
	return f, nil
}

func (h *Host) load(ctx context.Context, cfg FilterConfig) (*Filter, error) {
	f, err := h.prepare(ctx, cfg)
	if err != nil {
		return nil, err
	}
	canary, err := f.supply.first()
	if err != nil {
		f.program.close()
		var fail *failure
		if errors.As(err, &fail) && fail.class == ClassHost {
			return nil, fmt.Errorf("start: %w", err)
		}
		return nil, fmt.Errorf("%w: start: %w", ErrModule, err)
	}
	f.needs = canary.frame.needs

	h.mu.Lock()
	closed := h.closed
	if !closed {
		h.filters[f] = struct{}{}
	}
	h.mu.Unlock()
	f.supply.keep(canary)
	if closed {
		return nil, errors.Join(ErrClosed, f.Close(ctx))
	}
	return f, nil
}

// prepare does all of load that comes before the first instance.
func (h *Host) prepare(ctx context.Context, cfg FilterConfig) (*Filter, error) {
	limits := cfg.Limits.withDefaults()
	if err := limits.validate(); err != nil {
		return nil, err
	}
	info, m, err := inspect(cfg.Module, limits)
	// The pin comes first: what is wrong with a file that is not the right one
	// would only mislead.
	if pinErr := checkPin(cfg.SHA256, info.SHA256); pinErr != nil {
		return nil, pinErr
	}
	if err != nil {
		return nil, err
	}
	if err := checkGrants(m, cfg.Grants); err != nil {
		return nil, err
	}
	if info.Stages, err = chooseStages(info.Stages, cfg.Stages); err != nil {
		return nil, err
	}
	config, err := configEnvelope(cfg.Config)
	if err != nil {
		return nil, err
	}
	p, err := h.compile(ctx, m.Bytes, limits)
	if err != nil {
		return nil, err
	}
	logger := cmp.Or(cfg.logger, h.logger)
	f := &Filter{
		host: h, name: cfg.Name, info: info, limits: limits, grants: cfg.Grants,
		stages: info.Stages, config: config, program: p, exceptionRefs: m.ExceptionRefs,
		logger: logger.With(slog.String("component", "wasmhost"), slog.String("filter", cfg.Name)),
		logs:   newGuestLogs(logger, cfg.Name, limits.LogRate),
		lanes:  make(map[*Instance]struct{}),
		refs:   1, gone: make(chan struct{}),
	}
	f.supply = newSupply(newGate(cfg.Name, limits, f.logger), f.newGuest)
	if cfg.Grants.KV {
		f.kv = newKVCache(limits.KVSize, limits.KVTTL)
	}
	return f, nil
}

func checkPin(want, have string) error {
	if want == "" {
		return nil
	}
	if b, err := hex.DecodeString(want); err != nil || len(b) != 32 {
		return fmt.Errorf("sha256 = %q is not 64 hexadecimal digits", cutText(want, 80))
	}
	if !strings.EqualFold(want, have) {
		return fmt.Errorf("%w: the module has %s, the configuration says %s; if this is the right module, change the configuration", ErrPin, have, strings.ToLower(want))
	}
	return nil
}

// chooseStages restricts the stages a module has to those that are configured.
func chooseStages(has router.StageSet, want []string) (router.StageSet, error) {
	if len(want) == 0 {
		return has, nil
	}
	var set router.StageSet
	for _, name := range want {
		found := false
		for s := range router.NumStages {
			stage := router.Stage(s)
			if stage.String() != name {
				continue
			}
			if !has.Has(stage) {
				return 0, fmt.Errorf("stages: the module has no %s stage (it exports no %s); it has %s", name, handlerName(stage), stageList(has))
			}
			set, found = set.With(stage), true
		}
		if !found {
			return 0, fmt.Errorf("stages: %q is no stage; the stages are decode, unpack, decide, pack and encode", name)
		}
	}
	return set, nil
}

func stageList(set router.StageSet) string {
	var names []string
	for s := range router.NumStages {
		if set.Has(router.Stage(s)) {
			names = append(names, router.Stage(s).String())
		}
	}
	return strings.Join(names, ", ")
}
