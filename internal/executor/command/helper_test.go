//go:build unix

package command

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headway-data/headway/internal/executor/shim"
)

// helperVar makes the test's binary one of the programs below.
const helperVar = "HEADWAY_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if shim.Asked(os.Args) {
		os.Exit(shim.Main(os.Args))
	}
	if os.Getenv(helperVar) != "" && len(os.Args) > 1 {
		if program, ok := programs()[os.Args[1]]; ok {
			program(os.Args[2:])
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// withShim lets the test's binary be the shim, too; all tests share those that wait.
func withShim(o Options) Options {
	if o.Shims == nil {
		o.Shims = shims
	}
	return o
}

var shims = NewShims(shim.Self())

func programs() map[string]func(args []string) {
	return map[string]func([]string){
		"echo": func(args []string) {
			for _, a := range args {
				fmt.Println(a)
			}
		},
		"environ": func([]string) {
			for _, v := range os.Environ() {
				fmt.Println(v)
			}
		},
		// fail CODE LINE...: says the lines on stderr and ends with the code.
		"fail": func(args []string) {
			fmt.Fprintln(os.Stderr, strings.Join(args[1:], "\n"))
			os.Exit(number(args[0]))
		},
		"failon": func(args []string) {
			if args[0] == args[1] {
				fmt.Fprintln(os.Stderr, "not today")
				os.Exit(1)
			}
			fmt.Println(args[1])
		},
		"signal": func(args []string) { _ = syscall.Kill(os.Getpid(), syscall.Signal(number(args[0]))); forever() },
		// report CODE LINE...: appends the lines to the report; the last without an end.
		"report": func(args []string) {
			f, err := os.OpenFile(os.Getenv("HEADWAY_REPORT"), os.O_APPEND|os.O_WRONLY, 0)
			check(err)
			_, err = f.WriteString(strings.Join(args[1:], "\n"))
			check(err)
			os.Exit(number(args[0]))
		},
		// hang FIFO: holds the FIFO open, says so, and waits for ever.
		"hang": func(args []string) { hold(args[0]); fmt.Println("ready"); forever() },
		// stubborn FIFO: the same, and does not mind TERM.
		"stubborn": func(args []string) { signal.Ignore(syscall.SIGTERM); hold(args[0]); fmt.Println("ready"); forever() },
		// suspendable FIFO: the same, and says who it is, so that the test can suspend it: then only CONT lets it hear TERM.
		"suspendable": func(args []string) {
			hold(args[0])
			fmt.Println("ready", os.Getpid())
			forever()
		},
		// graceful FIFO: ends by itself after TERM, with a last word.
		"graceful": func(args []string) {
			heard := make(chan os.Signal, 1)
			signal.Notify(heard, syscall.SIGTERM)
			hold(args[0])
			fmt.Println("ready")
			<-heard
			fmt.Println("tidied up")
			fmt.Fprintln(os.Stderr, "terminated")
			os.Exit(1)
		},
		// parent FIFO PROGRAM: starts a program of this list in its own group, waits until it is ready, and ends.
		"parent": func(args []string) { child(args[1], args[0], nil) },
		// waiter FIFO PROGRAM: the same, and waits for it. It dies of TERM at once, as a shell does.
		"waiter": func(args []string) { c := child(args[1], args[0], nil); fmt.Println("ready"); _ = c.Wait() },
		// runaway FIFO PROGRAM: the same as parent, but the child has a session of its own and holds the output.
		"runaway": func(args []string) { child(args[1], args[0], &syscall.SysProcAttr{Setsid: true}) },
		"long":    func([]string) { fmt.Println(strings.Repeat("x", 1<<20)); fmt.Println("after") },
		"flood": func(args []string) {
			out := bufio.NewWriter(os.Stdout)
			for i := range number(args[0]) {
				fmt.Fprintln(out, "line", i)
			}
			check(out.Flush())
			fmt.Fprintln(os.Stderr, strings.Repeat("é", 1000))
			os.Exit(1)
		},
		"both": func([]string) {
			for i := range 200 {
				fmt.Println("out", i)
				fmt.Fprintln(os.Stderr, "err", i)
			}
			fmt.Print("no end of line")
		},
		"run": supervise,
		// family FIFO: starts descendants in every way that leaves a group or a parent, and hangs. familygone FIFO: the same, and ends.
		"family":     func(args []string) { family(args[0]); fmt.Println("ready"); forever() },
		"familygone": func(args []string) { family(args[0]) },
		// patient: takes its time.
		"patient": func([]string) { <-time.After(4 * busy); fmt.Println("done") },
		"chain":   chain,
		// killshim FIFO: kills what supervises it.
		"killshim": func(args []string) { hold(args[0]); _ = syscall.Kill(os.Getppid(), syscall.SIGKILL); forever() },
		// killshimfamily FIFO: the same, when it has started descendants in every way. stopshimfamily FIFO: suspends it.
		"killshimfamily": func(args []string) { family(args[0]); _ = syscall.Kill(os.Getppid(), syscall.SIGKILL); forever() },
		"stopshimfamily": func(args []string) {
			family(args[0])
			_ = syscall.Kill(os.Getppid(), syscall.SIGSTOP)
			fmt.Println("ready")
			forever()
		},
		// killshimafter FIFO: a command that ends by itself and leaves others behind, whose shim is killed at that moment.
		"killshimafter": func(args []string) {
			family(args[0])
			check(exec.Command("sh", "-c", fmt.Sprintf("while kill -0 %d; do :; done 2>/dev/null; kill -9 %d", os.Getpid(), os.Getppid())).Start())
		},
		// orphan-quiet FIFO: a process that starts another in a session of its own, and ends.
		"orphan-quiet": func(args []string) { child("hang", args[0], &syscall.SysProcAttr{Setsid: true}); say() },
		"stubborn-quiet": func(args []string) {
			signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
			hold(args[0])
			say()
			forever()
		},
		"hang-quiet": func(args []string) {
			hold(args[0])
			say()
			forever()
		},
		"graceful-quiet": func(args []string) {
			heard := make(chan os.Signal, 1)
			signal.Notify(heard, syscall.SIGTERM)
			hold(args[0])
			say()
			<-heard
			<-time.After(busy)
			fmt.Println("tidied up")
		},
		"brief-quiet": func([]string) {
			say()
			<-time.After(busy)
			fmt.Println("a last word")
		},
	}
}

// family starts three that live on: a session of its own, one in the group that minds neither HUP nor TERM, an orphan in a session of its own.
func family(fifo string) {
	child("hang", fifo, &syscall.SysProcAttr{Setsid: true})
	child("stubborn", fifo, nil)
	check(child("orphan", fifo, nil).Wait())
}

// busy is how long a program takes for its last words: enough to be killed meanwhile, by an executor that does not wait for it.
const busy = 200 * time.Millisecond

// child starts a program of the list that shares this one's output, and waits until it says that it is ready.
func child(program, fifo string, attr *syscall.SysProcAttr) *exec.Cmd {
	self, err := os.Executable()
	check(err)
	r, w, err := os.Pipe()
	check(err)
	c := exec.Command(self, program+"-quiet", fifo)
	c.Stdout, c.Stderr, c.ExtraFiles, c.SysProcAttr = os.Stdout, os.Stderr, []*os.File{w}, attr
	check(c.Start())
	check(w.Close())
	_, err = bufio.NewReader(r).ReadString('\n')
	check(err)
	return c
}

// say tells on descriptor 3 that a program is ready: the quiet ones do.
func say() {
	f := os.NewFile(3, "ready")
	fmt.Fprintln(f, "ready")
	_ = f.Close()
}

// hold opens a FIFO for writing and never closes it: who reads it sees its end when all who hold it are dead.
func hold(fifo string) {
	f, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	check(err)
	held = append(held, f)
}

var held []*os.File

func number(text string) int {
	n, err := strconv.Atoi(text)
	check(err)
	return n
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "test program:", err)
		os.Exit(99)
	}
}

// forever waits for a signal that nobody sends.
func forever() {
	never := make(chan os.Signal, 1)
	signal.Notify(never, syscall.SIGUSR2)
	<-never
}
