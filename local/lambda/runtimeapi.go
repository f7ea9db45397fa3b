package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"plaudit/local/part"
)

// runtimeAPI serves one process: the Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) and the part of
// the Extensions API for an internal extension without events
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html), by
// which a Go function asks for SIGTERM.
func (env *environment) runtimeAPI() http.Handler {
	const runtime = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtime+"invocation/next", env.next)
	mux.HandleFunc("POST "+runtime+"invocation/{id}/response", env.response)
	mux.HandleFunc("POST "+runtime+"invocation/{id}/error", env.invocationError)
	mux.HandleFunc("POST "+runtime+"init/error", env.initialisationError)
	mux.HandleFunc("POST /2020-01-01/extension/register", env.register)
	mux.HandleFunc("GET /2020-01-01/extension/event/next", env.nextExtensionEvent)
	_, port, _ := net.SplitHostPort(env.address) // a listener's
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// One that asks for the next event would take it from the function.
		if sign := part.Foreign(r, port); sign != "" {
			refuse(w, http.StatusForbidden, "AccessDenied", "the Runtime API refuses requests of browser pages, and this one has "+sign)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// next offers the connection to the invocation to come, which answers on it.
func (env *environment) next(w http.ResponseWriter, r *http.Request) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if inv := env.current; inv != nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation "+inv.id+" has had no response")
		return
	}
	select {
	case old := <-env.waiting: // a runtime that asks again has given up the other connection
		old.Close()
	default:
	}
	env.waiting <- answerLater(w)
	if !env.isReady {
		env.isReady = true
		close(env.ready)
	}
}

func (env *environment) response(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, maxResponse)
	out := outcome{response: body}
	if errors.Is(err, errTooLarge) {
		out = failure("Function.ResponseSizeTooLarge", fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse))
	} else if err != nil {
		refuse(w, http.StatusBadRequest, "TruncatedResponse", err.Error())
		return
	}
	// A runtime that streams its response reports a late error in a trailer.
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); kind != "" {
		detail, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if err != nil || len(detail) == 0 {
			out = failure(kind, "the function failed while it was sending its response")
		} else {
			out = outcome{detail, unhandled}
		}
	}
	tooLarge := errors.Is(err, errTooLarge)
	if !env.answer(w, r, out) {
		return
	}
	if tooLarge {
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the response is larger than "+strconv.Itoa(maxResponse)+" bytes")
		return
	}
	accept(w)
}

func (env *environment) invocationError(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, maxResponse)
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidErrorBody", err.Error())
		return
	}
	if env.answer(w, r, outcome{errorBody(r, body), unhandled}) {
		accept(w)
	}
}

// errorBody returns the error that a runtime has posted, or one made of its header
// if the body is empty.
func errorBody(r *http.Request, body []byte) []byte {
	if len(body) > 0 {
		return body
	}
	return failure(r.Header.Get("Lambda-Runtime-Function-Error-Type"), "the function failed without saying why").response
}

// answer ends the current invocation with its outcome, or refuses it when the
// request is about another one. The cloud waits until the runtime asks for the
// next event as well; here the caller need not, and the environment's next
// invocation waits instead.
func (env *environment) answer(w http.ResponseWriter, r *http.Request, out outcome) bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	inv := env.current
	if inv == nil || inv.id != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "no invocation "+r.PathValue("id")+" waits for a response")
		return false
	}
	env.current = nil
	env.takeBy = inv.deadline
	inv.outcome = out
	close(inv.done)
	return true
}

func (env *environment) initialisationError(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, maxResponse)
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidErrorBody", err.Error())
		return
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.isReady || env.initError != nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the initialisation has ended")
		return
	}
	env.initError = errorBody(r, body)
	close(env.ready)
	accept(w)
}

func (env *environment) register(w http.ResponseWriter, r *http.Request) {
	body, err := readLimited(r, 64<<10)
	var in struct {
		Events []string `json:"events"`
	}
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "InvalidRequestFormat", err.Error())
		return
	case r.Header.Get("Lambda-Extension-Name") == "":
		refuse(w, http.StatusBadRequest, "Extension.InvalidExtensionName", "the header Lambda-Extension-Name is missing")
		return
	case len(body) > 0 && json.Unmarshal(body, &in) != nil:
		refuse(w, http.StatusBadRequest, "InvalidRequestFormat", "the body must be a JSON object with events")
		return
	case len(in.Events) > 0:
		refuse(w, http.StatusBadRequest, "InvalidEventType", "an internal extension registers for no event here")
		return
	}
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.isReady || env.initError != nil {
		refuse(w, http.StatusForbidden, "Extension.RegistrationClosed", "extensions register during the initialisation")
		return
	}
	env.registered = true
	if env.extension == "" {
		env.extension = uuid.NewString()
	}
	c := env.function.config
	w.Header().Set("Lambda-Extension-Identifier", env.extension)
	writeJSON(w, http.StatusOK, map[string]string{"functionName": c.Name, "functionVersion": "$LATEST", "handler": c.Handler})
}

// nextExtensionEvent never has an event to tell.
func (env *environment) nextExtensionEvent(w http.ResponseWriter, r *http.Request) {
	env.mu.Lock()
	known := env.registered && r.Header.Get("Lambda-Extension-Identifier") == env.extension
	env.mu.Unlock()
	if !known {
		refuse(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "the header Lambda-Extension-Identifier names no registered extension")
		return
	}
	<-env.gone
}

var errTooLarge = errors.New("the body is too large")

// readLimited reads a body of at most limit bytes.
func readLimited(r *http.Request, limit int64) ([]byte, error) {
	if n := r.ContentLength; n >= 0 && n <= limit {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		// The rest is read, so that the sender gets to see the refusal.
		_, err = io.Copy(io.Discard, r.Body)
		return nil, errors.Join(errTooLarge, err)
	}
	return body, err
}

func accept(w http.ResponseWriter) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(`{"status":"OK"}`))
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	writeJSON(w, status, map[string]string{"errorType": kind, "errorMessage": message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
