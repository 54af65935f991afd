package catalog

var observeObject = object[Observe]{name: "observe", fields: []field[Observe]{
	{"by", func(l *loader, n node, o *Observe) {
		ways := []string{"fingerprint", "metadata"}
		if i, ok := l.choice(n, ways...); ok {
			o.By = ways[i]
		}
	}},
	{"lookback", func(l *loader, n node, o *Observe) { l.natural(n, &o.Lookback) }},
}}

var contractObject = object[Contract]{name: "contract", fields: []field[Contract]{
	{"columns", func(l *loader, n node, c *Contract) {
		entries, _ := l.entries(n)
		for _, e := range entries {
			col := ContractColumn{Name: e.key, Nullable: true, Pos: e.at}
			if s, ok := e.value.scalarText(); ok {
				col.Type = s
			} else if what := columnObject.read(l, e.value, &col); what != nil && !what.has("type") {
				l.fail(e.at, e.value.what+" has no type", "write the type as the warehouse does, like "+e.key+": varchar")
			}
			c.Columns = append(c.Columns, col)
		}
	}},
	{"patterns", func(l *loader, n node, c *Contract) {
		entries, _ := l.entries(n)
		c.Patterns = make(map[string]string, len(entries))
		for _, e := range entries {
			if s, ok := l.pattern(e.value); ok {
				c.Patterns[e.key] = s
			}
		}
	}},
	{"extra", func(l *loader, n node, c *Contract) {
		ways := []string{"allow", "warn", "refuse"}
		if i, ok := l.choice(n, ways...); ok {
			c.Extra = ways[i]
		}
	}},
}}

var columnObject = object[ContractColumn]{name: "contract_column", fields: []field[ContractColumn]{
	{"type", func(l *loader, n node, c *ContractColumn) { c.Type, _ = l.text(n) }},
	{"nullable", func(l *loader, n node, c *ContractColumn) { c.Nullable, _ = l.boolean(n) }},
}}

func (l *loader) contract(n node) *Contract {
	c := &Contract{Extra: "allow", Pos: n.pos()}
	contractObject.read(l, n, c)
	return c
}
