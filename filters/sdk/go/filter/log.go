package filter

// The levels of [Log].
const (
	LevelDebug int32 = iota
	LevelInfo
	LevelWarn
	LevelError
)
