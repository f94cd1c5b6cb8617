package api

import "strings"

// MaxName is the length of the longest name, in bytes.
const MaxName = 48

// maxEngineName is the same for things of an engine, in which compose puts the names
// of a project and a service together.
const maxEngineName = 255

// ValidName holds that a new name has 1 to 48 of [a-zA-Z0-9_.-], the first a
// letter or digit. It wraps ErrBadRequest, or ErrUnprocessable for a name that is one
// of an engine's things.
func ValidName(name string) error {
	if short, docker := strings.CutPrefix(name, "docker/"); docker && validName(short, maxEngineName) == nil {
		return Errorf(CodeUnprocessable, "name %s is for what Docker has: make it with \"docker\", or leave out \"docker/\"", quote(name))
	}
	return validName(name, MaxName)
}

func validName(name string, most int) error {
	if name == "" {
		return Errorf(CodeBadRequest, "bad name \"\": it is empty")
	}
	if len(name) > most {
		return Errorf(CodeBadRequest, "name %s is too long: %d characters, %d are allowed", quote(name), len([]rune(name)), most)
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
		if err := validName(engine, MaxName); err != nil {
			return err
		}
		return validName(name, maxEngineName)
	}
	return validName(text, MaxName)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
