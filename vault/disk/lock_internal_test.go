package disk

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
)

// The name of a holder is the JSON that every version writes and reads.
func TestHolderJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, h := range []holder{{1, "ass secrets set", at}, {4194304, "", at}, {7, "a \"b\" <é>\n\xff", at}} {
		want, err := json.Marshal(h)
		if got := h.json(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s instead of %s, %v", got, want, err)
		}
	}
}
