package nba_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// checks holds every check of the project that blocks against the dates given.
func (r *run) checks(t *testing.T, dates []time.Time) {
	for name, tb := range r.Tables {
		for _, check := range tb.Checks {
			for kind, spec := range check {
				if m, ok := spec.(map[string]any); ok && m["severity"] == "warn" {
					continue
				}
				query, bound := r.verdict(t, name, kind, spec, dates)
				// A date that the answer does not mention has failed.
				failed := "select d.day from (select unnest(" + list(dates) + ") as day) d left join (" + query + ") v(day, value) on v.day = d.day " +
					"where not coalesce(v.value " + bound + ", false) order by 1"
				if tb.Partition == "none" {
					failed = "select value from (" + query + ") v(day, value) where not value " + bound
				}
				if bad := r.strings(t, failed); len(bad) > 0 {
					t.Errorf("%s, %s %v fails on %d dates, first %s", name, kind, spec, len(bad), bad[0])
				}
			}
		}
	}
}

// verdict is a query of dates and values for a check, and what the values must be.
func (r *run) verdict(t *testing.T, name, kind string, spec any, dates []time.Time) (query, bound string) {
	t.Helper()
	m, _ := spec.(map[string]any)
	// Built-in checks have nothing to say against a date without rows.
	share := func(of, where string) string {
		if r.Tables[name].Partition == "none" {
			return fmt.Sprintf("select 1, avg((%s)::int) from %s", of, name)
		}
		return fmt.Sprintf("select d.day, coalesce(avg((%s)::int), 1) from (select unnest(%s) as day) d left join (select *, true as there from %s where %s) s "+
			"on s.game_date = d.day group by d.day", "there is null or ("+of+")", list(dates), name, where)
	}
	switch kind {
	case "unique":
		columns := join(spec)
		if r.Tables[name].Partition == "none" {
			return fmt.Sprintf("select 1, count(*) - count(distinct (%s)) from %s", columns, name), "= 0"
		}
		return fmt.Sprintf("select d.day, count(s.game_date) - count(distinct (%s)) filter (s.game_date is not null) "+
			"from (select unnest(%s) as day) d left join %s s on s.game_date = d.day group by d.day", columns, list(dates), name), "= 0"
	case "not_null":
		where := "true"
		if m["where"] != nil {
			where = fmt.Sprint(m["where"])
		}
		return share(fmt.Sprintf("%s is not null", m["column"]), where), fmt.Sprintf(">= %v", m["min"])
	case "range":
		return share(fmt.Sprintf("%[1]s is null or %[1]s between %[2]v and %[3]v", m["column"], m["min"], m["max"]), "true"), "= 1"
	case "accepted_values":
		return share(fmt.Sprintf("%s in ('%s')", m["column"], strings.ReplaceAll(join(m["values"]), ", ", "', '")), "true"), "= 1"
	case "relationship":
		columns := join(m["columns"])
		return share(fmt.Sprintf("(%s) in (select (%s) from %s)", columns, columns, m["to"]), "true"), fmt.Sprintf(">= %v", m["min"])
	case "rows":
		return fmt.Sprintf("select e.day, coalesce(s.n, 0) - e.n from (%s) e(day, n) left join (select game_date, count(*) as n from %s group by 1) s "+
			"on s.game_date = e.day", r.query(t, name, m["equals"], dates), name), "= 0"
	case "sql":
		return r.query(t, name, m["query"], dates), fmt.Sprintf(">= %v", m["min"])
	}
	t.Fatalf("%s: unknown check %s", name, kind)
	return "", ""
}

// query renders a check's query.
func (r *run) query(t *testing.T, name string, text any, dates []time.Time) string {
	t.Helper()
	return call.ReplaceAllStringFunc(fmt.Sprint(text), func(s string) string {
		switch m := call.FindStringSubmatch(s); m[1] {
		case "table":
			return m[2]
		case "staged":
			return name
		default:
			return r.value(t, m[1], dates)
		}
	})
}

func join(values any) string {
	var words []string
	for _, v := range values.([]any) {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, ", ")
}

func list(dates []time.Time) string {
	var days []string
	for _, d := range dates {
		days = append(days, literal(d))
	}
	return "[" + strings.Join(days, ", ") + "]"
}
