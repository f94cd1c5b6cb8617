package api

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type description struct {
	OpenAPI    string                               `json:"openapi"`
	Paths      map[string]map[string]map[string]any `json:"paths"`
	Components struct {
		Schemas map[string]struct {
			Properties map[string]map[string]any `json:"properties"`
			Required   []string                  `json:"required"`
		} `json:"schemas"`
		Responses map[string]any `json:"responses"`
	} `json:"components"`
}

func readDescription(t *testing.T) description {
	t.Helper()
	var doc description
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	return doc
}

// types are all that crosses the wire.
func types() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[Network](), reflect.TypeFor[NetworkEndpoint](), reflect.TypeFor[Sandbox](), reflect.TypeFor[Endpoint](),
		reflect.TypeFor[Publish](), reflect.TypeFor[Flow](), reflect.TypeFor[Status](), reflect.TypeFor[Uplink](),
		reflect.TypeFor[Program](), reflect.TypeFor[Map](), reflect.TypeFor[Attachment](), reflect.TypeFor[SandboxCreate](),
		reflect.TypeFor[PublishCreate](), reflect.TypeFor[PublishSpec](), reflect.TypeFor[HostSpec](), reflect.TypeFor[FlowsFlush](),
		reflect.TypeFor[FlowsFlushed](), reflect.TypeFor[Purge](), reflect.TypeFor[Version](), reflect.TypeFor[Error](),
		reflect.TypeFor[ErrorReply](), reflect.TypeFor[NetworkCreate](), reflect.TypeFor[NetworkConnect](),
		reflect.TypeFor[NetworkDisconnect](), reflect.TypeFor[AllowChange](), reflect.TypeFor[Engine](), reflect.TypeFor[EngineNetwork](),
	}
}

func TestSchemasDescribeTypes(t *testing.T) {
	schemas := readDescription(t).Components.Schemas
	for _, goType := range types() {
		schema, found := schemas[goType.Name()]
		if !found {
			t.Errorf("no schema for %s", goType.Name())
			continue
		}
		delete(schemas, goType.Name())
		var names []string
		for i := range goType.NumField() {
			field := goType.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !field.IsExported() {
				continue
			}
			names = append(names, name)
			property, found := schema.Properties[name]
			if !found {
				t.Errorf("%s: the schema lacks %q", goType.Name(), name)
				continue
			}
			if want, got := jsonType(field.Type), property["type"]; got != nil && got != want {
				t.Errorf("%s: %q is %q, its type is %q", goType.Name(), name, want, got)
			}
		}
		for name := range schema.Properties {
			if !slices.Contains(names, name) {
				t.Errorf("%s: the schema has %q, the type does not", goType.Name(), name)
			}
		}
		for _, name := range schema.Required {
			if !slices.Contains(names, name) {
				t.Errorf("%s requires %q, which it lacks", goType.Name(), name)
			}
		}
	}
	for name := range schemas {
		t.Errorf("schema %s describes no type", name)
	}
}

func jsonType(goType reflect.Type) string {
	switch {
	case goType == reflect.TypeFor[netip.Addr](), goType.Kind() == reflect.String:
		return "string"
	case goType.Kind() == reflect.Bool:
		return "boolean"
	case goType.Kind() == reflect.Slice:
		return "array"
	case goType.Kind() == reflect.Map, goType.Kind() == reflect.Struct, goType.Kind() == reflect.Pointer:
		return "object"
	}
	return "integer"
}

func TestReferencesResolve(t *testing.T) {
	var doc any
	if err := json.Unmarshal(OpenAPI(), &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, child := range node {
				walk(child)
			}
		case map[string]any:
			if ref, ok := node["$ref"].(string); ok && !resolves(doc, ref) {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, child := range node {
				walk(child)
			}
		}
	}
	walk(doc)
}

func resolves(doc any, ref string) bool {
	path, found := strings.CutPrefix(ref, "#/")
	for part := range strings.SplitSeq(path, "/") {
		node, _ := doc.(map[string]any)
		doc = node[part]
	}
	return found && doc != nil
}

// TestClientAsksWhatIsDescribed holds each request of the client against the
// paths and methods of the description, and asks for every one of them.
func TestClientAsksWhatIsDescribed(t *testing.T) {
	doc := readDescription(t)
	mux := http.NewServeMux()
	left := map[string]bool{}
	for path, methods := range doc.Paths {
		for method := range methods {
			pattern := strings.ToUpper(method) + " " + path
			left[pattern] = true
			mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
				delete(left, r.Pattern)
				_, _ = w.Write([]byte("null"))
			})
		}
	}
	delete(left, "GET /v1/openapi.json")
	client := serve(t, mux)
	for name, call := range calls(t.Context(), client) {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for pattern := range left {
		t.Errorf("no method of Client asks %s", pattern)
	}
}
