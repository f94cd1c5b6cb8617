package api

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestAsError(t *testing.T) {
	for _, row := range []struct {
		err  error
		code string
		text string
	}{
		{fmt.Errorf("publish 80: %w", ErrConflict), CodeConflict, "publish 80: conflict"},
		{fmt.Errorf("publish 80: %w", Errorf(CodeNotFound, "no sandbox web")), CodeNotFound, "publish 80: no sandbox web"},
		{fmt.Errorf("open: %w", fs.ErrPermission), CodeInternal, "open: permission denied"},
	} {
		got := AsError(row.err)
		if got.Code != row.code || got.Message != row.text {
			t.Errorf("got %s %q, want %s %q", got.Code, got.Message, row.code, row.text)
		}
		if CodeOfStatus(got.Status()) != row.code {
			t.Errorf("%s travels as %d, which is %s", row.code, got.Status(), CodeOfStatus(got.Status()))
		}
	}
}

func TestErrorKeepsItsCause(t *testing.T) {
	err := AsError(fmt.Errorf("publish: %w", Errorf(CodeConflict, "port 80: %w", fs.ErrExist)))
	if !errors.Is(err, fs.ErrExist) || !errors.Is(err, ErrConflict) {
		t.Errorf("%v lost what it wraps", err)
	}
}

func TestWriteJSONHasNoNullLists(t *testing.T) {
	var out bytes.Buffer
	if err := WriteJSON(&out, []NetworkEndpoint{{Sandbox: "<web>"}}); err != nil {
		t.Fatal(err)
	}
	want := "[\n  {\n    \"sandbox\": \"<web>\",\n    \"addresses\": [],\n    \"mac\": \"\"\n  }\n]\n"
	if out.String() != want {
		t.Errorf("got %s, want %s", &out, want)
	}
	out.Reset()
	if err := WriteJSON(&out, Network{}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "null") || strings.Count(out.String(), "{}") != 2 {
		t.Errorf("got %s, want no null", &out)
	}
	out.Reset()
	if err := WriteJSON(&out, []Network(nil)); err != nil {
		t.Fatal(err)
	}
	if out.String() != "[]\n" {
		t.Errorf("got %s, want []", &out)
	}
}

func TestWriteJSONLeavesItsInputAlone(t *testing.T) {
	network := &Network{}
	if err := WriteJSON(&bytes.Buffer{}, network); err != nil {
		t.Fatal(err)
	}
	if network.Subnets != nil || network.Labels != nil {
		t.Error("WriteJSON changed what it was given")
	}
}
