package query

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/headway-data/headway/internal/catalog"
	"github.com/headway-data/headway/internal/warehouse"
)

// marked is how engines show the place of an error: the line of the query after its number, and below it a caret.
var marked = regexp.MustCompile(`(?m)^(LINE (\d+): )(.*)\n( *)\^`)

// Place is where in a query's file an engine found an error; line 0 where it does not say. The rendered query has the lines of its file.
func Place(file string, err error) (at catalog.Pos, line string) {
	at.File = file
	var bad *warehouse.QueryError
	if !errors.As(err, &bad) {
		return at, ""
	}
	found := marked.FindStringSubmatch(bad.Err.Error())
	if found == nil {
		return at, ""
	}
	at.Line, _ = strconv.Atoi(found[2])
	if column := len(found[4]) - len(found[1]) + 1; column > 0 && !strings.HasPrefix(found[3], "...") {
		at.Column = column
	}
	return at, found[3]
}

// Brief is what an engine says of an error without the excerpt of the query that it shows.
func Brief(err error) string {
	var bad *warehouse.QueryError
	if !errors.As(err, &bad) {
		return err.Error()
	}
	text := bad.Err.Error()
	if at := marked.FindStringIndex(text); at != nil {
		text = text[:at[0]]
	}
	return strings.TrimSpace(text)
}
