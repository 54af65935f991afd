package catalog

import _ "embed" // the schema is a file

//go:embed project.schema.json
var projectSchema []byte

// Schema gives the JSON Schema (2020-12) of what this package reads, by name: "project" is the project file. An included file is that
// schema's $defs/include.
func Schema(name string) (schema []byte, ok bool) {
	if name != "project" {
		return nil, false
	}
	return append([]byte(nil), projectSchema...), true
}
