package backfill_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// roundCommand makes a table in a round, as a person's script would: three rows for each date, which name the attempt. It says in the journal what
// it does.
func roundCommand() error {
	journal, err := os.OpenFile(os.Getenv("JOURNAL"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	say := func(kind, day string) {
		_, err := fmt.Fprintf(journal, "%s %s %s %s %s %d %d\n", kind, os.Getenv("HEADWAY_TOKEN"), os.Getenv("HEADWAY_RUN_ID"), os.Getenv("HEADWAY_ATTEMPT"), day, os.Getpid(), os.Getppid())
		if err != nil {
			panic(err)
		}
	}
	db, err := sql.Open("duckdb", "proof.duckdb")
	if err != nil {
		return err
	}
	stage := os.Getenv("HEADWAY_STAGING_TABLE")
	_, err = db.Exec("create or replace table " + stage + " (day date, n integer, attempt varchar)")
	for day := range strings.SplitSeq(os.Getenv("HEADWAY_PARTITIONS"), ",") {
		say("begin", day)
		for n := range 3 {
			_, rowErr := db.Exec(fmt.Sprintf("insert into %s values ('%s', %d, '%s')", stage, day, n, os.Getenv("HEADWAY_ATTEMPT")))
			err = errors.Join(err, rowErr)
		}
		<-time.After(20 * time.Millisecond) // somebody may do something to it meanwhile
		say("end", day)
	}
	return errors.Join(err, db.Close(), journal.Close())
}
