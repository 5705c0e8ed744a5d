package oslo

// The scanner accepts what Python's json module accepts: RFC 8259 and the bare
// words NaN, Infinity and -Infinity. Values are found and checked, not built.

func skipSpace(s []byte, i int) int {
	for i < len(s) {
		switch s[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// scanValue returns the end of the value that starts at i.
func scanValue(s []byte, i, depth int) (int, error) {
	if i >= len(s) {
		return i, syntaxError(i, "the text ends where a value should be")
	}
	switch s[i] {
	case '"':
		return scanString(s, i)
	case '{':
		return scanObject(s, i, depth, nil)
	case '[':
		return scanArray(s, i, depth, nil)
	}
	var word string
	switch s[i] {
	case 'n':
		word = "null"
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'N':
		word = "NaN"
	case 'I':
		word = "Infinity"
	case '-':
		word = "-Infinity"
	}
	if word != "" && len(s)-i >= len(word) && string(s[i:i+len(word)]) == word {
		return i + len(word), nil
	}
	return scanNumber(s, i)
}

// inString has the bytes that only go on in a string.
var inString = func() (t [256]bool) {
	for c := 0x20; c < len(t); c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func scanString(s []byte, i int) (int, error) {
	for i++; i < len(s); i++ {
		for i < len(s) && inString[s[i]] {
			i++
		}
		if i == len(s) {
			break
		}
		switch c := s[i]; {
		case c == '"':
			return i + 1, nil
		case c < 0x20:
			return i, syntaxError(i, "a control character in a string")
		case c == '\\':
			i++
			if i >= len(s) {
				return i, syntaxError(i, "the text ends in an escape")
			}
			switch s[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(s, i+1); !ok {
					return i, syntaxError(i, "\\u without four hexadecimal digits")
				}
				i += 4
			default:
				return i, syntaxError(i, "an unknown escape")
			}
		}
	}
	return i, syntaxError(i, "the text ends in a string")
}

func scanNumber(s []byte, i int) (int, error) {
	start := i
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch n := scanDigits(s, i); {
	case n == i:
		return start, syntaxError(start, "no value")
	case s[i] == '0' && n > i+1:
		return start, syntaxError(start, "a number with a leading zero")
	default:
		i = n
	}
	if i < len(s) && s[i] == '.' {
		n := scanDigits(s, i+1)
		if n == i+1 {
			return i, syntaxError(i, "no digits after the point")
		}
		i = n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		n := scanDigits(s, i)
		if n == i {
			return i, syntaxError(i, "no digits in the exponent")
		}
		i = n
	}
	return i, nil
}

func scanDigits(s []byte, i int) int {
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return i
}

// scanObject returns the end of the object that starts at i and tells found
// where each member's name, with its quotes, and value begin and end.
func scanObject(s []byte, i, depth int, found func(key, keyEnd, value, valueEnd int)) (int, error) {
	if depth >= MaxDepth {
		return i, syntaxError(i, "nested too deeply")
	}
	i = skipSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(s) || s[i] != '"' {
			return i, syntaxError(i, "no name where one should be")
		}
		keyEnd, err := scanString(s, i)
		if err != nil {
			return i, err
		}
		key := i
		i = skipSpace(s, keyEnd)
		if i >= len(s) || s[i] != ':' {
			return i, syntaxError(i, "no colon after a name")
		}
		i = skipSpace(s, i+1)
		end, err := scanValue(s, i, depth+1)
		if err != nil {
			return i, err
		}
		if found != nil {
			found(key, keyEnd, i, end)
		}
		i = skipSpace(s, end)
		switch {
		case i < len(s) && s[i] == '}':
			return i + 1, nil
		case i < len(s) && s[i] == ',':
			i = skipSpace(s, i+1)
		default:
			return i, syntaxError(i, "an object that does not end")
		}
	}
}

// scanArray returns the end of the array that starts at i and tells found of
// each element.
func scanArray(s []byte, i, depth int, found func(value []byte)) (int, error) {
	if depth >= MaxDepth {
		return i, syntaxError(i, "nested too deeply")
	}
	i = skipSpace(s, i+1)
	if i < len(s) && s[i] == ']' {
		return i + 1, nil
	}
	for {
		end, err := scanValue(s, i, depth+1)
		if err != nil {
			return i, err
		}
		if found != nil {
			found(s[i:end:end])
		}
		i = skipSpace(s, end)
		switch {
		case i < len(s) && s[i] == ']':
			return i + 1, nil
		case i < len(s) && s[i] == ',':
			i = skipSpace(s, i+1)
		default:
			return i, syntaxError(i, "an array that does not end")
		}
	}
}

// scanWhole checks that s is one value with nothing but space around it and
// returns where the value is.
func scanWhole(s []byte) (start, end int, err error) {
	start = skipSpace(s, 0)
	end, err = scanValue(s, start, 0)
	if err != nil {
		return start, end, err
	}
	if i := skipSpace(s, end); i != len(s) {
		return start, end, syntaxError(i, "text after the value")
	}
	return start, end, nil
}

func hex4(s []byte, i int) (rune, bool) {
	if i+4 > len(s) {
		return 0, false
	}
	var r rune
	for _, c := range s[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
