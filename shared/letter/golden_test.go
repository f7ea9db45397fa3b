package letter

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestGolden compares every letter with testdata, in both languages. UPDATE=1 rewrites
// the files; look at them before they are committed.
func TestGolden(t *testing.T) {
	update := os.Getenv("UPDATE") != ""
	expected := map[string]bool{}
	for name, l := range samples(t) {
		for _, locale := range []string{"en", "ko"} {
			l.Locale = locale
			m, err := l.Render()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for file, content := range map[string]string{
				name + "." + locale + ".txt": "Subject: " + m.Subject + "\n\n" + m.Text,
				// In lines, so that a difference can be read.
				name + "." + locale + ".html": strings.ReplaceAll(m.HTML, "><", ">\n<") + "\n",
			} {
				expected[file] = true
				path := filepath.Join("testdata", file)
				if update {
					if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
				} else if !bytes.Equal(want, []byte(content)) {
					t.Errorf("%s differs: run UPDATE=1 go test ./shared/letter, and read the difference", path)
				}
			}
		}
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !expected[f.Name()] && !f.IsDir() {
			t.Errorf("testdata/%s is of no letter: delete it", f.Name())
		}
	}
}

func TestEveryKindHasASample(t *testing.T) {
	all := samples(t)
	for _, k := range Kinds() {
		if l, ok := all[string(k)]; !ok || l.Kind != k {
			t.Errorf("no sample is named %s and of this kind", k)
		}
	}
	for name, l := range all {
		if first, _, _ := strings.Cut(name, "."); first != string(l.Kind) && first != "batch" {
			t.Errorf("the sample %s is of kind %s", name, l.Kind)
		}
	}
}
