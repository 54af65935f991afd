//go:build !race

package sim

// defaultSeeds are tried in about ten seconds.
const defaultSeeds = 2000
