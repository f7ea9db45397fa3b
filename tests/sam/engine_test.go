package sam

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"plaudit/local/process"
)

// engine is a container engine.
type engine struct {
	host    string   // DOCKER_HOST; "": the one that runs here
	dir     string   // of our own engine: all its data
	bridged bool     // our own has made docker0
	made    []string // images to be removed at the end
	proc    *process.Process
}

// findEngine returns the engine that runs, or starts one, which only root can.
// Its error is the reason why the tests are skipped.
func findEngine(group *process.Group) (*engine, error) {
	client, err := exec.LookPath("docker")
	if err != nil {
		return nil, errors.New("no docker client is installed (Debian: apt-get install docker.io)")
	}
	if out, err := exec.Command(client, "info").CombinedOutput(); err == nil {
		return &engine{}, nil
	} else if os.Geteuid() != 0 {
		return nil, fmt.Errorf("no container engine answers, and only root can start one: %s", lastLine(out))
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return nil, errors.New("no container engine answers, and no dockerd is installed to start one (Debian: apt-get install docker.io)")
	}
	// The path must be short: that of a socket is limited to about 100 characters.
	dir, err := os.MkdirTemp("/tmp", "plaudit-docker")
	if err != nil {
		return nil, err
	}
	e := &engine{host: "unix://" + dir + "/docker.sock", dir: dir}
	if _, err := net.InterfaceByName("docker0"); err != nil {
		e.bridged = true
	}
	// The second driver works on every file system, but copies whole images.
	for _, driver := range []string{"overlay2", "vfs"} {
		if err = e.start(group, driver); err == nil {
			return e, nil
		}
	}
	e.remove()
	return nil, err
}

// start starts dockerd. Its containers reach this machine and nothing beyond,
// so it leaves the firewall alone.
func (e *engine) start(group *process.Group, driver string) error {
	path, err := exec.LookPath("dockerd")
	if err != nil {
		return err
	}
	var log bytes.Buffer
	e.proc, err = group.Start(process.Spec{
		Name: "dockerd", Path: path, Dir: e.dir, Env: os.Environ(), Stdout: &log, Stderr: &log,
		Args: []string{
			"--storage-driver=" + driver, "--iptables=false", "--ip6tables=false", "--data-root=" + e.dir + "/data",
			"--exec-root=" + e.dir + "/exec", "--pidfile=" + e.dir + "/docker.pid", "--host=" + e.host,
		},
	})
	if err != nil {
		return err
	}
	for deadline := time.After(time.Minute); ; {
		if e.docker("info").Run() == nil {
			return nil
		}
		select {
		case <-e.proc.Done():
			return fmt.Errorf("dockerd ended (%w): %s", e.proc.Err(), lastLine(log.Bytes()))
		case <-deadline:
			err := e.proc.Stop(10 * time.Second)
			return fmt.Errorf("dockerd does not answer within a minute (%w): %s", err, lastLine(log.Bytes()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// environment returns the test's environment, with the address of the engine and
// without the variables that lead to an AWS account.
func (e *engine) environment() []string {
	env := []string{"SAM_CLI_TELEMETRY=0", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull}
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "SAM_") {
			env = append(env, variable)
		}
	}
	if e != nil && e.host != "" {
		env = append(env, "DOCKER_HOST="+e.host)
	}
	return env
}

func (e *engine) docker(args ...string) *exec.Cmd {
	cmd := exec.Command("docker", args...)
	cmd.Env = e.environment()
	return cmd
}

// baseImage makes sure that the engine has the functions' base image. If it does
// not, it makes one of a static busybox, certificates and time zones, which is
// all that SAM and a Go program need.
func (e *engine) baseImage(name string) error {
	if e.docker("image", "inspect", name).Run() == nil {
		return nil
	}
	const busybox = "/bin/busybox"
	if err := isStatic(busybox); err != nil {
		// Without Debian's package, take the real image.
		if out, pullErr := e.docker("pull", "--quiet", name).CombinedOutput(); pullErr != nil {
			return fmt.Errorf("no base image: making one needs busybox-static (%w), downloading the real one a network (%s)", err, lastLine(out))
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "plaudit-base")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := layOut(dir, busybox); err != nil {
		return fmt.Errorf("base image: %w", err)
	}
	tar := exec.Command("tar", "-C", dir, "-c", ".")
	load := e.docker("import", "--platform", "linux/"+runtime.GOARCH, "--change", "ENV PATH=/bin", "-", name)
	if load.Stdin, err = tar.StdoutPipe(); err != nil {
		return err
	}
	var said bytes.Buffer
	load.Stdout, load.Stderr = &said, &said
	if err := load.Start(); err != nil {
		return err
	}
	if err := errors.Join(tar.Run(), load.Wait()); err != nil {
		return fmt.Errorf("docker import: %w: %s", err, said.String())
	}
	// SAM makes the second one of the first.
	e.made = append(e.made, name, strings.Replace(name, ":al2023-", ":al2023-rapid-", 1))
	return nil
}

func isStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is not static", program)
		}
	}
	return nil
}

// layOut fills the folder for a base image.
func layOut(dir, busybox string) error {
	for _, folder := range []string{"bin", "etc/ssl/certs", "usr/share", "tmp", "var/task", "var/runtime", "opt"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o777|fs.ModeSticky); err != nil {
		return err
	}
	program, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "busybox"), program, 0o755); err != nil {
		return err
	}
	for _, command := range []string{"sh", "mv", "chmod", "ls", "cat", "env", "mkdir"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", command)); err != nil {
			return err
		}
	}
	// The functions contain both, so a machine may lack them.
	const certificates = "etc/ssl/certs/ca-certificates.crt"
	if text, err := os.ReadFile("/" + certificates); err == nil {
		if err := os.WriteFile(filepath.Join(dir, certificates), text, 0o644); err != nil {
			return err
		}
	}
	if zones, err := os.Stat("/usr/share/zoneinfo"); err == nil && zones.IsDir() {
		return os.CopyFS(filepath.Join(dir, "usr/share/zoneinfo"), os.DirFS("/usr/share/zoneinfo"))
	}
	return nil
}

// remove ends our own engine and deletes its data. From another engine it removes
// the images that were added.
func (e *engine) remove() {
	complain := func(what string, err error, out []byte) {
		if err != nil {
			fmt.Fprintf(os.Stderr, "sam: %s: %v: %s\n", what, err, out)
		}
	}
	if e.dir == "" {
		if len(e.made) > 0 {
			out, err := e.docker(append([]string{"image", "rm", "--force"}, e.made...)...).CombinedOutput()
			complain("remove images", err, out)
		}
		return
	}
	if e.proc != nil {
		complain("stop dockerd", e.proc.Stop(30*time.Second), nil)
	}
	// dockerd leaves the mount of its network namespace behind.
	mounts, err := os.ReadFile("/proc/self/mounts")
	complain("mounts", err, nil)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], e.dir+"/") {
			out, err := exec.Command("umount", "--lazy", fields[1]).CombinedOutput()
			complain("umount "+fields[1], err, out)
		}
	}
	complain("remove the engine's data", os.RemoveAll(e.dir), nil)
	if ip, err := exec.LookPath("ip"); e.bridged && err == nil {
		out, err := exec.Command(ip, "link", "delete", "docker0").CombinedOutput()
		complain("remove docker0", err, out)
	}
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
