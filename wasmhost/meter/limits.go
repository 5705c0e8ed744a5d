package meter

import (
	"fmt"
	"time"
)

// Limits bound what a module may ask of the compiler and the host. A zero field
// takes its value from [DefaultLimits]; a negative one is an error. The doc of a
// field says what the limit protects.
type Limits struct {
	ModuleSize int // bytes of the whole module
	Types      int // entries of the type section
	Params     int // parameters, and results, of one function type
	TypeValues int // parameters and results of all types: each type gets code of its own
	Imports    int // entries of the import section
	Functions  int // imported and defined functions
	Globals    int // imported and defined globals
	Tags       int // imported and defined tags of exceptions
	TagValues  int // values that one exception carries: the host may have to keep many exceptions
	Exports    int // entries of the export section
	NameLength int // bytes of one import or export name

	Tables          int // imported and defined tables
	TableElements   int // elements of all tables together, and the maximum each may grow to
	ElementSegments int // entries of the element section
	ElementItems    int // references in all element segments
	MemoryPages     int // 64 KiB pages of the memory; its declared maximum is lowered to this
	DataSegments    int // entries of the data section
	DataSize        int // bytes in all data segments

	BodySize       int // bytes of one function body
	Locals         int // parameters and locals of one function
	ControlBlocks  int // block, loop, if, try_table and catch clauses of one function, those added for metering included
	Depth          int // nesting of block, loop, if and try_table
	BrTableTargets int // targets of all br_table instructions of one function, and its catch clauses
	CarriedValues  int // parameters and results of all calls, blocks and branches of one function that have many
	LiveValues     int // locals and operands, summed over the blocks and branches of one function

	// CompileTime bounds the estimated worst compile time of the module: the sum
	// over its functions of the terms that grow faster than their size. It keeps
	// many functions, each just below the limits above, from adding up.
	CompileTime time.Duration

	// NameSection is the size in bytes up to which function names are kept. A
	// larger name section is dropped, not refused.
	NameSection int
}

// DefaultLimits returns limits that let C, Rust, AssemblyScript and Go filters of
// several megabytes pass and keep the compiler below some seconds.
func DefaultLimits() Limits {
	return Limits{
		ModuleSize: 16 << 20,
		Types:      10_000,
		Params:     1_000,
		TypeValues: 100_000,
		Imports:    1_000,
		Functions:  50_000,
		Globals:    10_000,
		Tags:       1_000,
		TagValues:  64,
		Exports:    4_096,
		NameLength: 1_024,

		Tables:          16,
		TableElements:   65_536,
		ElementSegments: 16_384,
		ElementItems:    131_072,
		MemoryPages:     256,
		DataSegments:    200_000,
		DataSize:        16 << 20,

		BodySize:       1 << 20,
		Locals:         50_000,
		ControlBlocks:  10_000,
		Depth:          5_000,
		BrTableTargets: 16_384,
		CarriedValues:  500_000,
		LiveValues:     500_000,

		CompileTime: 10 * time.Second,
		NameSection: 2 << 20,
	}
}

// Ceilings that no configuration may exceed, because arithmetic here or the
// pointer encoding of the filter ABI relies on them.
const (
	maxModuleSize    = 1 << 30
	maxMemoryPages   = 32_767
	maxTableElements = 10_000_000
)

// resolve fills the zero fields and checks the rest.
func (l Limits) resolve() (Limits, error) {
	def := DefaultLimits()
	fields := []struct {
		name     string
		val      *int
		def, max int
	}{
		{"ModuleSize", &l.ModuleSize, def.ModuleSize, maxModuleSize},
		{"Types", &l.Types, def.Types, 1 << 20},
		{"Params", &l.Params, def.Params, 1 << 15},
		{"TypeValues", &l.TypeValues, def.TypeValues, 1 << 24},
		{"Imports", &l.Imports, def.Imports, 1 << 20},
		{"Functions", &l.Functions, def.Functions, 1 << 24},
		{"Globals", &l.Globals, def.Globals, 1 << 24},
		{"Tags", &l.Tags, def.Tags, 1 << 20},
		{"TagValues", &l.TagValues, def.TagValues, 1 << 10},
		{"Exports", &l.Exports, def.Exports, 1 << 20},
		{"NameLength", &l.NameLength, def.NameLength, 1 << 20},
		{"Tables", &l.Tables, def.Tables, 1 << 10},
		{"TableElements", &l.TableElements, def.TableElements, maxTableElements},
		{"ElementSegments", &l.ElementSegments, def.ElementSegments, 1 << 20},
		{"ElementItems", &l.ElementItems, def.ElementItems, 1 << 24},
		{"MemoryPages", &l.MemoryPages, def.MemoryPages, maxMemoryPages},
		{"DataSegments", &l.DataSegments, def.DataSegments, 1 << 20},
		{"DataSize", &l.DataSize, def.DataSize, maxModuleSize},
		{"BodySize", &l.BodySize, def.BodySize, 1 << 26},
		{"Locals", &l.Locals, def.Locals, 1 << 24},
		{"ControlBlocks", &l.ControlBlocks, def.ControlBlocks, 1 << 24},
		{"Depth", &l.Depth, def.Depth, 1 << 20},
		{"BrTableTargets", &l.BrTableTargets, def.BrTableTargets, 1 << 24},
		{"CarriedValues", &l.CarriedValues, def.CarriedValues, 1 << 30},
		{"LiveValues", &l.LiveValues, def.LiveValues, 1 << 30},
		{"NameSection", &l.NameSection, def.NameSection, maxModuleSize},
	}
	for _, f := range fields {
		switch {
		case *f.val == 0:
			*f.val = f.def
		case *f.val < 0 || *f.val > f.max:
			return l, fmt.Errorf("meter: limit %s is %d, it must be between 1 and %d (0 = %d)", f.name, *f.val, f.max, f.def)
		}
	}
	switch {
	case l.CompileTime == 0:
		l.CompileTime = def.CompileTime
	case l.CompileTime < 0:
		return l, fmt.Errorf("meter: limit CompileTime is %v, it must not be negative (0 = %v)", l.CompileTime, def.CompileTime)
	}
	return l, nil
}
