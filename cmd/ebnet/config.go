package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"
)

// loadConfig sets the flags that the file names and the command line does not.
// Only the default file may be missing.
func loadConfig(flags *pflag.FlagSet, path string, isDefault bool) error {
	content, err := os.ReadFile(path)
	if isDefault && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	if err := applyConfig(flags, content); err != nil {
		return fmt.Errorf("read config %s: %w", path, err)
	}
	return nil
}

func applyConfig(flags *pflag.FlagSet, content []byte) error {
	in := json.NewDecoder(bytes.NewReader(content))
	in.UseNumber()
	values := map[string]any{}
	if err := in.Decode(&values); err != nil {
		return fmt.Errorf("it has to be one JSON object: %w", err)
	}
	if in.More() {
		return errors.New("there is more behind the JSON object")
	}
	for key, value := range values {
		flag := flags.Lookup(key)
		if flag == nil || key == "config" || key == "help" {
			return fmt.Errorf("unknown key %q: keys are the flags of \"ebnet agent\"", key)
		}
		if flag.Changed {
			continue
		}
		if err := setFlag(flag, value); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

// setFlag gives a flag its value from JSON: text, a number, a truth value, or a
// list of these for flags that may be repeated.
func setFlag(flag *pflag.Flag, value any) error {
	if values, ok := value.([]any); ok {
		repeated, ok := flag.Value.(pflag.SliceValue)
		if !ok {
			return errors.New("it takes one value, not a list")
		}
		texts := make([]string, len(values))
		for i, element := range values {
			text, err := flagText(element)
			if err != nil {
				return err
			}
			texts[i] = text
		}
		return repeated.Replace(texts)
	}
	text, err := flagText(value)
	if err != nil {
		return err
	}
	return flag.Value.Set(text)
}

func flagText(value any) (string, error) {
	switch value := value.(type) {
	case string:
		return value, nil
	case bool, json.Number:
		return fmt.Sprint(value), nil
	}
	return "", fmt.Errorf("%v is neither text, a number, true nor false", value)
}
