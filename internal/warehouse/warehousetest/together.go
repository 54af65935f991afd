package warehousetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"pgregory.net/rapid"

	"github.com/headway-data/headway/internal/calendar"
	"github.com/headway-data/headway/internal/history"
	"github.com/headway-data/headway/internal/warehouse"
)

var togetherCases = []testCase{
	{"many publish to their own partitions at once", func(s *store) {
		const writers, rounds = 6, 4
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				for round := range rounds {
					token := history.Token(round + 1)
					own := set(10*i+1, 10*i+2)
					attempt := fmt.Sprintf("a-%d-%d", i, round)
					if err := s.whole(numbers, own, token, attempt, s.query(row{10*i + 1, 1, round}, row{10*i + 2, 1, round})); err != nil {
						s.Errorf("writer %d: %v", i, err)
					}
				}
			})
		}
		wg.Wait()
		var want []row
		for i := range writers {
			want = append(want, row{10*i + 1, 1, rounds - 1}, row{10*i + 2, 1, rounds - 1})
		}
		s.holds(want...)
	}},
	{"readers see a partition old or new and never neither", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 0}, row{1, 2, 0}))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for v := 1; v <= 10; v++ {
				if err := s.whole(numbers, set(1), history.Token(v+1), fmt.Sprint("w-", v), s.query(row{1, 1, v}, row{1, 2, v})); err != nil {
					s.Errorf("write %d: %v", v, err)
				}
			}
		}()
		for reading := true; reading; {
			select {
			case <-done:
				reading = false
			default:
			}
			stage := s.stage(numbers, set(1), "read", "select d, cast(count(*) as integer) as k, cast(count(distinct v) as integer) as v from "+s.w.Relation("numbers")+" group by d")
			want := s.stage(numbers, set(1), "want", s.query(row{1, 2, 1}))
			if !slices.Equal(stage.Contents, want.Contents) {
				s.Fatal("a reader saw a partition that was half replaced")
			}
		}
	}},
	{"of two that race for the fence one publishes", func(s *store) {
		s.write(numbers, set(1), 1, s.query(row{1, 1, 0}))
		for round := range 8 {
			low, high := history.Token(2*round+2), history.Token(2*round+3)
			var wg sync.WaitGroup
			outcomes := make([]error, 2)
			for i, token := range []history.Token{low, high} {
				wg.Go(func() {
					outcomes[i] = s.whole(numbers, set(1), token, fmt.Sprint("a-", token), s.query(row{1, 1, int(token)}))
				})
			}
			wg.Wait()
			var fenced *warehouse.FencedError
			if outcomes[1] != nil || (outcomes[0] != nil && !errors.As(outcomes[0], &fenced)) {
				s.Fatalf("round %d: %v", round, outcomes)
			}
			s.holds(row{1, 1, int(high)})
		}
	}},
	{"rule 2 once the fence has risen nothing more appears", func(s *store) {
		// Enough rows that a publish takes a while, in the middle of which the fence rises; whoever settles then looks at the markers.
		var ten []row
		for k := range 10 {
			ten = append(ten, row{1, k, 0})
		}
		q := "(" + s.query(ten...) + ")"
		many := fmt.Sprintf("select a.d, a.k, a.v from %s as a, %s as b, %s as c, %s as e, %s as f", q, q, q, q, q)
		for round := range 8 {
			day, low := set(1), history.Token(2*round+1)
			s.raise(numbers, day, low)
			stage := s.stage(numbers, day, fmt.Sprint("a-", round), many)
			began, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				close(began)
				_, err := s.w.Publish(s.ctx, publication(numbers, stage, day, low))
				ended <- err
			}()
			<-began
			for range round % 4 {
				s.markers(numbers, day) // later and later
			}
			s.raise(numbers, day, low+1)
			found := len(s.markers(numbers, day)) == 1 && s.markers(numbers, day)[0].Token == low
			if err := <-ended; (err == nil) != found {
				s.Fatalf("round %d: the marker was there when the fence had risen: %t; the publish: %v", round, found, err)
			}
			s.must(s.w.Discard(s.ctx, stage))
		}
	}},
}

// whole is fence, stage, publish and discard, with the error that stopped it.
func (s *store) whole(target warehouse.Target, set calendar.Set, token history.Token, attempt, query string) error {
	if err := s.w.Raise(s.ctx, warehouse.Fence{Table: target.Table, Set: set, Token: token}); err != nil {
		return err
	}
	stage, err := s.w.Stage(s.ctx, warehouse.StageRequest{Target: target, Set: set, Query: query, Attempt: attempt})
	if err != nil {
		return err
	}
	_, err = s.w.Publish(s.ctx, publication(target, stage, set, token))
	return errors.Join(err, s.w.Discard(s.ctx, stage))
}

// A model is what a warehouse should hold: rows by day, the fence and the newest marker of each.
type model struct {
	rows    map[int][]row
	fence   map[int]history.Token
	markers map[int]warehouse.Marker
}

// A pending is a stage of the model that was not published yet.
type pending struct {
	stage *warehouse.Stage
	days  []int
	rows  map[int][]row
	token history.Token
}

const modelDays = 6

func drawDays(t *rapid.T, label string) []int {
	var out []int
	for day := 1; day <= modelDays; day++ {
		if rapid.Bool().Draw(t, fmt.Sprintf("%s %d", label, day)) {
			out = append(out, day)
		}
	}
	return out
}

