package eventsource

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"plaudit/local/part"
)

// segmentBytes is the size from which a journal continues in another file, and
// spentBytes that from which a file whose records are all handled is deleted.
const (
	segmentBytes = 4 << 20
	spentBytes   = 256 << 10
)

// entry is a record of a stream in a journal.
type entry struct {
	sequence string
	arrived  time.Time // when the item was changed
	record   []byte    // the JSON that the function is given
	end      int64     // offset behind it
}

// journal keeps the records of one shard on disk from the moment that they are
// fetched until they are handled. An offset counts the bytes of all records that
// it ever held, so it never becomes smaller.
//
// Its folder has segments, named by the offset at which they begin; the file
// handled, the offset up to which records are handled; and the file position,
// up to where the shard was read. A record is one line: a checksum, the sequence
// number, the time, the JSON.
//
// One goroutine appends, another one takes and handles.
type journal struct {
	dir  string
	log  *slog.Logger
	more chan struct{} // has a value after an append

	mu       sync.Mutex
	segments []int64 // where they begin, in order; at least one
	out      *os.File
	size     int64 // offset behind the last record
	done     int64 // records before it are handled
	position position

	in      *bufio.Reader // nil: to be opened at next
	inFile  *os.File
	inBegin int64  // offset at which it begins
	next    int64  // offset of the next record to take
	unread  *entry // taken from in, and given back
	undone  bool   // an append failed: in may have buffered half a record
}

// position is how far a shard has been read.
type position struct {
	Sequence string `json:"sequence"` // "": nothing was read yet
	Size     int64  `json:"size"`     // of the journal at that time
	Ended    bool   `json:"ended"`    // the shard is closed and read to its end
}

