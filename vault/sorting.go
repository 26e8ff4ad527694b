package vault

import (
	"sort"
	"time"
)

// sortList sorts a list whose type only one place sorts. slices.SortFunc is compiled again for each type, into some
// 10 KiB of the program, and this into 1.
func sortList[T any](list []T, compare func(a, b T) int) { sort.Sort(sorting[T]{list, compare}) }

// sortBy sorts by a time, the earliest first, and leaves what has one time in its order.
func sortBy[T any](list []T, at func(T) time.Time) {
	sort.Stable(sorting[T]{list, func(a, b T) int { return at(a).Compare(at(b)) }})
}

type sorting[T any] struct {
	list    []T
	compare func(a, b T) int
}

func (s sorting[T]) Len() int           { return len(s.list) }
func (s sorting[T]) Less(i, j int) bool { return s.compare(s.list[i], s.list[j]) < 0 }
func (s sorting[T]) Swap(i, j int)      { s.list[i], s.list[j] = s.list[j], s.list[i] }
