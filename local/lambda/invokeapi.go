package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// maxClientContext is the limit of X-Amz-Client-Context in bytes of base64.
const maxClientContext = 3583

// Handler serves Lambda's Invoke operation:
// POST /2015-03-31/functions/{name}/invocations, where name is a name for
// Function. It checks no signature.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", s.serveInvoke)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		apiError(w, http.StatusNotFound, "UnknownOperationException", "the laptop serves no Lambda operation but Invoke, not "+r.Method+" "+r.URL.Path)
	})
	return mux
}

func (s *Service) serveInvoke(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", id)

	name := r.PathValue("name")
	f, ok := s.Function(name)
	if !ok {
		apiError(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+name)
		return
	}
	if q := r.URL.Query().Get("Qualifier"); q != "" && q != "$LATEST" {
		apiError(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+f.config.Name+":"+q+" ($LATEST is the only version here)")
		return
	}

	kind := r.Header.Get("X-Amz-Invocation-Type")
	limit := int64(maxRequest)
	switch kind {
	case "":
		kind = "RequestResponse"
	case "Event":
		limit = maxAsyncRequest
	case "RequestResponse", "DryRun":
	default:
		apiError(w, http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf("X-Amz-Invocation-Type is %q, not RequestResponse, Event or DryRun", kind))
		return
	}
	payload, err := readLimited(r, limit)
	switch {
	case errors.Is(err, errTooLarge):
		apiError(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit))
		return
	case err != nil:
		apiError(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not read the request body: "+err.Error())
		return
	case len(payload) == 0:
		payload = []byte("{}")
	case !json.Valid(payload):
		apiError(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: "+syntaxError(payload))
		return
	}
	clientContext, err := decodeClientContext(r.Header.Get("X-Amz-Client-Context"))
	if err != nil {
		apiError(w, http.StatusBadRequest, "InvalidRequestContentException", err.Error())
		return
	}
	inv := invocation{id: id, payload: payload, traceID: r.Header.Get("X-Amzn-Trace-Id"), clientContext: clientContext}
	switch logType := r.Header.Get("X-Amz-Log-Type"); {
	case logType == "" || logType == "None":
	case logType == "Tail" && kind == "RequestResponse":
		inv.tail = &tail{}
	case logType == "Tail": // nobody waits for it
	default:
		apiError(w, http.StatusBadRequest, "InvalidParameterValueException", fmt.Sprintf("X-Amz-Log-Type is %q, not None or Tail", logType))
		return
	}

	switch kind {
	case "DryRun":
		w.WriteHeader(http.StatusNoContent)
	case "Event":
		if err := s.events.add(f, inv); err != nil {
			invokeFailed(w, err)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	default:
		out, err := f.invoke(r.Context(), &inv)
		if err != nil {
			invokeFailed(w, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Amz-Executed-Version", "$LATEST")
		h.Set("X-Amzn-Trace-Id", inv.traceID)
		if out.functionError != "" {
			h.Set("X-Amz-Function-Error", out.functionError)
		}
		if inv.tail != nil {
			h.Set("X-Amz-Log-Result", inv.tail.base64())
		}
		_, _ = w.Write(out.response) // a caller that has gone needs no answer
	}
}

// decodeClientContext returns the JSON object that the header holds in base64.
func decodeClientContext(header string) (string, error) {
	if header == "" {
		return "", nil
	}
	if len(header) > maxClientContext {
		return "", fmt.Errorf("the client context must be no longer than %d bytes of base64", maxClientContext)
	}
	text, err := base64.StdEncoding.DecodeString(header)
	var compact bytes.Buffer // a header takes no line breaks
	if err != nil || json.Compact(&compact, text) != nil || !strings.HasPrefix(compact.String(), "{") {
		return "", errors.New("the client context must be a JSON object in base64")
	}
	return compact.String(), nil
}

func syntaxError(payload []byte) string {
	var v any
	return json.Unmarshal(payload, &v).Error()
}

// invokeFailed answers an invocation that reached no function.
func invokeFailed(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrThrottled):
		w.Header().Set("X-Amzn-Errortype", "TooManyRequestsException")
		writeJSON(w, http.StatusTooManyRequests, map[string]string{
			"Type": "User", "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "message": "Rate Exceeded.",
		})
	case errors.Is(err, ErrClosed):
		apiError(w, http.StatusServiceUnavailable, "ServiceUnavailableException", err.Error())
	default: // the caller has gone
		apiError(w, http.StatusInternalServerError, "ServiceException", err.Error())
	}
}

func apiError(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	writeJSON(w, status, map[string]string{"Type": "User", "Message": message})
}
