package vault

import (
	"slices"

	"ass/audit"
	"ass/vault/internal/keys"
)

// From format 2 on, an entry says what was written: it has the roots of the batches in which its transaction signed
// its records. Which record stands where follows from what the entry tells, so that nobody, not even its author,
// can put another record there: first the versions, then the heads of the secrets, then all others, and among each of
// these in the order of their keys.

// batchOrder says where the records of a bucket stand among those of a transaction.
var batchOrder = func() map[string]int {
	order := map[string]int{}
	for i, bucket := range recordBuckets(newestFormat) {
		order[bucket] = 2 + i
	}
	order[bucketVersions], order[bucketSecrets] = 0, 1
	return order
}()

// written is what an entry tells of the versions and the heads that its transaction wrote.
type written struct {
	roots    []string // of the batches, in base64
	versions []string // keys of versions, in order
	heads    []string // paths, in order
}

// writtenBy learns from an entry what its transaction wrote.
func writtenBy(ev audit.Event) (w written) {
	if w.roots = ev.Roots; len(w.roots) == 0 {
		return w
	}
	version := func(path string, n uint64) { w.versions = append(w.versions, string(versionKeyOf(path, n))) }
	_, mended := ev.Metadata["from_version"]
	value := ev.WritesValue() || ev.Type == audit.SecretImported || ev.Type == audit.SecretMended && mended
	for _, item := range ev.Secrets() {
		if value {
			version(item.Path, item.Version)
		}
		if changed, left := audit.WritesItem(&ev, &item); changed && left || ev.Type == audit.SecretImported {
			w.heads = append(w.heads, item.Path)
		}
	}
	list, _ := ev.Metadata["resealed"].([]any)
	for _, x := range list {
		one, _ := x.(map[string]any)
		path, _ := one["path"].(string)
		n, _ := one["version"].(float64)
		version(path, uint64(n))
	}
	slices.Sort(w.versions)
	slices.Sort(w.heads)
	w.versions, w.heads = slices.Compact(w.versions), slices.Compact(w.heads)
	return w
}

// place returns where the entry put a version or a head; the zero inBatch if it tells of no such record.
func (w written) place(bucket, key string) inBatch {
	list, before := w.versions, 0
	if bucket == bucketSecrets {
		list, before = w.heads, len(w.versions)
	}
	i, found := slices.BinarySearch(list, key)
	if i += before; !found || i/batchSize >= len(w.roots) {
		return inBatch{}
	}
	return inBatch{w.roots[i/batchSize], i % batchSize}
}

// formatIn returns the format of the epoch that an entry begins.
func formatIn(ev audit.Event) int {
	if n, ok := ev.Metadata["format"].(float64); ok && n >= keys.Format2 {
		return int(n)
	}
	return keys.Format1
}
