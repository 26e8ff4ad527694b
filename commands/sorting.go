package commands

import "sort"

// sortList sorts a list whose type only one place sorts. slices.SortFunc is compiled again for each type, into some
// 10 KiB of the program, and this into 1.
func sortList[T any](list []T, compare func(a, b T) int) { sort.Sort(sorting[T]{list, compare}) }

// sortStable is sortList that leaves those that compare as equal in their order.
func sortStable[T any](list []T, compare func(a, b T) int) { sort.Stable(sorting[T]{list, compare}) }

type sorting[T any] struct {
	list    []T
	compare func(a, b T) int
}

func (s sorting[T]) Len() int           { return len(s.list) }
func (s sorting[T]) Less(i, j int) bool { return s.compare(s.list[i], s.list[j]) < 0 }
func (s sorting[T]) Swap(i, j int)      { s.list[i], s.list[j] = s.list[j], s.list[i] }
