package vault

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"ass/tokens"
)

// What is written here is what encoding/json writes, whichever field is set to what.
func TestPlainBodies(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	head := secretBody{Seq: 7, ID: "0f-1", Version: 1, Tier: tokens.Standard, Type: DefaultType, CreatedAt: now, UpdatedAt: now}
	version := versionBody{Seq: 7, Tier: tokens.Critical, CreatedAt: now}
	texts := []string{"", "a", "db_credential", `"`, `\`, "<", "é", "\x00", "\xff", "a b"}
	numbers := []uint64{0, 9, 1 << 40, 1<<64 - 1}
	times := []time.Time{{}, now, now.Truncate(time.Second), now.In(time.FixedZone("", 3600)), now.AddDate(9000, 0, 0)}
	plain := 0
	compare := func(body any) {
		t.Helper()
		b, ok := body.(plainBody).plain()
		if !ok {
			return
		}
		plain++
		if want, err := json.Marshal(body); err != nil || string(b) != string(want) {
			t.Errorf("%s, but encoding/json: %s, %v", b, want, err)
		}
	}
	for _, body := range []any{&head, &version} {
		v := reflect.ValueOf(body).Elem()
		for i := range v.NumField() {
			f := v.Field(i)
			if !f.CanSet() {
				continue
			}
			was, set := reflect.New(f.Type()).Elem(), func(x any) { f.Set(reflect.ValueOf(x)); compare(body) }
			was.Set(f)
			switch f.Interface().(type) {
			case uint64:
				for _, n := range numbers {
					set(n)
				}
			case string:
				for _, s := range texts {
					set(s)
				}
			case time.Time:
				for _, at := range times {
					set(at)
				}
			case tokens.Tier:
				for tier := range tokens.Tier(5) {
					set(tier)
				}
			case []byte:
				set([]byte{1})
			default: // a pointer to what is there if it is not nil
				set(reflect.New(f.Type().Elem()).Interface())
			}
			f.Set(was)
		}
	}
	if plain < 30 {
		t.Errorf("only %d bodies are plain", plain)
	}
}
