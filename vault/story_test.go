package vault

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// What is learned from the entries of a log, one by one.

// The log says who may sign: agents that the owner introduced, with the keys that the owner
// derives, and tokens of the owner and of agents.
func TestWhomTheLogIntroduces(t *testing.T) {
	const (
		agent = "agt_00000001"
		jti   = "0f8fad5b-d9cb-469f-a165-70867728950e"
		other = "0f8fad5b-d9cb-469f-a165-70867728950f"
	)
	type entry struct {
		by, event, id string
		note          map[string]any
		unchecked     bool
	}
	serial := func(n any) map[string]any {
		return map[string]any{"serial": n, "scopes": []any{"secrets:*:a/*"}}
	}
	pub := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	key := func(text, scope string) map[string]any {
		return map[string]any{"public_key": text, "scopes": []any{scope}}
	}
	makes := func(id string, n any) entry {
		return entry{audit.Owner, audit.AgentCreated, id, serial(n), false}
	}
	rotates := func(by string, n any) entry { return entry{by, audit.AgentKeyRotated, agent, serial(n), false} }
	revokes := func(by, id string) entry { return entry{by, audit.AgentRevoked, id, nil, false} }
	issues := func(by, id, text string) entry {
		return entry{by, audit.TokenIssued, id, key(text, "secrets:*:*"), false}
	}
	unchecked := func(e entry) entry { e.unchecked = true; return e }
	created := makes(agent, 1.0)
	issued := issues(agent, jti, pub)
	asked := func(id, by, asker string) entry {
		return entry{by, audit.ApprovalRequested, id, map[string]any{"asker": asker}, false}
	}
	const noToken, noRequest = "it is not a valid record of issuing a token", "it is not a valid request of"
	const notOwner = `by "agt_00000001", who is not the owner`
	for name, c := range map[string]struct {
		log     []entry
		knows   string // ids, in order
		changed string // names of records that entries changed, in order
		finds   string
	}{
		"an agent":             {[]entry{created}, agent, agent, ""},
		"an agent's next key":  {[]entry{created, rotates(audit.Owner, 2.0)}, agent, agent, ""},
		"revoked, and unknown": {[]entry{revokes(audit.Owner, agent)}, "", agent, ""},
		"no serial":            {[]entry{{audit.Owner, audit.AgentCreated, agent, nil, false}}, "", "", ""},
		"half a serial":        {[]entry{makes(agent, 1.5)}, "", "", ""},
		"a negative serial":    {[]entry{makes(agent, -1.0)}, "", "", ""},
		"a huge serial":        {[]entry{makes(agent, 1e20)}, "", "", ""},
		"a serial of 33 bits":  {[]entry{makes(agent, float64(1<<32+1))}, "", "", ""},
		"a secret as an agent": {[]entry{makes("a/K", 1.0)}, "", "", ""},
		"a secret is revoked":  {[]entry{revokes(audit.Owner, "a/K")}, "", "", ""},
		"an agent is revoked":  {[]entry{created, issued, revokes(audit.Owner, agent)}, "", agent, ""},
		"an agent by an agent": {[]entry{created,
			{agent, audit.AgentCreated, "agt_00000002", serial(1.0), false}}, agent, agent, notOwner},
		"a key by its agent":       {[]entry{created, rotates(agent, 2.0)}, agent, agent, notOwner},
		"revoked by an agent":      {[]entry{created, revokes(agent, agent)}, agent, agent, notOwner},
		"updated by an agent":      {[]entry{created, {agent, audit.AgentUpdated, agent, serial(1.0), false}}, agent, agent, notOwner},
		"tokens of an old key":     {[]entry{created, issued, rotates(audit.Owner, 2.0)}, agent, agent, ""},
		"revoked, and not checked": {[]entry{created, unchecked(revokes(audit.Owner, agent))}, "", agent, ""},
		"alive, and not checked": {[]entry{created, revokes(audit.Owner, agent),
			unchecked(rotates(audit.Owner, 2.0))}, "", agent, ""},
		"an earlier key, and not checked": {[]entry{makes(agent, 2.0),
			unchecked(rotates(audit.Owner, 1.0))}, agent, agent, ""},
		"a token":                   {[]entry{created, issued}, jti + " " + agent, agent, ""},
		"a token twice":             {[]entry{created, issued, issued}, jti + " " + agent, agent, noToken},
		"a token that has no uuid":  {[]entry{issues(audit.Owner, "t", pub)}, "", "", noToken},
		"a token with half a key":   {[]entry{issues(audit.Owner, jti, pub[:20])}, "", "", noToken},
		"a token with more of it":   {[]entry{issues(audit.Owner, jti, pub+"?")}, "", "", noToken},
		"a token without a key":     {[]entry{{audit.Owner, audit.TokenIssued, jti, nil, false}}, "", "", noToken},
		"a token by a token":        {[]entry{created, issued, issues(jti, other, pub)}, jti + " " + agent, agent, noToken},
		"a request":                 {[]entry{asked(jti, agent, agent)}, "", "", ""},
		"a request twice":           {[]entry{asked(jti, agent, agent), asked(jti, agent, agent)}, "", "", noRequest},
		"a request of another":      {[]entry{asked(jti, agent, other)}, "", "", noRequest},
		"an approval by the owner":  {[]entry{{audit.Owner, audit.ApprovalGranted, jti, nil, false}}, "", "", ""},
		"an approval by an agent":   {[]entry{{agent, audit.ApprovalGranted, jti, nil, false}}, "", "", "a decision by"},
		"a denial by another agent": {[]entry{{agent, audit.ApprovalDenied, jti, nil, false}}, "", "", "a decision by"},
	} {
		t.Run(name, func(t *testing.T) {
			root := keys.NewRoot(keys.Random())
			st := newStory(root)
			for i, e := range c.log {
				st.apply(uint64(i+1), e.by, audit.Event{Type: e.event, ResourceID: e.id, Metadata: e.note}, !e.unchecked)
			}
			found := strings.Join(st.problems, "\n")
			if got := strings.Join(slices.Sorted(maps.Keys(st.actors)), " "); got != c.knows {
				t.Errorf("it knows %q, want %q", got, c.knows)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(st.records)), " "); got != c.changed {
				t.Errorf("it expects the records %q, want %q", got, c.changed)
			}
			if c.finds == "" && found != "" || !strings.Contains(found, c.finds) {
				t.Errorf("it found %q, want %q", found, c.finds)
			}
			who, ok := st.actors[agent]
			if ok && !ed25519.PublicKey(who.Pub).Equal(public(keys.NewGrantee(root.AgentSecret(agent, who.Serial)).Sign)) {
				t.Error("the agent's key is not the one that the owner derives")
			}
			if token, ok := st.actors[jti]; ok && token.Scopes.String() != "secrets:*:a/*" {
				t.Errorf("the token reaches %s, further than its issuer", token.Scopes)
			}
		})
	}
	t.Run("a revocation that was not checked, and a later key", func(t *testing.T) {
		root := keys.NewRoot(keys.Random())
		st := newStory(root)
		st.apply(1, audit.Owner, audit.Event{Type: audit.AgentRevoked, ResourceID: agent}, false)
		if _, ok := st.revoked[agent]; !ok {
			t.Error("nothing is known of the revocation")
		}
		st.apply(2, audit.Owner, audit.Event{Type: audit.AgentKeyRotated, ResourceID: agent, Metadata: serial(2.0)}, true)
		if _, ok := st.revoked[agent]; ok {
			t.Error("the agent stays revoked, though the owner gave it a key")
		}
	})
	t.Run("a later key that was not checked, with more scopes", func(t *testing.T) {
		st := newStory(keys.NewRoot(keys.Random()))
		st.apply(1, audit.Owner, audit.Event{Type: audit.AgentCreated, ResourceID: agent, Metadata: serial(1.0)}, true)
		wide := map[string]any{"serial": 2.0, "scopes": []any{"secrets:*:*"}}
		st.apply(2, audit.Owner, audit.Event{Type: audit.AgentKeyRotated, ResourceID: agent, Metadata: wide}, false)
		if who := st.actors[agent]; who.Serial != 2 || who.Scopes.String() != "secrets:*:a/*" {
			t.Errorf("key %d has %s", who.Serial, who.Scopes)
		}
	})
	t.Run("what a checkpoint covers", func(t *testing.T) {
		root := keys.NewRoot(keys.Random())
		st := newStory(root)
		st.from.Seq = 2
		st.apply(2, audit.Owner, audit.Event{Type: audit.AgentCreated, ResourceID: agent, Metadata: serial(1.0)}, true)
		if _, knows := st.actors[agent]; !knows || len(st.records) > 0 {
			t.Errorf("it knows the agent: %v; it expects %d records", knows, len(st.records))
		}
	})
}

