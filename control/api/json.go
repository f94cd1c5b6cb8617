package api

import (
	"encoding/json"
	"io"
	"reflect"
)

// WriteJSON writes v indented, with a newline behind it. Lists and maps that
// are nil come out as [] and {}, as programs that read them expect.
func WriteJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(withoutNil(reflect.ValueOf(v)).Interface())
}

// withoutNil copies what holds lists or maps and fills in the nil ones.
func withoutNil(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Slice:
		filled := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			filled.Index(i).Set(withoutNil(v.Index(i)))
		}
		return filled
	case reflect.Map:
		if v.IsNil() {
			return reflect.MakeMap(v.Type())
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() == reflect.Struct {
			filled := reflect.New(v.Type().Elem())
			filled.Elem().Set(withoutNil(v.Elem()))
			return filled
		}
	case reflect.Struct:
		filled := reflect.New(v.Type()).Elem()
		filled.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				filled.Field(i).Set(withoutNil(v.Field(i)))
			}
		}
		return filled
	}
	return v
}
