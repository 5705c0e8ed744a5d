package meter

import "fmt"

// The names this package adds to a module and therefore refuses in its input.
const (
	FuelModule   = "router_rt"     // module of the imported fuel function
	FuelFunction = "fuel"          // the fuel function, () -> ()
	FuelGlobal   = "__router_fuel" // exported mutable i64 global with the credit left

	StartFunction = "__router_start" // exported function () -> () that runs the start function, if there is one

	reservedPrefix = "__router_"
)

// Kind is the kind of an import or export, in the encoding of the binary format.
type Kind byte

// The kinds.
const (
	KindFunction Kind = iota
	KindTable
	KindMemory
	KindGlobal
	KindTag
)

// String returns the keyword of the text format.
func (k Kind) String() string {
	switch k {
	case KindFunction:
		return "func"
	case KindTable:
		return "table"
	case KindMemory:
		return "memory"
	case KindGlobal:
		return "global"
	case KindTag:
		return "tag"
	}
	return fmt.Sprintf("kind(%#x)", byte(k))
}

// ValueType is a value type in the encoding of the binary format.
type ValueType byte

// The value types.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
	ExnRef    ValueType = 0x69
)

// String returns the keyword of the text format.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	case ExnRef:
		return "exnref"
	}
	return fmt.Sprintf("type(%#x)", byte(t))
}

// Import is one import of the source module. Params and Results are set for
// functions, Params also for tags, Type for globals; they share memory and must not be changed.
type Import struct {
	Module, Name    string
	Kind            Kind
	Params, Results []ValueType
	Type            ValueType
	Mutable         bool
}

// Export is one export of the source module. Params and Results are set for
// functions, Params also for tags, Type for globals; they share memory and must not be changed.
type Export struct {
	Name            string
	Kind            Kind
	Params, Results []ValueType
	Type            ValueType
	Mutable         bool
}

// Module is a metered module and what a host wants to know about its source
// before it compiles it. The import and the exports added for metering are in
// Bytes only.
type Module struct {
	Bytes   []byte // the metered module
	Imports []Import
	Exports []Export

	HasMemory      bool   // the memory is imported if an Import of KindMemory exists
	MemoryMinPages uint32 // initial size in 64 KiB pages
	MemoryMaxPages uint32 // the declared maximum, at most Limits.MemoryPages

	Functions     int      // functions defined, imports and metering not counted
	Tables        int      // imported and defined
	TableElements int      // sum of the initial sizes
	Globals       int      // imported and defined
	Tags          int      // imported and defined
	DataSize      int      // bytes of all data segments
	CodeSize      int      // bytes of all function bodies before metering
	HasStart      bool     // it has a start function, which the host calls
	FunctionNames int      // names kept for traces
	ChargePoints  int      // charges inserted, those of bulk operations not counted
	Exceptions    bool     // it throws or catches: the fuel function is called for that too
	Features      []string // proposals beyond WebAssembly 1.0 that it uses, by name
	ExceptionRefs bool     // it keeps exceptions in values, of type exnref
}
