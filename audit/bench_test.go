package audit

import (
	"testing"
	"time"
)

var benchEvent = Event{
	ID: "7b2b7bb0-7e1c-4c9e-8f0e-0d3c5f0a9f11", Type: SecretRead, ActorID: Owner, ActorType: Human, ResourceType: "secret",
	ResourceID: "production/gemini/GEMINI_API_KEY", Metadata: map[string]any{"version": 1, "tier": "standard"},
	CreatedAt: time.Unix(1e9, 0).UTC(),
}

// BenchmarkAppend measures one entry: its JSON, signature, MAC and next key.
func BenchmarkAppend(b *testing.B) {
	l := newLog()
	for b.Loop() {
		l.add(b, Owner, l.owner, benchEvent)
		l.keys, l.values = l.keys[:0], l.values[:0]
	}
}

func BenchmarkVerify(b *testing.B) {
	const entries = 1000
	l := newLog()
	l.add(b, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	for range entries - 1 {
		l.add(b, Owner, l.owner, benchEvent)
	}
	for b.Loop() {
		if at, _, findings := l.verify(); at.Seq != entries || findings != nil {
			b.Fatal(at.Seq, findings)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
}

func BenchmarkNextKey(b *testing.B) {
	var k [32]byte
	for b.Loop() {
		k = NextKey(k)
	}
}
