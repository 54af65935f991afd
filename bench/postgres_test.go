package bench

import (
	"bufio"
	"fmt"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An exclusion is a PostgreSQL exclusion constraint over the live leases, asked by pgbench, over one connection. nil: there is no server.
type exclusion struct {
	url, dir string
	pgbench  string
}

// newExclusion uses the server that HEADWAY_PG names (a URL whose user may make a schema and the extension btree_gist), or starts Debian's on
// a socket in a folder of its own. Without either it is left out, by name.
func newExclusion(b *testing.B) *exclusion {
	b.Helper()
	e := &exclusion{url: os.Getenv("HEADWAY_PG"), dir: b.TempDir(), pgbench: tool(b, "pgbench")}
	psql := tool(b, "psql")
	if psql == "" || e.pgbench == "" {
		return nil
	}
	if e.url == "" {
		if e.url = startPostgres(b); e.url == "" {
			return nil
		}
	}
	if _, err := call(b.Context(), strings.NewReader(fmt.Sprintf(`
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS btree_gist;
DROP SCHEMA IF EXISTS headway_bench CASCADE;
CREATE SCHEMA headway_bench;
CREATE TABLE headway_bench.lease (id bigserial PRIMARY KEY, table_id int NOT NULL, dates daterange NOT NULL, state text NOT NULL,
  EXCLUDE USING gist (table_id WITH =, dates WITH &&) WHERE (state = 'active'));
INSERT INTO headway_bench.lease (table_id, dates, state)
  SELECT 1, daterange('1000-01-01'::date + 2*i, '1000-01-01'::date + 2*i + 1), 'active' FROM generate_series(0, %d - 1) i;
ANALYZE headway_bench.lease;
`, liveLeases)), psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", e.url); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		out, err := osexec.Command(psql, "-X", "-q", "-d", e.url, "-c", "SET client_min_messages = warning; DROP SCHEMA headway_bench CASCADE").CombinedOutput()
		if err != nil {
			b.Logf("the schema headway_bench is left behind: %v: %s", err, out)
		}
	})
	script := fmt.Sprintf(`\set i random(0, %d)
INSERT INTO headway_bench.lease (table_id, dates, state) VALUES (1, daterange('1000-01-01'::date + 2*:i + 1, '1000-01-01'::date + 2*:i + 2), 'active')
  ON CONFLICT DO NOTHING RETURNING id;
`, liveLeases-2)
	if err := os.WriteFile(filepath.Join(e.dir, "acquire.sql"), []byte(script), 0o600); err != nil {
		b.Fatal(err)
	}
	return e
}

// rounds acquires so many times, each in a transaction of its own, and tells how long each took. What was acquired is released together
// afterwards, so that each meets as many live ones.
func (e *exclusion) rounds(b *testing.B, n int) durations {
	b.Helper()
	if e == nil {
		return nil
	}
	b.StopTimer()
	defer b.StartTimer()
	prefix := filepath.Join(e.dir, "log")
	if _, err := call(b.Context(), nil, e.pgbench, "-n", "-c", "1", "-t", strconv.Itoa(n), "-l", "--log-prefix", prefix,
		"-f", filepath.Join(e.dir, "acquire.sql"), e.url); err != nil {
		b.Fatal(err)
	}
	if _, err := call(b.Context(), nil, "psql", "-X", "-q", "-d", e.url, "-c",
		fmt.Sprintf("DELETE FROM headway_bench.lease WHERE id > %d", liveLeases)); err != nil {
		b.Fatal(err)
	}
	logs, err := filepath.Glob(prefix + ".*")
	if err != nil || len(logs) != 1 {
		b.Fatalf("pgbench's log: %v, %v", logs, err)
	}
	defer os.Remove(logs[0]) //nolint:errcheck // with its folder, at the latest
	f, err := os.Open(logs[0])
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	out := make(durations, 0, n)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		const took = 2 // microseconds: client, number, time, file, when
		us, err := strconv.Atoi(strings.Fields(lines.Text())[took])
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, time.Duration(us)*time.Microsecond)
	}
	return out
}

// startPostgres starts Debian's server, if it is there, and gives its URL, else "". It does not start as root, so it is the user postgres's then.
func startPostgres(b *testing.B) string {
	b.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		b.Log("there is no PostgreSQL server and HEADWAY_PG names none: it is left out")
		return ""
	}
	bin := filepath.Dir(slices.Max(found))
	dir, err := os.MkdirTemp("", "headway-pg-") //nolint:usetesting // a short name: it holds a socket
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	who, as := "postgres", &syscall.SysProcAttr{}
	if os.Getuid() == 0 {
		u, err := user.Lookup(who)
		if err != nil {
			b.Logf("PostgreSQL does not run as root: it is left out: %v", err)
			return ""
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			b.Fatal(err)
		}
	}
	run := func(args ...string) error {
		c := osexec.Command(filepath.Join(bin, args[0]), args[1:]...)
		c.Dir, c.SysProcAttr = dir, as
		log, err := os.CreateTemp(dir, "said-") // the server keeps its streams open
		if err != nil {
			return err
		}
		defer log.Close() //nolint:errcheck // the server has it
		c.Stdout, c.Stderr = log, log
		if err := c.Run(); err != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%s: %w: %s", args[0], err, text)
		}
		return nil
	}
	data := filepath.Join(dir, "data")
	if err := run("initdb", "-D", data, "-U", who, "-A", "trust", "-E", "UTF8", "--locale", "C"); err != nil {
		b.Fatal(err)
	}
	// On a socket alone: nobody else meets it.
	if err := run("pg_ctl", "-D", data, "-w", "-o", "-c listen_addresses='' -c unix_socket_directories="+dir, "start"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"); err != nil {
			b.Errorf("stop PostgreSQL: %v", err)
		}
	})
	return fmt.Sprintf("host=%s user=%s dbname=postgres", dir, who)
}
