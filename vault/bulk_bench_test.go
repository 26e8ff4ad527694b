package vault

import (
	"fmt"
	"testing"

	"ass/tokens"
)

func BenchmarkGetAll(b *testing.B) {
	s := benchVault(b, 1000)
	ns, err := tokens.ParseNamespace("production")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if values, err := s.GetAll(ns); err != nil || len(values) != 1000 {
			b.Fatal(len(values), err)
		}
	}
}

func BenchmarkImport(b *testing.B) {
	items := make([]Item, 1000)
	for i := range items {
		items[i] = Item{Key: fmt.Sprintf("K%d", i), Value: []byte("a value of a usual length")}
	}
	s := benchVault(b, 10)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		ns, err := tokens.ParseNamespace(fmt.Sprintf("import%d", n))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Import(ns, items, ImportOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
