// Package deptest holds the rules of who may import whom, and the budgets of size, as tests.
//
// The design says that dependencies point inwards: a pure core that does no I/O and knows no clock, contracts around it, drivers that
// know their contract alone, then the use cases, and the command line above all. Reviewers forget such rules; a test does not. The table
// of layers is in layers_test.go: a new package, or a new arrow between two, is a line there, with the design's consent.
package deptest
