package calendar

import (
	"fmt"
	"time"
)

// A Date is a civil date: days since 1970-01-01 in the proleptic Gregorian calendar, with no zone.
type Date int64

// DateOf is the number of a civil date. The month is one of the twelve; days run on: January 32 is February 1. (Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms", days_from_civil.)
func DateOf(y int, m time.Month, d int) Date {
	yy, mm := int64(y), int64(m)
	if mm <= 2 {
		yy--
	}
	era := floorDiv(yy, 400)
	yoe := yy - era*400
	doy := (153*((mm+9)%12)+2)/5 + int64(d) - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return Date(era*146097 + doe - 719468)
}

// Civil is the year, month and day of the date (Hinnant, civil_from_days).
func (d Date) Civil() (y int, m time.Month, day int) {
	z := int64(d) + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	mm := mp + 3
	if mm > 12 {
		mm -= 12
	}
	yy := yoe + era*400
	if mm <= 2 {
		yy++
	}
	return int(yy), time.Month(mm), int(doy - (153*mp+2)/5 + 1)
}

func (d Date) String() string {
	y, m, day := d.Civil()
	return fmt.Sprintf("%04d-%02d-%02d", y, int(m), day)
}

// Weekday is the day of the week.
func (d Date) Weekday() time.Weekday {
	return time.Weekday(modulo(int64(d)+4, 7))
}

// AddMonths moves the date by whole months; a day that the month does not have becomes its last day.
func (d Date) AddMonths(n int) Date {
	y, m, day := d.Civil()
	y, m = monthCivil(MonthOf(y, m) + Partition(n))
	return DateOf(y, m, min(day, daysIn(y, m)))
}

var daysOfMonth = [...]int{time.January: 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// daysIn is the length of a month.
func daysIn(y int, m time.Month) int {
	if m == time.February && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		return 29
	}
	return daysOfMonth[m]
}

func (d Date) month() Partition {
	y, m, _ := d.Civil()
	return MonthOf(y, m)
}

// MonthOf is the number of a month: months since 1970-01.
func MonthOf(y int, m time.Month) Partition { return Partition((int64(y)-1970)*12 + int64(m) - 1) }

func monthCivil(p Partition) (y int, m time.Month) {
	return int(floorDiv(int64(p), 12) + 1970), time.Month(modulo(int64(p), 12) + 1)
}

func firstOfMonth(p Partition) Date {
	y, m := monthCivil(p)
	return DateOf(y, m, 1)
}

// floorDiv and modulo round down, also below zero; b is positive.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func modulo(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}
