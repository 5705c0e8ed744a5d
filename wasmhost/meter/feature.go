package meter

// feature is a set of proposals beyond WebAssembly 1.0.
type feature uint16

const (
	featureSignExtension feature = 1 << iota
	featureSaturating
	featureBulkMemory
	featureReferenceTypes
	featureMultiValue
	featureSIMD
	featureTailCalls
	featureExceptions
	featureExtendedConst
)

// featureNames are the proposals' names, in the order of the constants.
var featureNames = [...]string{
	"sign-extension", "saturating-conversions", "bulk-memory", "reference-types", "multi-value", "simd", "tail-calls", "exceptions",
	"extended-const",
}

// opcodeFeature says which proposal an opcode of one byte belongs to; the
// prefixes are told apart where their second byte is read.
func opcodeFeature(op int) feature {
	switch {
	case op == opThrow, op == opThrowRef, op == opTryTable:
		return featureExceptions
	case op == 0x12, op == 0x13:
		return featureTailCalls
	case op == 0x1c, op == 0x25, op == 0x26, op >= 0xd0 && op <= 0xd2:
		return featureReferenceTypes
	case op >= 0xc0 && op <= 0xc4:
		return featureSignExtension
	case op == 0xfd:
		return featureSIMD
	}
	return 0
}

// bulkFeature is the same for the operations behind the prefix 0xfc.
func bulkFeature(op uint32) feature {
	switch {
	case op < bulkMemoryInit:
		return featureSaturating
	case op == bulkTableGrow, op == bulkTableSize, op == bulkTableFill:
		return featureReferenceTypes
	}
	return featureBulkMemory
}

// names lists a set, in the order of featureNames.
func (f feature) names() []string {
	var list []string
	for i, name := range featureNames {
		if f&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}
