package api

import (
	"errors"
	"fmt"
	"net/http"
)

// The codes of an Error on the wire.
const (
	CodeBadRequest    = "bad_request"
	CodeNotFound      = "not_found"
	CodeConflict      = "conflict"
	CodeUnprocessable = "unprocessable"
	CodeNotReady      = "not_ready"
	CodeInternal      = "internal"
)

// What errors.Is finds in an *Error of the matching code.
var (
	ErrBadRequest    = errors.New("bad request")
	ErrNotFound      = errors.New("not found")
	ErrConflict      = errors.New("conflict")
	ErrUnprocessable = errors.New("cannot be done")
	ErrNotReady      = errors.New("not ready")
)

// ErrNoAgent says that nobody listens on the agent's socket.
var ErrNoAgent = errors.New("no agent is running")

// Error is what the agent answers when it does not do what it was asked.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"` // one line

	cause error
}

// ErrorReply is the body of every answer that is not a success.
type ErrorReply struct {
	Error Error `json:"error"`
}

// Errorf makes an Error; %w in the format works as it does for fmt.Errorf.
func Errorf(code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), cause: errors.Unwrap(err)}
}

// AsError makes any error one for the wire: the text of the whole chain with
// the code of the *Error or sentinel in it, CodeInternal if there is none.
func AsError(err error) *Error {
	reply := &Error{Code: CodeInternal, Message: err.Error(), cause: err}
	var known *Error
	if errors.As(err, &known) {
		reply.Code = known.Code
		return reply
	}
	for _, class := range classes() {
		if class.sentinel != nil && errors.Is(err, class.sentinel) {
			reply.Code = class.code
		}
	}
	return reply
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives what Errorf wrapped; nothing after a trip over the wire.
func (e *Error) Unwrap() error { return e.cause }

// Is matches the sentinel of the error's code.
func (e *Error) Is(target error) bool {
	sentinel := e.class().sentinel
	return sentinel != nil && target == sentinel
}

// Status is the HTTP status that carries the error.
func (e *Error) Status() int { return e.class().status }

// CodeOfStatus is the code that an HTTP status stands for.
func CodeOfStatus(status int) string {
	for _, class := range classes() {
		if class.status == status {
			return class.code
		}
	}
	return CodeInternal
}

type class struct {
	code     string
	status   int
	sentinel error
}

// classes is the only place where codes, statuses and sentinels meet. The last
// one is for whatever has no class.
func classes() []class {
	return []class{
		{CodeBadRequest, http.StatusBadRequest, ErrBadRequest},
		{CodeNotFound, http.StatusNotFound, ErrNotFound},
		{CodeConflict, http.StatusConflict, ErrConflict},
		{CodeUnprocessable, http.StatusUnprocessableEntity, ErrUnprocessable},
		{CodeNotReady, http.StatusServiceUnavailable, ErrNotReady},
		{CodeInternal, http.StatusInternalServerError, nil},
	}
}

func (e *Error) class() class {
	all := classes()
	for _, class := range all {
		if class.code == e.Code {
			return class
		}
	}
	return all[len(all)-1]
}
