package sim

import (
	"context"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/ledger"
)

func (b *book) Snapshot(ctx context.Context, tables []string) (*history.Snapshot, error) {
	return ask(ctx, b.process, "ledger.Snapshot", false, func() (*history.Snapshot, error) { return b.Ledger.Snapshot(ctx, tables) })
}

func (b *book) Tokens(ctx context.Context) (map[string]history.Token, error) {
	return ask(ctx, b.process, "ledger.Tokens", false, func() (map[string]history.Token, error) { return b.Ledger.Tokens(ctx) })
}

func (b *book) Observe(ctx context.Context, o ledger.Observation) (ledger.Observed, error) {
	return ask(ctx, b.process, "ledger.Observe", true, func() (ledger.Observed, error) { return b.Ledger.Observe(ctx, o) })
}

func (b *book) Acquire(ctx context.Context, req ledger.LeaseRequest) (*ledger.Lease, error) {
	return ask(ctx, b.process, "ledger.Acquire", true, func() (*ledger.Lease, error) {
		l, err := b.Ledger.Acquire(ctx, req)
		if err == nil {
			b.world.granted(req, l)
		}
		return l, err
	})
}

func (b *book) Renew(ctx context.Context, leases []ledger.LeaseID) ([]ledger.LeaseID, error) {
	return ask(ctx, b.process, "ledger.Renew", true, func() ([]ledger.LeaseID, error) {
		live, err := b.Ledger.Renew(ctx, leases)
		if err == nil && len(live) < len(leases) {
			b.world.met["renewal refused"]++
		}
		return live, err
	})
}

func (b *book) Settle(ctx context.Context, lease ledger.LeaseID, table string, set calendar.Set, found []ledger.Commit) (history.Seq, error) {
	return ask(ctx, b.process, "ledger.Settle", true, func() (history.Seq, error) {
		seq, err := b.Ledger.Settle(ctx, lease, table, set, found)
		if err == nil {
			b.world.settled(table, set, found)
		}
		return seq, err
	})
}

func (b *book) Intents(ctx context.Context, tables []string) ([]ledger.Intent, error) {
	return ask(ctx, b.process, "ledger.Intents", false, func() ([]ledger.Intent, error) { return b.Ledger.Intents(ctx, tables) })
}

func (b *book) Leases(ctx context.Context, f ledger.LeaseFilter) ([]ledger.LeaseRecord, error) {
	return ask(ctx, b.process, "ledger.Leases", false, func() ([]ledger.LeaseRecord, error) { return b.Ledger.Leases(ctx, f) })
}

func (b *book) Runs(ctx context.Context, f ledger.RunFilter) ([]ledger.RunRecord, error) {
	return ask(ctx, b.process, "ledger.Runs", false, func() ([]ledger.RunRecord, error) { return b.Ledger.Runs(ctx, f) })
}

func (b *book) StartAttempt(ctx context.Context, req ledger.AttemptRequest) (*ledger.Attempt, error) {
	return ask(ctx, b.process, "ledger.StartAttempt", true, func() (*ledger.Attempt, error) {
		a, err := b.Ledger.StartAttempt(ctx, req)
		if err == nil {
			b.world.started(a, b.version)
		}
		return a, err
	})
}

func (b *book) Record(ctx context.Context, c ledger.Commit) (history.Seq, error) {
	return ask(ctx, b.process, "ledger.Record", true, func() (history.Seq, error) { return b.Ledger.Record(ctx, c) })
}

func (b *book) Fail(ctx context.Context, f ledger.Failure) (history.Seq, error) {
	return ask(ctx, b.process, "ledger.Fail", true, func() (history.Seq, error) { return b.Ledger.Fail(ctx, f) })
}

func (b *book) Recheck(ctx context.Context, r ledger.Recheck) (history.Seq, error) {
	return ask(ctx, b.process, "ledger.Recheck", true, func() (history.Seq, error) { return b.Ledger.Recheck(ctx, r) })
}

func (b *book) Attempts(ctx context.Context, f ledger.AttemptFilter) ([]ledger.AttemptRecord, error) {
	return ask(ctx, b.process, "ledger.Attempts", false, func() ([]ledger.AttemptRecord, error) { return b.Ledger.Attempts(ctx, f) })
}

func (b *book) Contents(ctx context.Context, table string, set calendar.Set) ([]ledger.Content, error) {
	return ask(ctx, b.process, "ledger.Contents", false, func() ([]ledger.Content, error) { return b.Ledger.Contents(ctx, table, set) })
}

func (b *book) Versions(ctx context.Context, table string) ([]ledger.VersionRecord, error) {
	return ask(ctx, b.process, "ledger.Versions", false, func() ([]ledger.VersionRecord, error) { return b.Ledger.Versions(ctx, table) })
}

func (b *book) RaiseTokens(ctx context.Context, floors []ledger.Floor) error {
	return tell(ctx, b.process, "ledger.RaiseTokens", func() error { return b.Ledger.RaiseTokens(ctx, floors) })
}

func (b *book) Release(ctx context.Context, lease ledger.LeaseID, claims []ledger.Claim) error {
	return tell(ctx, b.process, "ledger.Release", func() error { return b.Ledger.Release(ctx, lease, claims) })
}

func (b *book) Intend(ctx context.Context, in ledger.Intent) error {
	return tell(ctx, b.process, "ledger.Intend", func() error { return b.Ledger.Intend(ctx, in) })
}
