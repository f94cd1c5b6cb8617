package api

import "strings"

// MaxName is the length of the longest name, in bytes.
const MaxName = 48

// ValidName holds that a new name has 1 to 48 of [a-zA-Z0-9_.-], the first a
// letter or digit. It wraps ErrBadRequest.
func ValidName(name string) error {
	if name == "" {
		return Errorf(CodeBadRequest, "bad name \"\": it is empty")
	}
	if len(name) > MaxName {
		return Errorf(CodeBadRequest, "name %s is too long: %d characters, %d are allowed", quote(name), len([]rune(name)), MaxName)
	}
	for i, c := range []byte(name) {
		if isAlphanumeric(c) || i > 0 && strings.IndexByte("_.-", c) >= 0 {
			continue
		}
		return Errorf(CodeBadRequest, "bad name %s: use a-z, A-Z, 0-9 and _.-, the first a letter or digit", quote(name))
	}
	return nil
}

// ValidRef holds that text can name something that exists: NAME, or
// ENGINE/NAME for things of an engine. It wraps ErrBadRequest.
func ValidRef(text string) error {
	if engine, name, found := strings.Cut(text, "/"); found {
		if err := ValidName(engine); err != nil {
			return err
		}
		return ValidName(name)
	}
	return ValidName(text)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
