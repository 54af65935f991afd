//go:build race

package sim

// defaultSeeds are few: the race detector costs ten times the time, and the histories of many seeds meet the same code.
const defaultSeeds = 50
