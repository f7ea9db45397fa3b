package idle

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"plaudit/local/part"
	"plaudit/local/template"
)

func TestEveryTypeHasARefAndAReason(t *testing.T) {
	var log bytes.Buffer
	p := New(part.Laptop{
		Names: part.Names{Pseudo: template.Pseudo{StackName: "small", Region: "eu-west-1", AccountID: "000000000000"}},
		Log:   slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	for _, kind := range p.Types() {
		r := template.Resource{ID: "One", Type: kind}
		if ref, ok := p.Values(r)["Ref"].(string); !ok || ref == "" {
			t.Errorf("%s has no Ref", kind)
		}
		log.Reset()
		if err := p.Read(r); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if !strings.Contains(log.String(), kind) || strings.Contains(log.String(), `reason=""`) {
			t.Errorf("%s: the log does not say why it has no effect: %s", kind, log.String())
		}
	}
}
