package record

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Header begins every recording. The number is the version of what follows; a
// reader refuses those that it does not know.
const Header = "wasmrouter recording 1\n"

const headerStart = "wasmrouter recording "

// Bounds of a block. One holds many small records, or a large one.
const (
	blockSize = 256 << 10 // bytes of records after which a block is full
	maxBlock  = 256 << 20 // bytes of records that a reader takes
	maxRecord = maxBlock - 2*blockSize
	headSize  = 12
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// What a record is.
const (
	kindMessage = 1
	kindSummary = 2
)

// Summary says how a recording went. It is the last thing in one that was ended
// in order.
type Summary struct {
	Seen    uint64 // messages that were to be recorded, the sample taken
	Taken   uint64 // of these, in the recording
	Dropped uint64 // of these, left out because the reader was too slow, or as they could not be written
	Why     string // it ended
}

// Blocks gathers records into blocks. It is not safe for concurrent use.
type Blocks struct {
	raw    []byte
	one    []byte // the record that is added
	packed bytes.Buffer
	zip    *flate.Writer
}

// Add adds a record, and reports whether the block is full. After an error the
// block is as it was.
func (b *Blocks) Add(r *Record) (full bool, err error) {
	if b.one, err = r.append(append(b.one[:0], kindMessage)); err != nil {
		return false, err
	}
	if len(b.one) > maxRecord {
		return false, fmt.Errorf("a record has %d bytes; at most %d can be read again", len(b.one), maxRecord)
	}
	b.add()
	return len(b.raw) >= blockSize, nil
}

// AddSummary adds how the recording went.
func (b *Blocks) AddSummary(s Summary) {
	e := encoder{b: append(b.one[:0], kindSummary)}
	for _, n := range [...]uint64{s.Seen, s.Taken, s.Dropped} {
		e.uint(n)
	}
	e.text(s.Why)
	b.one = e.b
	b.add()
}

func (b *Blocks) add() {
	b.raw = binary.AppendUvarint(b.raw, uint64(len(b.one)))
	b.raw = append(b.raw, b.one...)
	if cap(b.one) > blockSize {
		b.one = nil
	}
}

// Len returns how many bytes of records the block has.
func (b *Blocks) Len() int { return len(b.raw) }

// Take returns the block as it is written, and begins the next. It is valid until
// the next call.
func (b *Blocks) Take() []byte {
	b.packed.Reset()
	b.packed.Write(make([]byte, headSize))
	if b.zip == nil {
		b.zip, _ = flate.NewWriter(&b.packed, flate.BestSpeed) // the level is one
	} else {
		b.zip.Reset(&b.packed)
	}
	_, _ = b.zip.Write(b.raw) // into memory
	_ = b.zip.Close()
	block := b.packed.Bytes()
	binary.LittleEndian.PutUint32(block, uint32(len(block)-headSize))
	binary.LittleEndian.PutUint32(block[4:], uint32(len(b.raw)))
	binary.LittleEndian.PutUint32(block[8:], sum(block))
	if cap(b.raw) > 4*blockSize {
		b.raw = nil
	}
	b.raw = b.raw[:0]
	return block
}

// sum is the checksum of a block: of its lengths and its contents.
func sum(block []byte) uint32 {
	crc := crc32.Update(0, castagnoli, block[:8])
	return crc32.Update(crc, castagnoli, block[headSize:])
}

// ErrTorn is wrapped by the error of a [Reader] at the place where a recording
// breaks off in the middle of a block, or is damaged. All records before it are
// whole.
var ErrTorn = errors.New("the recording is torn")

// Reader reads recordings. It is not safe for concurrent use.
type Reader struct {
	in    *bufio.Reader
	at    int64  // offset of the next block
	block []byte // what is left of it
	began bool

	summary *Summary
}

// NewReader returns a reader of a recording.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next record. After the last one the error is [io.EOF], or wraps
// [ErrTorn].
func (r *Reader) Next() (*Record, error) {
	for {
		for len(r.block) == 0 {
			if err := r.nextBlock(); err != nil {
				return nil, err
			}
		}
		n, size := binary.Uvarint(r.block)
		if size <= 0 || n > uint64(len(r.block)-size) {
			return nil, r.torn(errMalformed)
		}
		one := r.block[size : size+int(n)]
		r.block = r.block[size+int(n):]
		record, err := r.decode(one)
		if err != nil {
			return nil, r.torn(err)
		}
		if record != nil {
			return record, nil
		}
	}
}

// decode reads what a record is; one that is no message is nil.
func (r *Reader) decode(one []byte) (*Record, error) {
	switch {
	case len(one) == 0:
	case one[0] == kindMessage:
		return decode(one[1:])
	case one[0] == kindSummary:
		d := decoder{b: one[1:]}
		s := Summary{Seen: d.uint(), Taken: d.uint(), Dropped: d.uint(), Why: d.text()}
		if !d.bad {
			r.summary = &s
			return nil, nil
		}
	}
	return nil, errMalformed
}

// Buffered reports whether the next record is in memory already.
func (r *Reader) Buffered() bool { return len(r.block) > 0 }

// Summary returns how the recording went, nil while that has not been read.
func (r *Reader) Summary() *Summary { return r.summary }

// nextBlock reads a block whole.
func (r *Reader) nextBlock() error {
	if !r.began {
		if err := r.begin(); err != nil {
			return err
		}
	}
	var head [headSize]byte
	switch n, err := io.ReadFull(r.in, head[:]); {
	case n == 0 && errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return r.torn(errors.New("it breaks off"))
	case err != nil:
		return err
	}
	length, raw := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if length > maxBlock || raw > maxBlock {
		return r.torn(errors.New("a block has an impossible length"))
	}
	// No more memory is taken than there is file for.
	block := bytes.NewBuffer(head[:])
	switch n, err := io.CopyN(block, r.in, int64(length)); {
	case n < int64(length) && errors.Is(err, io.EOF):
		return r.torn(errors.New("it breaks off"))
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	if sum(block.Bytes()) != binary.LittleEndian.Uint32(head[8:]) {
		return r.torn(errors.New("a block does not have its checksum"))
	}
	var records bytes.Buffer
	n, err := io.Copy(&records, io.LimitReader(flate.NewReader(bytes.NewReader(block.Bytes()[headSize:])), int64(raw)+1))
	if err != nil || n != int64(raw) {
		return r.torn(errors.New("a block does not have its length"))
	}
	r.at += headSize + int64(length)
	r.block = records.Bytes()
	return nil
}

func (r *Reader) begin() error {
	got := make([]byte, len(Header))
	n, err := io.ReadFull(r.in, got)
	switch text := string(got[:n]); {
	case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case n == len(Header) && text == Header:
	case n >= len(headerStart) && text[:len(headerStart)] == headerStart:
		return errors.New("it was made by a later version of router; this one reads version 1")
	default:
		return errors.New("it is no recording; router record makes them")
	}
	r.began, r.at = true, int64(n)
	return nil
}

func (r *Reader) torn(why error) error {
	return fmt.Errorf("%w at byte %d: %w", ErrTorn, r.at, why)
}
