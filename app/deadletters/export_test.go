package deadletters

import "time"

// Limits sets the bounds of a walk's end and of a replay's walk, and returns what sets
// them back.
func Limits(closing, session time.Duration) (back func()) {
	c, s := closeTimeout, sessionLimit
	closeTimeout, sessionLimit = closing, session
	return func() { closeTimeout, sessionLimit = c, s }
}