var modelCases = []testCase{
	{"any sequence of raising, staging and publishing", func(s *store) {
		round := 0
		rapid.Check(s.T, func(t *rapid.T) {
			round++
			target := table(fmt.Sprintf("model_%d", round))
			m := &model{rows: map[int][]row{}, fence: map[int]history.Token{}, markers: map[int]warehouse.Marker{}}
			var waiting []*pending
			steps := rapid.IntRange(1, 14).Draw(t, "steps")
			for step := range steps {
				switch op := rapid.IntRange(0, 5).Draw(t, "op"); {
				case op <= 1:
					s.modelRaise(t, target, m)
				case op <= 3 || len(waiting) == 0:
					waiting = append(waiting, s.modelStage(t, target, step))
				default:
					s.modelPublish(t, target, m, waiting[rapid.IntRange(0, len(waiting)-1).Draw(t, "which")])
				}
				s.modelCompare(t, target, m)
			}
			for _, p := range waiting {
				if err := s.w.Discard(s.ctx, p.stage); err != nil {
					t.Fatal(err)
				}
			}
		})
	}},
}

func (s *store) modelRaise(t *rapid.T, target warehouse.Target, m *model) {
	days := drawDays(t, "raise")
	token := history.Token(rapid.IntRange(1, 6).Draw(t, "token"))
	var higher []int
	for _, d := range days {
		if m.fence[d] > token {
			higher = append(higher, d)
		}
	}
	err := s.w.Raise(s.ctx, warehouse.Fence{Table: target.Table, Set: set(days...), Token: token})
	var fenced *warehouse.FencedError
	if len(higher) > 0 {
		if !errors.As(err, &fenced) || !fenced.Fenced.Equal(set(higher...)) {
			t.Fatalf("raise %v to %d: %v, want %v fenced", days, token, err, higher)
		}
		return
	}
	if err != nil {
		t.Fatalf("raise %v to %d: %v", days, token, err)
	}
	for _, d := range days {
		m.fence[d] = token
	}
}

func (s *store) modelStage(t *rapid.T, target warehouse.Target, step int) *pending {
	p := &pending{days: append(drawDays(t, "stage"), 7), rows: map[int][]row{}, token: history.Token(rapid.IntRange(1, 6).Draw(t, "own token"))}
	var rows []row
	for _, d := range p.days {
		for k := range rapid.IntRange(0, 3).Draw(t, "rows") {
			r := row{d, k, rapid.IntRange(0, 3).Draw(t, "value")}
			p.rows[d] = append(p.rows[d], r)
			rows = append(rows, r)
		}
	}
	rand.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] }) //nolint:forbidigo // the order must not matter
	stage, err := s.w.Stage(s.ctx, warehouse.StageRequest{Target: target, Set: set(p.days...), Query: s.query(rows...), Attempt: fmt.Sprint("m", step)})
	if err != nil {
		t.Fatalf("stage: %v", err)
	}
	p.stage = stage
	return p
}

func (s *store) modelPublish(t *rapid.T, target warehouse.Target, m *model, p *pending) {
	var days, wrong []int
	for _, d := range p.days {
		if rapid.Bool().Draw(t, "passed") {
			days = append(days, d)
			if m.fence[d] != p.token {
				wrong = append(wrong, d)
			}
		}
	}
	done, err := s.w.Publish(s.ctx, publication(target, p.stage, set(days...), p.token))
	var fenced *warehouse.FencedError
	if len(wrong) > 0 {
		if !errors.As(err, &fenced) || !fenced.Fenced.Equal(set(wrong...)) {
			t.Fatalf("publish %v with %d: %v, want %v fenced", days, p.token, err, wrong)
		}
		return
	}
	if err != nil {
		t.Fatalf("publish %v with %d: %v", days, p.token, err)
	}
	inserted := map[calendar.Partition]warehouse.Content{}
	for _, c := range done.Inserted {
		inserted[c.Partition] = c
	}
	replaced := map[calendar.Partition]string{}
	for _, c := range done.Replaced {
		replaced[c.Partition] = c.Fingerprint
	}
	for _, d := range days {
		at := first + calendar.Partition(d)
		m.rows[d] = p.rows[d]
		m.markers[d] = warehouse.Marker{
			Table: target.Table, Partition: at, Attempt: p.stage.Attempt, Token: p.token, Version: "v1", Rows: inserted[at].Rows,
			Fingerprint: inserted[at].Fingerprint, Replaced: replaced[at], At: publication(target, p.stage, set(), 0).At,
		}
	}
}

// modelCompare holds the warehouse against the model.
func (s *store) modelCompare(t *rapid.T, target warehouse.Target, m *model) {
	got, err := s.w.Contents(s.ctx, target, calendar.All())
	if err != nil {
		t.Fatal(err)
	}
	rows := map[int]int64{}
	for _, c := range got {
		rows[int(c.Partition-first)] = c.Rows
	}
	for d := 1; d <= modelDays+1; d++ {
		if rows[d] != int64(len(m.rows[d])) {
			t.Fatalf("day %d holds %d rows, want %v", d, rows[d], m.rows[d])
		}
	}
	markers, err := s.w.Markers(s.ctx, target.Table, calendar.All())
	if err != nil {
		t.Fatal(err)
	}
	if len(markers) != len(m.markers) {
		t.Fatalf("%d markers, want %d", len(markers), len(m.markers))
	}
	for _, mark := range markers {
		if want := m.markers[int(mark.Partition-first)]; mark != want {
			t.Fatalf("marker %+v, want %+v", mark, want)
		}
	}
	i := slices.IndexFunc(got, func(c warehouse.Content) bool { return c.Fingerprint != m.markers[int(c.Partition-first)].Fingerprint })
	if i >= 0 {
		t.Fatalf("day %d holds %+v, and was marked %+v", got[i].Partition-first, got[i], m.markers[int(got[i].Partition-first)])
	}
}
