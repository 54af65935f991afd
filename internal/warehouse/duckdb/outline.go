package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/headway-data/headway/internal/warehouse"
)

// An outline is what a query's text says of the names of its columns, before the query can be bound. Names that it does not tell are left
// out: binding tells them, unless the query reads them itself.
type outline struct {
	names  []string
	doubts []string // why names may be missing
	self   bool     // of the doubts: all columns of a relation are wanted whose own names rest on them
}

// add takes names over, each once.
func (o *outline) add(names ...string) {
	for _, n := range names {
		if n != "" && !hasName(o.names, n) {
			o.names = append(o.names, n)
		}
	}
}

func (o *outline) doubt(why string) {
	if !slices.Contains(o.doubts, why) {
		o.doubts = append(o.doubts, why)
	}
}

func (o *outline) join(other outline) {
	o.add(other.names...)
	for _, d := range other.doubts {
		o.doubt(d)
	}
	o.self = o.self || other.self
}

// The parts of a query as json_serialize_sql writes them, as far as they say anything of names.
type (
	astStatement struct {
		Node *astQuery `json:"node"`
	}
	astQuery struct {
		Type string `json:"type"`
		CTEs struct {
			Map []struct {
				Key   string `json:"key"`
				Value struct {
					Aliases []string     `json:"aliases"`
					Query   astStatement `json:"query"`
				} `json:"value"`
			} `json:"map"`
		} `json:"cte_map"`
		Select []astExpression `json:"select_list"`
		From   *astFrom        `json:"from_table"`
		Left   *astQuery       `json:"left"` // of a UNION and the like, and of a recursive query
		Right  *astQuery       `json:"right"`
		SetOp  string          `json:"setop_type"`
	}
	astExpression struct {
		Class    string          `json:"class"`
		Alias    string          `json:"alias"`
		Column   []string        `json:"column_names"`
		Relation string          `json:"relation_name"` // of t.*
		Columns  bool            `json:"columns"`       // COLUMNS(…)
		Exclude  []string        `json:"exclude_list"`
		Rename   []astRenaming   `json:"rename_list"`
		Excluded []astColumnName `json:"qualified_exclude_list"`
	}
	astRenaming struct {
		Key   astColumnName `json:"key"`
		Value string        `json:"value"`
	}
	astColumnName struct {
		Column string `json:"column"`
	}
	astFrom struct {
		Type     string        `json:"type"`
		Alias    string        `json:"alias"`
		Catalog  string        `json:"catalog_name"`
		Schema   string        `json:"schema_name"`
		Table    string        `json:"table_name"`
		Aliases  []string      `json:"column_name_alias"`
		Subquery *astStatement `json:"subquery"`
		Left     *astFrom      `json:"left"`
		Right    *astFrom      `json:"right"`
		Join     string        `json:"join_type"`
	}
)

// An outliner reads the outlines of queries that may read the relations of one another.
type outliner struct {
	c      *conn
	drafts map[relation]*draft // by relation in lower case
	open   map[*draft]bool     // being outlined
	done   map[*draft]outline
}

// scope is the WITH queries that a part of a query sees, by name in lower case.
type scope map[string]outline

// of outlines the query of a draft.
func (o *outliner) of(ctx context.Context, d *draft) (outline, error) {
	if out, ok := o.done[d]; ok {
		return out, nil
	}
	var answer string
	if err := o.c.rows(ctx, "SELECT CAST(json_serialize_sql("+text(trim(d.Query))+") AS VARCHAR)", func(r *sql.Rows) error { return r.Scan(&answer) }); err != nil {
		return outline{}, err
	}
	var parsed struct {
		Error      bool           `json:"error"`
		Message    string         `json:"error_message"`
		Statements []astStatement `json:"statements"`
	}
	if err := json.Unmarshal([]byte(answer), &parsed); err != nil {
		return outline{}, fmt.Errorf("read the outline of a query: %w", err)
	}
	out := outline{}
	if parsed.Error || len(parsed.Statements) != 1 {
		out.doubt("its query is no single SELECT: " + parsed.Message) // binding will say more
		return out, nil
	}
	o.open[d] = true
	out, err := o.query(ctx, parsed.Statements[0].Node, nil)
	delete(o.open, d)
	if err == nil {
		o.done[d] = out
	}
	return out, err
}

