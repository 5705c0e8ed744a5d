package router

import "time"

// Stage is one step of a message's path that filters may take.
type Stage uint8

// The stages, in the order in which a message passes them.
const (
	Decode Stage = iota // wire bytes to payload
	Unpack              // context out of the payload
	Decide              // where to
	Pack                // context into the payload, once for each target
	Encode              // payload to wire bytes, once for each target
	stages
)

// NumStages is how many stages there are.
const NumStages = int(stages)

var stageNames = [NumStages]string{"decode", "unpack", "decide", "pack", "encode"}

// String returns the stage's name as written in configuration.
func (s Stage) String() string {
	if int(s) < len(stageNames) {
		return stageNames[s]
	}
	return "none"
}

// StageSet is a set of stages; bit 1<<Stage.
type StageSet uint8

// Has reports whether the set holds s.
func (set StageSet) Has(s Stage) bool { return set&(1<<s) != 0 }

// With returns the set with s added.
func (set StageSet) With(s Stage) StageSet { return set | 1<<s }

// Action is what is to become of a message. The zero action is none: a message
// that no filter decided on, and whose route names no targets, is rejected.
type Action uint8

// The actions.
const (
	Undecided Action = iota
	Forward          // send to the targets
	Drop             // acknowledge and count
	Reject           // dead-letter with the reason
	Retry            // run the route again after the delay
	Reply            // answer the caller with the envelope as it is now
)

var actionNames = [...]string{"undecided", "forward", "drop", "reject", "retry", "reply"}

// String returns the action's name as it appears in logs and metrics.
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return "none"
}

// Emission is a message that a filter made out of the one it was given.
type Emission struct {
	Envelope Envelope
	Targets  []Target
}

// Decision collects what filters decide about one message. A filter in the
// decide stage fills it; one in another stage may only reject, drop or retry.
//
// Targets that a filter sets replace those of the filters before it. Stop
// skips the filters after this one.
type Decision struct {
	Action  Action
	Targets []Target
	Emitted []Emission
	Reason  string        // of Reject and Retry; at most 256 bytes are kept
	Delay   time.Duration // of Retry; 0 is the route's own backoff
	Stop    bool

	// Emission says, to filters in the pack and encode stages, which message
	// they have: 0 is the one that was received, n the nth of Emitted.
	Emission int
}

// Reset empties the decision for the next message and keeps its memory.
func (d *Decision) Reset() {
	clear(d.Emitted)
	*d = Decision{Targets: d.Targets[:0], Emitted: d.Emitted[:0]}
}
