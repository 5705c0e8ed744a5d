package pool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Config says what a pool lends and how much of it.
type Config[T any] struct {
	// New makes an item. Its ctx is the borrower's, and also ends when the
	// pool is closed. Required; called concurrently, at most Max at a time.
	New func(ctx context.Context) (T, error)
	// Reset makes a returned item fit to be lent again; an item it returns an
	// error for is closed. Nil does nothing. Called concurrently for
	// different items.
	Reset func(T) error
	// Close frees an item. Nil does nothing. Called concurrently for different
	// items, once for each, and never while a lock of the pool is held.
	Close func(T)
	// Max bounds the items made, being made, lent and idle together; at least
	// 1. An item whose Close is running no longer counts.
	Max int
	// MinIdle is how many idle items IdleTTL leaves alone; between 0 and Max.
	// The pool does not make items ahead of need.
	MinIdle int
	// IdleTTL is how long an item may lie idle; 0 is for ever.
	IdleTTL time.Duration
}

func (c *Config[T]) validate() error {
	switch {
	case c.New == nil:
		return errors.New("pool: New is nil; it makes the items and is required")
	case c.Max < 1:
		return fmt.Errorf("pool: Max is %d; it must be at least 1, or nothing can be lent", c.Max)
	case c.MinIdle < 0 || c.MinIdle > c.Max:
		return fmt.Errorf("pool: MinIdle is %d; it must lie between 0 and Max, which is %d", c.MinIdle, c.Max)
	case c.IdleTTL < 0:
		return fmt.Errorf("pool: IdleTTL is %v; it must not be negative, and 0 keeps idle items for ever", c.IdleTTL)
	}
	return nil
}
