// Package minimal holds the project that `headway init` makes: one source, two tables.
package minimal

import "embed"

// Files is the project folder.
//
//go:embed headway.yaml sql data
var Files embed.FS
