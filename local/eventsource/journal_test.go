package eventsource

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func open(t testing.TB, dir string) *journal {
	t.Helper()
	return openLogged(t, dir, io.Discard)
}

func openLogged(t testing.TB, dir string, log io.Writer) *journal {
	t.Helper()
	j, err := openJournal(dir, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func numbered(from, to, size int) []entry {
	var entries []entry
	for n := from; n <= to; n++ {
		entries = append(entries, entry{sequence: sequence(n), arrived: time.UnixMilli(int64(n)), record: fmt.Appendf(nil, `{"n":%d,"x":"%s"}`, n, strings.Repeat("x", size))})
	}
	return entries
}

func take(t testing.TB, j *journal, count int) []entry {
	t.Helper()
	entries, _, err := j.take(nil, count, 1<<30, every)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func every([]byte) bool { return true }

func same(t testing.TB, got []entry, from, to int) {
	t.Helper()
	if len(got) != to-from+1 {
		t.Fatalf("%d records, want %d to %d", len(got), from, to)
	}
	for i, e := range got {
		if e.sequence != sequence(from+i) || !e.arrived.Equal(time.UnixMilli(int64(from+i))) || !bytes.HasPrefix(e.record, fmt.Appendf(nil, `{"n":%d,`, from+i)) {
			t.Fatalf("record %d is %s %v %s", i, e.sequence, e.arrived, e.record)
		}
	}
}

func TestAJournalGivesBackWhatIsNotHandled(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.append(numbered(1, 5, 0)); err != nil {
		t.Fatal(err)
	}
	got := take(t, j, 2)
	same(t, got, 1, 2)
	same(t, take(t, j, 10), 3, 5)
	if err := j.handle(got[1].end); err != nil {
		t.Fatal(err)
	}
	j.close()
	j = open(t, dir)
	defer j.close()
	if j.at().Sequence != sequence(5) {
		t.Errorf("read up to %s", j.at().Sequence)
	}
	same(t, take(t, j, 10), 3, 5)
}

func TestAJournalWithoutItsLastLineEnd(t *testing.T) {
	for _, cut := range []int{1, 10, 60} {
		dir := t.TempDir()
		j := open(t, dir)
		if err := j.append(numbered(1, 3, 100)); err != nil {
			t.Fatal(err)
		}
		size := j.size
		j.close()
		if err := os.Truncate(j.segment(0), size-int64(cut)); err != nil {
			t.Fatal(err)
		}
		j = open(t, dir)
		if j.at().Sequence != sequence(2) {
			t.Errorf("read up to %s", j.at().Sequence)
		}
		if err := j.append(numbered(3, 4, 100)); err != nil {
			t.Fatal(err)
		}
		same(t, take(t, j, 10), 1, 4)
		j.close()
	}
}

// damage changes a file of the journal that has a text.
func damage(t testing.TB, dir, old, new string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(old)) {
			continue
		}
		if err := os.WriteFile(file, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no file with %q", old)
}

func wantLoss(t testing.TB, log *buffer, lost bool) {
	t.Helper()
	if got := strings.Contains(log.String(), "stream records are lost"); got != lost {
		t.Errorf("the log is %q", log)
	}
}

func TestADamagedRecordIsReportedAndLeftOut(t *testing.T) {
	for _, reopened := range []bool{false, true} {
		t.Run(fmt.Sprintf("after a start: %v", reopened), func(t *testing.T) {
			dir, log := t.TempDir(), &buffer{}
			j := openLogged(t, dir, log)
			if err := j.append(numbered(1, 5, 0)); err != nil {
				t.Fatal(err)
			}
			if err := j.mark(sequence(5), false); err != nil {
				t.Fatal(err)
			}
			damage(t, dir, `"n":2`, `"n":7`)
			if reopened {
				j.close()
				j = openLogged(t, dir, log)
			}
			defer func() { j.close() }()
			if err := j.append(numbered(6, 6, 0)); err != nil {
				t.Fatal(err)
			}
			got := take(t, j, 10)
			same(t, got[:1], 1, 1)
			same(t, got[1:], 3, 6)
			wantLoss(t, log, true)
		})
	}
}

// What a crash left half written was not acknowledged: the stream is read from the
// record before it on.
func TestRecordsBehindThePositionAreReadAgain(t *testing.T) {
	dir, log := t.TempDir(), &buffer{}
	j := open(t, dir)
	if err := j.append(numbered(1, 2, 0)); err != nil {
		t.Fatal(err)
	}
	if err := j.mark(sequence(2), false); err != nil {
		t.Fatal(err)
	}
	if err := j.append(numbered(3, 5, 0)); err != nil {
		t.Fatal(err)
	}
	j.close()
	damage(t, dir, `"n":4`, `"n":7`)
	j = openLogged(t, dir, log)
	defer j.close()
	if got := j.at().Sequence; got != sequence(3) {
		t.Errorf("read up to %s", got)
	}
	if err := j.append(numbered(4, 5, 0)); err != nil {
		t.Fatal(err)
	}
	same(t, take(t, j, 10), 1, 5)
	wantLoss(t, log, false)
}

// The last record that was acknowledged has lost its line end.
func TestDamageAtTheEndIsReported(t *testing.T) {
	dir, log := t.TempDir(), &buffer{}
	j := open(t, dir)
	if err := j.append(numbered(1, 3, 0)); err != nil {
		t.Fatal(err)
	}
	if err := j.mark(sequence(3), false); err != nil {
		t.Fatal(err)
	}
	size := j.size
	j.close()
	if err := os.Truncate(j.segment(0), size-1); err != nil {
		t.Fatal(err)
	}
	j = openLogged(t, dir, log)
	defer j.close()
	wantLoss(t, log, true)
	if err := j.append(numbered(4, 4, 0)); err != nil {
		t.Fatal(err)
	}
	got := take(t, j, 10)
	same(t, got[:2], 1, 2)
	same(t, got[2:], 4, 4)
	if got := j.at().Sequence; got != sequence(3) {
		t.Errorf("read up to %s", got)
	}
}

func TestDamageInAnEarlierSegmentIsReported(t *testing.T) {
	for name, hurt := range map[string]func(t *testing.T, j *journal){
		"a record":    func(t *testing.T, j *journal) { damage(t, j.dir, `"n":20,`, `"n":70,`) },
		"half a file": func(t *testing.T, j *journal) { truncate(t, j.segment(j.segments[1]), 5) },
		"a file":      func(t *testing.T, j *journal) { truncate(t, j.segment(j.segments[1]), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, log := t.TempDir(), &buffer{}
			j := open(t, dir)
			for n := 1; n <= 60; n += 10 {
				if err := j.append(numbered(n, n+9, 500<<10)); err != nil {
					t.Fatal(err)
				}
			}
			if err := j.mark(sequence(60), false); err != nil {
				t.Fatal(err)
			}
			if len(j.segments) < 3 {
				t.Fatalf("%d segments", len(j.segments))
			}
			j.close()
			hurt(t, j)
			j = openLogged(t, dir, log)
			defer j.close()
			got := take(t, j, 100)
			same(t, got[:10], 1, 10)
			if len(got) >= 60 || got[len(got)-1].sequence != sequence(60) {
				t.Errorf("%d records, the last one is %s", len(got), got[len(got)-1].sequence)
			}
			wantLoss(t, log, true)
		})
	}
}

func truncate(t testing.TB, file string, size int64) {
	t.Helper()
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
}

// A power cut leaves small files empty.
func TestAJournalWhosePositionIsLost(t *testing.T) {
	dir, log := t.TempDir(), &buffer{}
	j := open(t, dir)
	if err := j.append(numbered(1, 5, 0)); err != nil {
		t.Fatal(err)
	}
	if err := j.mark(sequence(9), false); err != nil {
		t.Fatal(err)
	}
	if err := j.handle(take(t, j, 2)[1].end); err != nil {
		t.Fatal(err)
	}
	j.close()
	damage(t, dir, `"n":4`, `"n":7`)
	truncate(t, filepath.Join(dir, "position"), 0)
	truncate(t, filepath.Join(dir, "handled"), 0)
	j = openLogged(t, dir, log)
	defer j.close()
	if got := j.at().Sequence; got != sequence(5) {
		t.Errorf("read up to %s", got)
	}
	got := take(t, j, 10)
	same(t, got[:3], 1, 3)
	same(t, got[3:], 5, 5)
	for _, want := range []string{"the file position is damaged", "the file handled is damaged", "stream records are lost"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log)
		}
	}
}

func TestAJournalStaysSmall(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	defer j.close()
	for n := 1; n <= 3000; n += 100 {
		if err := j.append(numbered(n, n+99, 10<<10)); err != nil {
			t.Fatal(err)
		}
		got := take(t, j, 100)
		same(t, got, n, n+99)
		if err := j.handle(got[99].end); err != nil {
			t.Fatal(err)
		}
	}
	if got := folderSize(t, dir); got > 1<<20 {
		t.Errorf("%d bytes are left of 30 MB that are handled", got)
	}
}

func TestAJournalOfSeveralSegments(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	for n := 1; n <= 1200; n += 100 {
		if err := j.append(numbered(n, n+99, 10<<10)); err != nil {
			t.Fatal(err)
		}
	}
	if len(j.segments) < 3 {
		t.Fatalf("%d segments", len(j.segments))
	}
	got := take(t, j, 500)
	same(t, got, 1, 500)
	if err := j.handle(got[499].end); err != nil {
		t.Fatal(err)
	}
	j.close()
	j = open(t, dir)
	defer j.close()
	same(t, take(t, j, 2000), 501, 1200)
	if got := folderSize(t, dir); got > 9<<20 {
		t.Errorf("%d bytes", got)
	}
}

func TestTakeKeepsToASize(t *testing.T) {
	j := open(t, t.TempDir())
	defer j.close()
	if err := j.append(numbered(1, 3, 1000)); err != nil {
		t.Fatal(err)
	}
	for want := 1; want <= 3; want++ {
		got, full, err := j.take(nil, 10, 10, every)
		if err != nil || full != (want < 3) {
			t.Fatalf("full %v, %v", full, err)
		}
		same(t, got, want, want)
	}
}

func TestTakeKeepsToTheSizeOfTheWholeBatch(t *testing.T) {
	j := open(t, t.TempDir())
	defer j.close()
	var batch []entry
	for n := 1; n <= 4; n++ {
		if err := j.append(numbered(n, n, 1000)); err != nil {
			t.Fatal(err)
		}
		var full bool
		var err error
		if batch, full, err = j.take(batch, 10, 3500, every); err != nil || full != (n == 4) {
			t.Fatalf("record %d: full %v, %v", n, full, err)
		}
	}
	same(t, batch, 1, 3)
	same(t, take(t, j, 10), 4, 4)
}

// Handling a record handles those that are left out behind it, and no more.
func TestTakeLeavesOutRecords(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.append(numbered(1, 9, 0)); err != nil {
		t.Fatal(err)
	}
	third := func(record []byte) bool {
		return bytes.Contains(record, []byte(`"n":3,`)) || bytes.Contains(record, []byte(`"n":6,`))
	}
	batch, _, err := j.take(nil, 1, 1<<20, third)
	if err != nil {
		t.Fatal(err)
	}
	same(t, batch, 3, 3)
	if err := j.handle(batch[0].end); err != nil {
		t.Fatal(err)
	}
	if batch, _, err = j.take(nil, 10, 1<<20, third); err != nil {
		t.Fatal(err)
	}
	same(t, batch, 6, 6)
	j.close()
	j = open(t, dir)
	same(t, take(t, j, 10), 4, 9)
	j.close()
	j = open(t, dir)
	defer j.close()
	if batch, _, err = j.take(nil, 10, 1<<20, func([]byte) bool { return false }); err != nil || len(batch) > 0 || j.waiting() > 0 {
		t.Errorf("%d records, %d bytes wait, %v", len(batch), j.waiting(), err)
	}
}

func TestAMarkMovesThePosition(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	if err := j.append(numbered(1, 1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := j.mark(sequence(9), false); err != nil {
		t.Fatal(err)
	}
	j.close()
	j = open(t, dir)
	defer j.close()
	if j.at().Sequence != sequence(9) {
		t.Errorf("read up to %s", j.at().Sequence)
	}
}

// A journal never loses a record that is not handled, however often it is
// closed, and never returns one twice without being opened again.
func TestAJournalIsAQueue(t *testing.T) {
	base := t.TempDir()
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		dir := filepath.Join(base, fmt.Sprint(run))
		j := open(t, dir)
		defer func() { j.close() }()
		added, handled, taken := 0, 0, 0
		ends := map[int]int64{0: 0}
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				n := rapid.IntRange(1, 20).Draw(r, "records")
				if err := j.append(numbered(added+1, added+n, rapid.SampledFrom([]int{0, 100, 60 << 10}).Draw(r, "size"))); err != nil {
					r.Fatal(err)
				}
				added += n
			},
			"take": func(r *rapid.T) {
				got, _, err := j.take(nil, rapid.IntRange(1, 10).Draw(r, "count"), rapid.SampledFrom([]int{1, 1000, 1 << 20}).Draw(r, "size"), every)
				if err != nil {
					r.Fatal(err)
				}
				if len(got) == 0 && taken < added {
					r.Fatalf("nothing to take after %d of %d", taken, added)
				}
				for _, e := range got {
					if taken++; e.sequence != sequence(taken) {
						r.Fatalf("took %s, want %s", e.sequence, sequence(taken))
					}
					ends[taken] = e.end
				}
			},
			"handle": func(r *rapid.T) {
				if taken > handled {
					handled = rapid.IntRange(handled+1, taken).Draw(r, "up to")
					if err := j.handle(ends[handled]); err != nil {
						r.Fatal(err)
					}
				}
			},
			"reopen": func(*rapid.T) {
				j.close()
				j = open(t, dir)
				taken = handled
			},
		})
	})
}

func folderSize(t testing.TB, dir string) int64 {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}
