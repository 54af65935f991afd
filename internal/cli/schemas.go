package cli

import (
	"embed"
	"sort"
	"strings"

	"github.com/headway-data/headway/internal/catalog"
)

// The schemas of the answers, by hand: they are the contract that scripts are written against.
//
//go:embed schemas/*.json
var schemaFiles embed.FS

// schemaNames lists the schemas that `headway schema` prints.
func schemaNames() []string {
	names := []string{"project"}
	entries, err := schemaFiles.ReadDir("schemas")
	if err != nil {
		panic("cli: the embedded schemas cannot be read: " + err.Error())
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	sort.Strings(names)
	return names
}

// schemaOf is the JSON Schema of a name.
func schemaOf(name string) ([]byte, bool) {
	if text, ok := catalog.Schema(name); ok {
		return text, true
	}
	text, err := schemaFiles.ReadFile("schemas/" + name + ".json")
	return text, err == nil
}
