package calendar

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Side is an end of a range that a person names; both ends are inclusive.
type Side uint8

// The sides: the first partition of a range, and the last.
const (
	From Side = iota
	To
)

func (s Side) String() string {
	if s == From {
		return "from"
	}
	return "to"
}

// A MisalignedError says that a range does not begin and end where partitions do, and which range of whole partitions lies around it.
type MisalignedError struct {
	Axis     Axis
	From, To string   // as they were given; "" where the range is open
	Aligned  Interval // the smallest range of whole partitions around what was asked for
}

// Suggest gives the ids of the first and last partition of the aligned range; "" where it is open.
func (e *MisalignedError) Suggest() (from, to string) {
	if e.Aligned.Start > Beginning {
		from = e.Axis.ID(e.Aligned.Start)
	}
	if e.Aligned.End < Horizon {
		to = e.Axis.ID(e.Aligned.End - 1)
	}
	return from, to
}

func (e *MisalignedError) Error() string {
	from, to := e.Suggest()
	return fmt.Sprintf("%s is not aligned to grain %s: the aligned range is %s, both ends included",
		rangeInWords(quoteGiven(e.From), quoteGiven(e.To)), e.Axis.Grain, rangeInWords(from, to))
}

func quoteGiven(text string) string {
	if text == "" {
		return ""
	}
	return quoted(text)
}

func rangeInWords(from, to string) string {
	var words []string
	if from != "" {
		words = append(words, From.String(), from)
	}
	if to != "" {
		words = append(words, To.String(), to)
	}
	return strings.Join(words, " ")
}

// ParseBound reads what a person gives as the first or last partition of a range (both inclusive):
//
//   - an id of the axis, as Parse reads it;
//   - an id of a finer grain, if a partition of the axis begins (ends, for To) with it: from 2024-01-01 to 2024-03-31 by month;
//   - today, yesterday, or so long before today: -3d, -2w, -2mo, -1y; or before now: -12h. On a coarser axis that is the partition
//     in which it lies, on a finer one the first (last, for To) partition of that day.
//
// An id of a finer grain within a partition, or of a coarser one, gives a *MisalignedError.
func (a Axis) ParseBound(text string, end Side, now time.Time) (Partition, error) {
	p, aligned, err := a.bound(text, end, now)
	if err != nil || aligned {
		return p, err
	}
	if end == From {
		return 0, &MisalignedError{Axis: a, From: text, Aligned: Interval{p, Horizon}}
	}
	return 0, &MisalignedError{Axis: a, To: text, Aligned: Interval{Beginning, p + 1}}
}

// ParseRange reads both ends of a range as ParseBound does and gives the half-open interval. An empty text leaves that end open. A range
// that ends before it begins is an error, and one that is not aligned a *MisalignedError with both ends aligned.
func (a Axis) ParseRange(from, to string, now time.Time) (Interval, error) {
	iv, aligned := Everything(), true
	if a.Grain == None {
		iv = Single(0)
	}
	if from != "" {
		p, ok, err := a.bound(from, From, now)
		if err != nil {
			return Interval{}, err
		}
		iv.Start, aligned = p, ok
	}
	if to != "" {
		p, ok, err := a.bound(to, To, now)
		if err != nil {
			return Interval{}, err
		}
		iv.End, aligned = p+1, aligned && ok
	}
	switch {
	case iv.Empty():
		return Interval{}, fmt.Errorf("the range ends before it begins: from %s is after to %s", a.resolved(from, iv.Start), a.resolved(to, iv.End-1))
	case !aligned:
		return Interval{}, &MisalignedError{Axis: a, From: from, To: to, Aligned: iv}
	}
	return iv, nil
}

// resolved is a bound as it was given, and what it means where that does not show.
func (a Axis) resolved(text string, p Partition) string {
	if id := a.ID(p); id != text {
		return fmt.Sprintf("%s (%s)", quoted(text), id)
	}
	return text
}

