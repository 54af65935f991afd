// Package sim holds nothing but a test: a deterministic simulation of runs that meet on the same tables.
//
// The runs are the real ones: each process opens the project, looks, plans and runs with the code that the command line calls, down to the
// ledger and the warehouse. Those two are models in memory (ledger/mem, and the store of this package), and every call to them waits until a
// scheduler lets it happen, one at a time. Time is the bubble's of testing/synctest, where it passes when the scheduler says so. Between
// the calls the scheduler lets processes crash, stall past their leases and wake up, lets the machine sleep, loses answers, lets transactions
// commit after everybody has given them up, and gives a person's orders. All of it comes from a seed, so a seed is a history that can be
// had again. After each change the invariants are asked, from outside: by what is visible, not by what the code says of itself.
//
//	go test ./internal/sim -run Sim -seeds 100000
//	go test ./internal/sim -run Sim -seed 4711        one history, with its trace
package sim
