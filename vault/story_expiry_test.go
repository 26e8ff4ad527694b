package vault

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/uuid"

	"ass/audit"
)

// A log tells of many tokens that lapse one after the other. Each is looked at when it is issued and when it ends, not
// whenever another ends.
func TestManyTokensLapseInTime(t *testing.T) {
	t.Parallel()
	st, pub := newStory(nil), base64.StdEncoding.EncodeToString(make([]byte, 32))
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const tokens = 40_000
	start := time.Now()
	for i := range tokens {
		at := began.Add(time.Duration(i) * time.Minute)
		id := uuid.UUID{12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		st.apply(uint64(i+1), audit.Owner, audit.Event{Type: audit.TokenIssued, ResourceID: id.String(), CreatedAt: at, Metadata: map[string]any{
			"public_key": pub, "expires_at": at.Add(time.Hour).Format(time.RFC3339)}}, true)
	}
	took := time.Since(start)
	live := 0
	for _, who := range st.actors {
		if who.Ended == 0 {
			live++
		}
	}
	if want := 60 + int(clockGrace/time.Minute); live != want {
		t.Errorf("%d tokens are live, want %d", live, want)
	}
	if took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}