// bound gives the partition that a text means as an end of a range, and whether the range really ends there or only within it.
func (a Axis) bound(text string, end Side, now time.Time) (p Partition, aligned bool, err error) {
	switch {
	case a.Grain == None && text != examples[None]:
		err = fmt.Errorf("%s: an unpartitioned table takes no range", quoted(text))
	case strings.HasPrefix(text, "-") || text == "today" || text == "yesterday":
		aligned = true
		p, err = a.relative(text, end, now)
	default:
		p, aligned, err = a.absolute(text, end)
	}
	// The first hour of the year 0001 may have begun in the year before: clocks were off by odd minutes then.
	if err == nil && a.Grain == Hour && Date(Axis{Day, a.Zone}.At(a.Start(p))) < firstDate {
		err = fmt.Errorf("%s: years begin with 0001", quoted(text))
	}
	if err != nil {
		return 0, false, fmt.Errorf("%s %w", end, err)
	}
	return p, aligned, nil
}

// absolute reads an id of any grain.
func (a Axis) absolute(text string, end Side) (p Partition, aligned bool, err error) {
	grain, ok := grainOf(text)
	if !ok || (grain == None) != (a.Grain == None) {
		return 0, false, fmt.Errorf("%s is not a partition of grain %s: write %s, today, yesterday or so long ago, like -3d",
			quoted(text), a.Grain, examples[a.Grain])
	}
	given := Axis{grain, a.Zone}
	q, err := given.Parse(text)
	if err != nil {
		return 0, false, err
	}
	p = endOf(given.Convert(Single(q), a), end)
	return p, grain == a.Grain || grain < a.Grain && endOf(a.Convert(Single(p), given), end) == q, nil
}

// endOf is the first or last partition of an interval.
func endOf(iv Interval, end Side) Partition {
	if end == From {
		return iv.Start
	}
	return iv.End - 1
}

var errOffset = errors.New("write today, yesterday or so long ago: -12h, -3d, -2w, -2mo, -1y")

// relative reads today, yesterday and -3d.
func (a Axis) relative(text string, end Side, now time.Time) (Partition, error) {
	today := Date(Axis{Day, a.Zone}.At(now))
	var then Date
	switch n, unit, err := splitOffset(text); {
	case text == "today":
		then = today
	case text == "yesterday":
		then = today - 1
	case err != nil:
		return 0, fmt.Errorf("%s: %w", quoted(text), err)
	case unit == "h":
		t := now.Add(-time.Duration(n) * time.Hour)
		then = Date(Axis{Day, a.Zone}.At(t))
		if a.Grain == Hour {
			return a.At(t), nil
		}
	case unit == "d":
		then = today - Date(n)
	case unit == "w":
		then = today - Date(7*n)
	case unit == "mo":
		then = today.AddMonths(-n)
	default:
		then = today.AddMonths(-12 * n)
	}
	if then < firstDate {
		return 0, fmt.Errorf("%s: years begin with 0001", quoted(text))
	}
	return endOf(Axis{Day, a.Zone}.Convert(Single(Partition(then)), a), end), nil
}

// firstDate is 0001-01-01, the first that has an id of the usual shape.
const firstDate Date = -719162

// splitOffset reads -3d. The number has at most six digits, so that no unit overflows.
func splitOffset(text string) (n int, unit string, err error) {
	digits := strings.TrimRight(strings.TrimPrefix(text, "-"), "hdwmoy")
	unit = strings.TrimPrefix(strings.TrimPrefix(text, "-"), digits)
	u, err := strconv.ParseUint(digits, 10, 32)
	switch {
	case err != nil || len(digits) > 6:
		return 0, "", errOffset
	case unit == "m":
		return 0, "", errors.New("m could be minutes or months: write mo for months")
	case unit != "h" && unit != "d" && unit != "w" && unit != "mo" && unit != "y":
		return 0, "", errOffset
	}
	return int(u), unit, nil
}