// An entry is in order if its author's scopes cover what it says.
func TestWhatAnEntryMaySay(t *testing.T) {
	for name, c := range map[string]struct {
		scopes, event, of string
		may               bool
	}{
		"a write":                     {"secrets:write:a/*", audit.SecretUpdated, "a/K", true},
		"a write elsewhere":           {"secrets:write:a/*", audit.SecretUpdated, "b/K", false},
		"a write by one who deletes":  {"secrets:delete:a/*", audit.SecretUpdated, "a/K", false},
		"a deletion":                  {"secrets:delete:a/*", audit.SecretDeleted, "a/K", true},
		"a deletion by one who sets":  {"secrets:write:a/*", audit.SecretDeleted, "a/K", false},
		"a purge by one who may all":  {"secrets:*:*", audit.SecretPurged, "a/K", false},
		"a write to what is no place": {"secrets:*:*", audit.SecretUpdated, "K", false},
	} {
		scopes, err := tokens.ParseScopes(c.scopes)
		if err != nil {
			t.Fatal(err)
		}
		if got := (actorAt{Scopes: scopes}).may(audit.Event{Type: c.event, ResourceID: c.of}); got != c.may {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The entries about a secret follow from each other.
func TestEntriesFollow(t *testing.T) {
	const value, none = true, false
	gone, at2 := recordAt{Gone: true}, recordAt{Version: 2, Tier: tokens.Sensitive}
	is := func(version uint64, tier tokens.Tier, by string) recordAt {
		return recordAt{Version: version, Tier: tier, By: by}
	}
	for name, c := range map[string]struct {
		before, now recordAt
		value       bool
		want        string
	}{
		"created":                    {gone, is(1, tokens.Sensitive, "agt_1"), value, ""},
		"created at version 2":       {gone, is(2, tokens.Sensitive, "agt_1"), value, "it records version 2"},
		"created without a value":    {gone, is(1, tokens.Sensitive, "agt_1"), none, "it records version 1"},
		"set":                        {at2, is(3, tokens.Sensitive, "agt_1"), value, ""},
		"set again to its version":   {at2, is(2, tokens.Sensitive, "agt_1"), value, "it records version 2"},
		"set to a later version":     {at2, is(4, tokens.Sensitive, "agt_1"), value, "it records version 4"},
		"changed without a value":    {at2, is(2, tokens.Sensitive, "agt_1"), none, ""},
		"another version, no value":  {at2, is(3, tokens.Sensitive, "agt_1"), none, "it records version 3"},
		"its tier lowered":           {at2, is(3, tokens.Standard, "agt_1"), value, `"agt_1" changed the tier to standard`},
		"its tier raised":            {at2, is(3, tokens.Critical, "agt_1"), value, `"agt_1" changed the tier to critical`},
		"its tier lowered, by owner": {at2, is(3, tokens.Standard, audit.Owner), value, ""},
		"purged":                     {at2, recordAt{By: audit.Owner, Gone: true}, none, ""},
	} {
		if got := c.now.follows(c.before, c.value, keys.Format1); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// In format 2, numbers go on behind the last one.
	gone5, at2of5 := recordAt{Gone: true, Last: 5}, recordAt{Version: 2, Last: 5, Tier: tokens.Standard}
	for name, c := range map[string]struct {
		before, now recordAt
		value       bool
		want        string
	}{
		"created":                       {gone, is(1, tokens.Standard, "agt_1"), value, ""},
		"created after a purge":         {gone5, is(6, tokens.Standard, "agt_1"), value, ""},
		"created with a number again":   {gone5, is(5, tokens.Standard, audit.Owner), value, "it records version 5"},
		"created with 1 again":          {gone5, is(1, tokens.Standard, audit.Owner), value, "it records version 1"},
		"created without a value":       {gone5, is(6, tokens.Standard, audit.Owner), none, "it records version 6"},
		"set after a restore":           {at2of5, is(6, tokens.Standard, "agt_1"), value, ""},
		"set with a number again":       {at2of5, is(3, tokens.Standard, audit.Owner), value, "it records version 3"},
		"created anew by the owner":     {at2of5, is(6, tokens.Standard, audit.Owner), value, ""},
		"created anew by somebody else": {at2of5, is(7, tokens.Standard, "agt_1"), value, "it records version 7"},
		"set to a later version":        {at2of5, is(5, tokens.Standard, audit.Owner), value, "it records version 5"},
	} {
		if got := c.now.follows(c.before, c.value, keys.Format2); got != c.want {
			t.Errorf("in format 2, %s: %q, want %q", name, got, c.want)
		}
	}
	if gone.String() != "not there" || at2.String() != "at version 2, sensitive" {
		t.Errorf("before them, the secret was %s, or %s", gone, at2)
	}
}

// Only the owner mends secrets, and what somebody else says of that changes nothing.
func TestWhoMends(t *testing.T) {
	for by, found := range map[string]int{audit.Owner: 0, "agt_1": 1} {
		st := newStory(keys.NewRoot(keys.Random()))
		for seq, ev := range []audit.Event{
			{Type: audit.SecretCreated, ResourceID: "a/K", Metadata: map[string]any{"version": 1.0, "tier": "critical"}},
			{Type: audit.SecretMended, ResourceID: "a/K", Metadata: map[string]any{"version": 3.0, "tier": "standard",
				"from_version": 1.0}},
		} {
			who := audit.Owner
			if seq == 1 {
				who = by
			}
			st.apply(uint64(seq+1), who, ev, true)
		}
		if is := st.records["a/K"].Version; len(st.problems) != found || (is == 3) != (found == 0) {
			t.Errorf("by %s: version %d, %q", by, is, st.problems)
		}
	}
}

// A restore keeps each secret at the highest tier that the log gives it. Only the owner lowers a
// tier or ends a secret, and only in an entry that was checked.
func TestTiersThatTheLogTells(t *testing.T) {
	type entry struct {
		by, event, tier string
		unchecked       bool
	}
	const agent, critical, standard = "agt_1", "critical", "standard"
	for name, c := range map[string]struct {
		then entry // after a critical value
		want tokens.Tier
	}{
		"raised by an agent":            {entry{agent, audit.SecretUpdated, critical, false}, tokens.Critical},
		"raised, and not checked":       {entry{agent, audit.SecretUpdated, critical, true}, tokens.Critical},
		"lowered by the owner":          {entry{audit.Owner, audit.SecretUpdated, standard, false}, tokens.Standard},
		"lowered by the owner, perhaps": {entry{audit.Owner, audit.SecretUpdated, standard, true}, tokens.Critical},
		"lowered by an agent":           {entry{agent, audit.SecretUpdated, standard, false}, tokens.Critical},
		"purged by the owner":           {entry{audit.Owner, audit.SecretPurged, "", false}, 0},
		"purged by the owner, perhaps":  {entry{audit.Owner, audit.SecretPurged, "", true}, tokens.Critical},
		"purged by an agent":            {entry{agent, audit.SecretPurged, "", false}, tokens.Critical},
	} {
		st := newStory(keys.NewRoot(keys.Random()))
		for i, e := range []entry{{audit.Owner, audit.SecretCreated, critical, false}, c.then} {
			st.apply(uint64(i+1), e.by, audit.Event{Type: e.event, ResourceID: "a/K",
				Metadata: map[string]any{"version": float64(i + 1), "tier": e.tier}}, !e.unchecked)
		}
		if got := st.tiers["a/K"]; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if got := st.records["a/K"].Version; c.then.unchecked && got != 1 {
			t.Errorf("%s: version %d, of an entry that was not checked", name, got)
		}
	}
}