// openJournal opens or makes the journal in a folder. It cuts off a record that
// a crash left half written: it was not acknowledged, and is read again. Damage of
// the files does not keep the others from their function: what it costs is logged.
func openJournal(dir string, log *slog.Logger) (*journal, error) {
	j := &journal{dir: dir, log: log.With("journal", dir), more: make(chan struct{}, 1)}
	if err := j.open(); err != nil {
		j.close()
		return nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	return j, nil
}

func (j *journal) open() error {
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		return err
	}
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f.Name(), ".log"); ok {
			begin, err := strconv.ParseInt(name, 10, 64)
			if err != nil {
				return fmt.Errorf("the file %s is not a segment: move it to another folder", f.Name())
			}
			j.segments = append(j.segments, begin)
		}
	}
	slices.Sort(j.segments)
	text, err := os.ReadFile(filepath.Join(j.dir, "handled"))
	if err == nil {
		if j.done, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err != nil {
			j.log.Error("the file handled is damaged: records of the journal that were handled come again", "error", err)
			j.done, err = 0, nil
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	positionLost := false
	text, err = os.ReadFile(filepath.Join(j.dir, "position"))
	if err == nil {
		if err = json.Unmarshal(text, &j.position); err != nil {
			j.log.Error("the file position is damaged: the stream is read from the last record in the journal on, or from its beginning, so records may come again", "error", err)
			j.position, positionLost, err = position{}, true, nil
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(j.segments) == 0 {
		if err := j.begin(j.done); err != nil {
			return err
		}
	} else if err := j.reopen(positionLost); err != nil {
		return err
	}
	j.done = min(max(j.done, j.segments[0]), j.size)
	j.next = j.done
	return nil
}

// reopen opens the last segment for writing behind its last whole record. A
// damaged record before the position is not the end: scan leaves it out.
func (j *journal) reopen(positionLost bool) error {
	begin := j.segments[len(j.segments)-1]
	var err error
	if j.out, err = os.OpenFile(j.segment(begin), os.O_RDWR, 0); err != nil {
		return err
	}
	in := bufio.NewReader(j.out)
	j.size = begin
	for {
		e, n, err := readEntry(in)
		offset := j.size + n
		if errors.Is(err, errDamaged) && (positionLost || offset <= j.position.Size) {
			j.size = offset
			continue
		}
		if err != nil {
			break // the end, or half a record
		}
		j.size = offset
		if positionLost || offset > j.position.Size {
			j.position.Sequence = e.sequence // the crash came before the position was written
		}
	}
	if from := max(j.size, j.done); from < j.position.Size {
		j.logLoss(from, j.position.Size)
	}
	j.position.Size = min(j.position.Size, j.size)
	if err := j.out.Truncate(j.size - begin); err != nil {
		return err
	}
	_, err = j.out.Seek(0, io.SeekEnd)
	return err
}

// logLoss logs that records between two offsets are lost.
func (j *journal) logLoss(from, to int64) {
	j.log.Error("a file of the journal is damaged, and stream records are lost that the function did not get: check the disk", "from", from, "to", to)
}

func (j *journal) segment(begin int64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%020d.log", begin))
}

// begin begins a segment at the end of the journal.
func (j *journal) begin(offset int64) error {
	out, err := os.OpenFile(j.segment(offset), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := syncFolder(j.dir); err != nil {
		out.Close()
		return err
	}
	if j.out != nil {
		j.out.Close()
	}
	j.out, j.size = out, offset
	j.segments = append(j.segments, offset)
	return nil
}

// syncFolder makes a new file's name last.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// append adds records, and returns when they are on disk.
func (j *journal) append(entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	var lines bytes.Buffer
	for _, e := range entries {
		writeEntry(&lines, e)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	begin := j.segments[len(j.segments)-1]
	if j.size-begin >= segmentBytes {
		if err := j.begin(j.size); err != nil {
			return fmt.Errorf("journal %s: %w", j.dir, err)
		}
		begin = j.size
	}
	_, err := j.out.Write(lines.Bytes())
	if err == nil {
		err = j.out.Sync()
	}
	if err != nil {
		// The next record must not follow half a one.
		undo := j.out.Truncate(j.size - begin)
		_, seek := j.out.Seek(j.size-begin, io.SeekStart)
		j.undone = true
		return fmt.Errorf("journal %s: %w", j.dir, errors.Join(err, undo, seek))
	}
	j.size += int64(lines.Len())
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

// mark notes how far the shard was read. The journal has the records by then.
func (j *journal) mark(sequence string, ended bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if sequence == "" {
		sequence = j.position.Sequence
	}
	p := position{Sequence: sequence, Size: j.size, Ended: ended}
	text, err := json.Marshal(p)
	if err == nil {
		err = part.ReplaceFile(filepath.Join(j.dir, "position"), text)
	}
	if err == nil {
		j.position = p
	}
	return err
}

// at returns how far the shard was read.
func (j *journal) at() position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.position
}

// waiting returns the bytes of the records that are not handled.
func (j *journal) waiting() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size - j.done
}

// take adds records that were not taken yet, and that lets lets through, to a batch,
// until it has count records or the next one does not fit into its size in bytes,
// which full reports. The first record of a batch always fits. Records that are
// left out are handled with the record before them, or now if that is handled.
func (j *journal) take(batch []entry, count, size int, lets func(record []byte) bool) (out []entry, full bool, err error) {
	for _, e := range batch {
		size -= len(e.record) + 1
	}
	j.mu.Lock()
	end, done := j.size, j.done
	if j.undone {
		j.closeIn()
		j.undone = false
	}
	j.mu.Unlock()
	first := j.next == done // no record that was taken is still to be handled
	for len(batch) < count {
		e := j.unread
		j.unread = nil
		if e == nil {
			if j.next >= end {
				break
			}
			if e, err = j.scan(end); err != nil {
				return nil, false, fmt.Errorf("journal %s: %w", j.dir, err)
			}
			if e == nil {
				break
			}
			if !lets(e.record) {
				if len(batch) > 0 {
					batch[len(batch)-1].end = e.end
				}
				continue
			}
		}
		if size -= len(e.record) + 1; size < 0 && len(batch) > 0 {
			j.unread = e
			return batch, true, nil
		}
		batch = append(batch, *e)
	}
	if len(batch) == 0 && first && j.next > done {
		err = j.handle(j.next)
	}
	return batch, false, err
}

// scan reads the record at next, or the one behind it if that is damaged. It returns
// nil if there is none before end.
func (j *journal) scan(end int64) (*entry, error) {
	for j.next < end {
		if j.in == nil {
			if err := j.openIn(); err != nil {
				return nil, err
			}
		}
		e, n, err := readEntry(j.in)
		switch {
		case err == nil:
			j.next += n
			e.end = j.next
			return &e, nil
		case errors.Is(err, errDamaged):
			j.logLoss(j.next, j.next+n)
			j.next += n
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // the next segment follows
			next := end
			j.mu.Lock()
			if i, _ := slices.BinarySearch(j.segments, j.inBegin+1); i < len(j.segments) {
				next = j.segments[i]
			}
			j.mu.Unlock()
			if next > j.next {
				j.logLoss(j.next, next)
			}
			j.next = next
			j.closeIn()
		default:
			return nil, err
		}
	}
	return nil, nil
}

// openIn opens the segment of the record at next.
func (j *journal) openIn() error {
	j.mu.Lock()
	i, exact := slices.BinarySearch(j.segments, j.next)
	if !exact {
		i--
	}
	j.inBegin = j.segments[i]
	j.mu.Unlock()
	var err error
	if j.inFile, err = os.Open(j.segment(j.inBegin)); err != nil {
		return err
	}
	if _, err := j.inFile.Seek(j.next-j.inBegin, io.SeekStart); err != nil {
		return err
	}
	j.in = bufio.NewReaderSize(j.inFile, 64<<10)
	return nil
}

func (j *journal) closeIn() {
	if j.inFile != nil {
		j.inFile.Close()
	}
	j.in, j.inFile = nil, nil
}

// handle notes that the records before an offset are handled, and deletes files
// that nobody needs any more. It does not wait for the disk: after a power cut
// some records come once more, as they may at any time.
func (j *journal) handle(offset int64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := replaceFile(filepath.Join(j.dir, "handled"), strconv.AppendInt(nil, offset, 10)); err != nil {
		return err
	}
	j.done = offset
	if last := j.segments[len(j.segments)-1]; offset == j.size && j.size-last >= spentBytes {
		if err := j.begin(j.size); err != nil {
			return err
		}
	}
	for len(j.segments) > 1 && j.segments[1] <= offset {
		if err := os.Remove(j.segment(j.segments[0])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		j.segments = slices.Delete(j.segments, 0, 1)
	}
	return nil
}

func (j *journal) close() {
	j.closeIn()
	if j.out != nil {
		j.out.Close()
	}
}

// replaceFile is part.ReplaceFile without waiting for the disk.
func replaceFile(file string, text []byte) error {
	if err := os.WriteFile(file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

var errDamaged = errors.New("a record is damaged")

func writeEntry(w *bytes.Buffer, e entry) {
	rest := fmt.Appendf(nil, "%s %d %s", e.sequence, e.arrived.UnixMilli(), e.record)
	fmt.Fprintf(w, "%08x %s\n", crc32.ChecksumIEEE(rest), rest)
}

// readEntry reads a record and returns its length too. Its end is not set. The error
// is errDamaged for a whole line, and io.ErrUnexpectedEOF for half of one.
func readEntry(r *bufio.Reader) (entry, int64, error) {
	line, err := r.ReadBytes('\n')
	n := int64(len(line))
	if err != nil {
		if n > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return entry{}, n, err
	}
	sum, rest, ok := bytes.Cut(line[:len(line)-1], []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || crc32.ChecksumIEEE(rest) != uint32(want) {
		return entry{}, n, errDamaged
	}
	sequence, rest, _ := bytes.Cut(rest, []byte(" "))
	millis, record, _ := bytes.Cut(rest, []byte(" "))
	at, err := strconv.ParseInt(string(millis), 10, 64)
	if err != nil {
		return entry{}, n, errDamaged
	}
	return entry{sequence: string(sequence), arrived: time.UnixMilli(at), record: record}, n, nil
}
