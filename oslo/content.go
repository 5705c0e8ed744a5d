package oslo

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
)

// HeaderCompression is the header that says how a body is compressed.
const HeaderCompression = "compression"

// Values of [HeaderCompression] that are understood, as Python writes them. It
// reads the short names "gzip", "zlib", "bzip2" and "bzip" too, and so does
// [Decompress].
const (
	CompressionGzip  = "application/x-gzip" // what [Compress] returns
	CompressionBzip2 = "application/x-bz2"  // only read: Go's library has no writer for it
)

// CheckContentType reports whether a body of that content type may be read as
// a message. Python takes nothing but application/json as it stands; here an
// absent one, upper case and a charset of UTF-8 or ASCII are understood too.
// The error wraps [ErrContent].
func CheckContentType(contentType string) error {
	media, params, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch strings.TrimSpace(media) {
	case "", ContentType:
	default:
		return fmt.Errorf("%w: content type %q, messages are %s", ErrContent, contentType, ContentType)
	}
	if _, charset, ok := strings.Cut(params, "charset="); ok {
		charset, _, _ = strings.Cut(charset, ";")
		switch strings.Trim(charset, "\" ") {
		case "utf-8", "utf8", "us-ascii", "ascii":
		default:
			return fmt.Errorf("%w: content type %q, messages are UTF-8", ErrContent, contentType)
		}
	}
	return nil
}

// Compress returns body as the compression "gzip" of oslo.messaging does,
// which is the zlib format; the message needs the header
// [HeaderCompression] with the value [CompressionGzip].
func Compress(body []byte) []byte {
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return buf.Bytes()
}

// Decompress undoes the compression that a message's header names; an empty
// name is none. What is named gzip may be in zlib's format, as Python has it, or
// in gzip's. It returns at most limit bytes: a body that would grow beyond is an
// error that wraps [ErrTooLarge]. An unknown compression, and data that is
// damaged, wrap [ErrContent].
func Decompress(compression string, body []byte, limit int) ([]byte, error) {
	var r io.Reader
	var err error
	switch compression {
	case "":
		if len(body) > limit {
			return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(body), limit)
		}
		return body, nil
	case CompressionGzip, "gzip", "zlib":
		if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			r, err = gzip.NewReader(bytes.NewReader(body))
		} else {
			r, err = zlib.NewReader(bytes.NewReader(body))
		}
	case CompressionBzip2, "bzip2", "bzip", "bz2":
		r = bzip2.NewReader(bytes.NewReader(body))
	default:
		return nil, fmt.Errorf("%w: compression %.64q", ErrContent, compression)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrContent, compression, err)
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if len(out) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes when decompressed", ErrTooLarge, limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %s: %w", ErrContent, compression, err)
	}
	return out, nil
}
