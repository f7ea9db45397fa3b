package cloud_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"plaudit/shared/cloud"
)

// client answers with a body.
type client struct {
	body io.Reader
	err  error
}

func (c client) Do(*http.Request) (*http.Response, error) {
	if c.err != nil {
		return nil, c.err
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(c.body)}, nil
}

func TestWholeReadsTheBodyFirst(t *testing.T) {
	body := strings.NewReader("the answer")
	resp, err := cloud.Whole(client{body: body}).Do(nil)
	if err != nil || body.Len() != 0 {
		t.Fatalf("%d bytes are not read; %v", body.Len(), err)
	}
	if got, err := io.ReadAll(resp.Body); string(got) != "the answer" || err != nil {
		t.Errorf("%q %v", got, err)
	}

	broken := errors.New("the connection is closed")
	resp, err = cloud.Whole(client{body: iotest.ErrReader(broken)}).Do(nil)
	if !errors.Is(err, broken) || resp == nil || resp.StatusCode != 200 {
		t.Errorf("%v, %v", resp, err)
	}
	if resp, err := cloud.Whole(client{err: broken}).Do(nil); !errors.Is(err, broken) || resp != nil {
		t.Errorf("%v, %v", resp, err)
	}
}
