package timezone

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestIANANamesAreAccepted(t *testing.T) {
	for _, name := range []string{"UTC", "Etc/UTC", "Etc/GMT+9", "GMT", "GMT+0", "EST5EDT", "Asia/Seoul", "America/Argentina/Buenos_Aires", "America/Port-au-Prince"} {
		for range 2 { // loaded, then cached
			if zone, err := Load(name); err != nil || zone.String() != name {
				t.Errorf("%s: got %v (%v)", name, zone, err)
			}
		}
	}
}

func TestOtherNamesAreRefused(t *testing.T) {
	for _, name := range []string{
		"", "Local", "Factory", "localtime", "posixrules", "posix/UTC", "right/UTC", "Seoul", "asia/seoul", "UTC+9", "America", "America/", "Asia/Seoul/",
		"./UTC", "Asia/../UTC", "Asia//Seoul", "../etc/passwd", "/etc/localtime", "/usr/share/zoneinfo/UTC", `\UTC`, "zone.tab", "UTC\x00",
	} {
		if zone, err := Load(name); err == nil {
			t.Errorf("%q is accepted as %v", name, zone)
		}
	}
}

// The machine in this test has files that set Seoul to Honolulu's time, and
// names that are not in the database. It needs a process of its own, because
// time reads ZONEINFO only once.
func TestTheMachinesFilesAreIgnored(t *testing.T) {
	if os.Getenv("TIMEZONE_TEST_CHILD") == "" {
		all, err := files()
		if err != nil {
			t.Fatal(err)
		}
		honolulu, err := content(all["Pacific/Honolulu"])
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for _, name := range []string{"Asia/Seoul", "right/UTC", "posixrules"} {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, honolulu, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "ZONEINFO="+dir, "TIMEZONE_TEST_CHILD=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	noon := time.Date(2026, 4, 5, 12, 0, 0, 0, time.UTC)
	if wrong, err := time.LoadLocation("Asia/Seoul"); err != nil || noon.In(wrong).Hour() != 2 {
		t.Fatalf("the machine's Seoul is %v (%v), want Honolulu", wrong, err)
	}
	if seoul, err := Load("Asia/Seoul"); err != nil || noon.In(seoul).Hour() != 21 {
		t.Errorf("Seoul is %v (%v)", seoul, err)
	}
	for _, name := range []string{"right/UTC", "posixrules"} {
		if _, err := Load(name); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestEveryZoneCanBeRead(t *testing.T) {
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 590 {
		t.Errorf("only %d zones", len(all))
	}
	for name := range all {
		if _, err := Load(name); err != nil {
			t.Error(err)
		}
	}
}