func (o *outliner) query(ctx context.Context, q *astQuery, outer scope) (outline, error) {
	if q == nil {
		return outline{doubts: []string{"a part of its query is not understood"}}, nil
	}
	seen := scope{}
	maps.Copy(seen, outer)
	for _, cte := range q.CTEs.Map {
		out, err := o.query(ctx, cte.Value.Query.Node, seen)
		if err != nil {
			return outline{}, err
		}
		seen[strings.ToLower(cte.Key)] = out.renamed(cte.Value.Aliases)
	}
	switch q.Type {
	case "SELECT_NODE":
		return o.selected(ctx, q, seen)
	case "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE":
		left, err := o.query(ctx, q.Left, seen)
		if err != nil || !left.self && q.SetOp != "UNION_BY_NAME" {
			return left, err
		}
		right, err := o.query(ctx, q.Right, seen)
		if err != nil || q.SetOp != "UNION_BY_NAME" {
			return right, err // as many columns as the other side, whose names are its own answer
		}
		left.join(right)
		return left, nil
	}
	return outline{doubts: []string{"a part of its query (" + q.Type + ") says no names"}}, nil
}

// renamed gives the first columns other names.
func (o *outline) renamed(aliases []string) outline {
	if len(aliases) == 0 {
		return *o
	}
	out := outline{doubts: o.doubts, self: o.self}
	out.add(aliases...)
	if len(o.names) > len(aliases) {
		out.add(o.names[len(aliases):]...)
	}
	return out
}

// selected are the names of a select list.
func (o *outliner) selected(ctx context.Context, q *astQuery, seen scope) (outline, error) {
	var out outline
	for _, e := range q.Select {
		switch {
		case e.Class == "STAR" && e.Columns:
			out.doubt("COLUMNS(…) names columns by a pattern")
		case e.Class == "STAR":
			all, err := o.star(ctx, q.From, e.Relation, seen)
			if err != nil {
				return outline{}, err
			}
			out.join(all.without(e))
		case e.Alias != "":
			out.add(e.Alias)
		case e.Class == "COLUMN_REF" && len(e.Column) > 0:
			out.add(e.Column[len(e.Column)-1])
		}
	}
	return out, nil
}

// without applies EXCLUDE and RENAME to the names of a star.
func (o *outline) without(e astExpression) outline {
	out := outline{doubts: o.doubts, self: o.self}
	for _, n := range o.names {
		excluded := hasName(e.Exclude, n)
		for _, x := range e.Excluded {
			excluded = excluded || strings.EqualFold(x.Column, n)
		}
		for _, r := range e.Rename {
			if strings.EqualFold(r.Key.Column, n) {
				n = r.Value
			}
		}
		if !excluded {
			out.add(n)
		}
	}
	return out
}

// star are the columns that * gives, or t.* where relation is t.
func (o *outliner) star(ctx context.Context, from *astFrom, relation string, seen scope) (outline, error) {
	if from == nil {
		return outline{}, nil
	}
	if from.Type == "JOIN" {
		left, err := o.star(ctx, from.Left, relation, seen)
		if err != nil || from.Join == "SEMI" || from.Join == "ANTI" {
			return left, err
		}
		right, err := o.star(ctx, from.Right, relation, seen)
		left.join(right)
		return left, err
	}
	if called := from.Alias; relation != "" && !strings.EqualFold(relation, called) && (called != "" || !strings.EqualFold(relation, from.Table)) {
		return outline{}, nil
	}
	switch from.Type {
	case "BASE_TABLE":
		out, err := o.table(ctx, from, seen)
		return out.renamed(from.Aliases), err
	case "SUBQUERY":
		if from.Subquery == nil {
			break
		}
		out, err := o.query(ctx, from.Subquery.Node, seen)
		return out.renamed(from.Aliases), err
	case "EMPTY":
		return outline{}, nil
	}
	if len(from.Aliases) > 0 {
		return outline{names: from.Aliases}, nil
	}
	return outline{doubts: []string{"it selects all columns of what is no table (" + strings.ToLower(from.Type) + ")"}}, nil
}

// table are the columns of a WITH query, of another draft, or of a relation that stands.
func (o *outliner) table(ctx context.Context, from *astFrom, seen scope) (outline, error) {
	if from.Schema == "" {
		if cte, ok := seen[strings.ToLower(from.Table)]; ok {
			return cte, nil
		}
	}
	at := relation{"main", from.Table}
	if from.Schema != "" {
		at.schema = from.Schema
	}
	if d := o.drafts[at.lower()]; d != nil {
		switch {
		case len(d.columns) > 0 && d.settled:
			return outline{names: columnNames(d.columns)}, nil
		case o.open[d]:
			return outline{doubts: []string{"select * gives all columns of " + d.Target.Relation + " itself"}, self: true}, nil
		}
		return o.of(ctx, d)
	}
	there, err := o.c.find(ctx, at)
	if err != nil && !errors.Is(err, context.Canceled) {
		return outline{}, err
	}
	if len(there.columns) == 0 {
		return outline{doubts: []string{"it selects all columns of " + from.Table + ", which is not there"}}, err
	}
	return outline{names: columnNames(there.columns)}, err
}

func (r relation) lower() relation {
	return relation{strings.ToLower(r.schema), strings.ToLower(r.table)}
}

func columnNames(columns []warehouse.Column) []string {
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = c.Name
	}
	return out
}
