package vault

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
)

// What is written here is what encoding/json writes, whichever field is set to what. It is read back here, too, but for
// numbers that a float64 does not hold.
func TestPlainBodies(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC)
	head := secretBody{Seq: 7, ID: "0f-1", Version: 1, Tier: tokens.Standard, Type: DefaultType, CreatedAt: now, UpdatedAt: now}
	version := versionBody{Seq: 7, Tier: tokens.Critical, CreatedAt: now}
	texts := []string{"", "a", "db_credential", `"`, `\`, "<", "é", "\x00", "\xff", "a b"}
	numbers := []uint64{0, 9, 1 << 40, 1<<64 - 1}
	times := []time.Time{{}, now, now.Truncate(time.Second), now.In(time.FixedZone("", 3600)), now.AddDate(9000, 0, 0)}
	plain, read := 0, 0
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
		if readsAlike(t, b) {
			read++
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
	if plain < 30 || read < 25 {
		t.Errorf("only %d bodies are plain, and %d of them are read", plain, read)
	}
}

// readsAlike reports whether a body is read as a plain one, which must then be what package audit reads.
func readsAlike(t *testing.T, b []byte) (read bool) {
	t.Helper()
	for _, two := range [][2]plainBody{{new(secretBody), new(secretBody)}, {new(versionBody), new(versionBody)}} {
		if !two[0].readPlain(b) {
			continue
		}
		read = true
		if err := audit.DecodeStrict(b, two[1]); err != nil || !reflect.DeepEqual(two[0], two[1]) {
			t.Errorf("%q is read as %+v, and by audit as %+v, %v", b, two[0], two[1], err)
		}
	}
	return read
}

const (
	plainHead = `{"seq":7,"id":"0f-1","version":1,"tier":"standard","type":"api_key",` +
		`"created_at":"2026-03-04T05:06:07.089Z","updated_at":"2026-03-04T05:06:07Z"}`
	plainVersion = `{"seq":7,"tier":"critical","created_at":"2026-03-04T05:06:07.089Z"}`
)

// Everything that is not plain is left to package audit.
func TestNotPlain(t *testing.T) {
	for _, b := range []string{plainHead, plainVersion} {
		if !readsAlike(t, []byte(b)) {
			t.Errorf("%s is plain", b)
		}
		for i := range b {
			readsAlike(t, []byte(b[:i]+b[i+1:]))
			for _, c := range "\"\\0x} ," {
				readsAlike(t, []byte(b[:i]+string(c)+b[i:]))
				readsAlike(t, []byte(b[:i]+string(c)+b[i+1:]))
			}
			if readsAlike(t, []byte(b[:i])) {
				t.Errorf("%s is not whole", b[:i])
			}
		}
		for old, other := range map[string]string{`:7`: `:07`, `7`: `1000000000000000`, `"seq"`: `"Seq"`, `}`: `,"last":1}`,
			`-03-`: `-13-`, `{`: ` {`, `standard`: `none`, `critical`: ``} {
			if not := strings.Replace(b, old, other, 1); not != b && readsAlike(t, []byte(not)) {
				t.Errorf("%s is not plain", not)
			}
		}
	}
}

// Any bytes that are read as a plain body are what package audit reads.
func FuzzPlain(f *testing.F) {
	f.Add([]byte(plainHead))
	f.Add([]byte(plainVersion))
	f.Fuzz(func(t *testing.T, b []byte) { readsAlike(t, b) })
}
