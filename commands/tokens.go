package commands

import (
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

type tokensGroup struct {
	Issue  tokensIssue  `cmd:"" help:"Issue a short-lived token for some scopes."`
	List   tokensList   `cmd:"" aliases:"ls" help:"List the tokens."`
	Revoke tokensRevoke `cmd:"" help:"End a token."`
}

type tokensIssue struct {
	Scopes  string `short:"s" help:"What the token may do, separated by commas." placeholder:"SCOPE,…" required:""`
	TTL     string `name:"ttl" help:"How long it lives: 15m, 1h, 24h, or seconds; at most 24h." default:"1h"`
	MaxUses *int64 `help:"How many reads, writes and deletions it allows; any number if omitted." placeholder:"N"`
	IPs     string `name:"ip-allowlist" help:"Addresses or CIDR ranges of which the machine must have one, separated by commas." placeholder:"IP,…"`
	Tier    string `help:"sensitive: it reads sensitive secrets without approval, too; the owner alone can issue such a token." placeholder:"TIER"`
}

func (tokensIssue) Help() string {
	return `The token is printed on stdout, and is never wider than who issues it. It is used as
ASS_AGENT_KEY:

  TOKEN=$(ass tokens issue --scopes "secrets:read:prod/gemini/*" --ttl 15m)

Keys decide what it opens. ass checks how long it lives, how often and from where it is
used, while ass is used: there is no server in between, and an
address is a fact about the machine.`
}

func (c tokensIssue) spec() (spec vault.TokenSpec, err error) {
	if spec.Scopes, err = tokens.ParseScopes(c.Scopes); err != nil {
		return spec, err
	}
	if spec.TTL, err = tokens.ParseTTL(c.TTL); err != nil {
		return spec, err
	}
	if spec.IPs, err = tokens.ParseIPs(c.IPs); err != nil {
		return spec, err
	}
	if c.MaxUses != nil {
		if *c.MaxUses < 1 {
			return spec, usagef("--max-uses must be at least 1")
		}
		spec.Uses = uint64(*c.MaxUses)
	}
	spec.Tier, err = tokenTier(c.Tier)
	return spec, err
}

// tokenTier parses the highest tier that a token reads without approval.
func tokenTier(s string) (tokens.Tier, error) {
	t, err := tokens.ParseTier(orElse(s, tokens.Standard.String()))
	if err != nil || t > tokens.Sensitive {
		return 0, usagef("--tier must be standard or sensitive; a critical secret needs approval each time")
	}
	return t, nil
}

func (c tokensIssue) Run(a *app) error {
	spec, err := c.spec()
	if err != nil {
		return err
	}
	if err := a.out.shows("the token"); err != nil {
		return err
	}
	return a.withSession(access{itself: true}, func(s *vault.Session) error {
		t, err := s.IssueToken(spec)
		if err != nil {
			return err
		}
		a.changed("token %s is live; revoke it with: ass tokens revoke %s", t.ID, t.ID)
		return a.answer(issueResult{
			Token: t.Text, TokenID: t.ID, ExpiresAt: stamp(t.Expires), Scopes: t.Scopes.Strings(),
			AgentID: t.Issuer,
		}, func() {
			a.out.line("%s", t.Text)
			a.out.aside("Expires: %s", stamp(t.Expires))
		})
	})
}

type tokensList struct {
	All bool `help:"List those that are no longer active as well."`
}

func (c tokensList) Run(a *app) error {
	return a.withSession(access{readOnly: true, itself: true}, func(s *vault.Session) (err error) {
		list, err := s.Tokens()
		if err != nil {
			return err
		}
		defer func() { // list the intact records, then name an altered one
			if err == nil {
				err = s.Unlisted()
			}
		}()
		ids := a.shownIDs(idsOf(list, func(t vault.TokenInfo) string { return t.ID }))
		items, rows := []tokenJSON{}, [][]cell{{{"ID", dim}, {"ISSUER", dim}, {"NAME", dim}, {"STATUS", dim},
			{"USES", dim}, {"EXPIRES", dim}, {"SCOPES", dim}}}
		for _, t := range list {
			if t.State != vault.TokenActive && !c.All {
				continue
			}
			items = append(items, tokenJSONOf(t))
			rows = append(rows, []cell{{ids[t.ID], ""}, {t.Issuer, ""}, {t.IssuerName, ""}, tokenState(t), {tokenUses(t), ""},
				{a.expires(t.Expires), dim}, {t.Scopes.String(), ""}})
		}
		return a.answer(tokensResult{Items: items}, func() {
			if len(items) == 0 {
				if c.All {
					a.out.note("no tokens")
				} else {
					a.out.noteOf(sayf("no active tokens").
						hint("to list ended ones too: ass tokens list --all"))
				}
				return
			}
			a.out.table(rows, whole, whole, paths)
		})
	})
}

func tokenJSONOf(t vault.TokenInfo) tokenJSON {
	m := tokenJSON{
		TokenID: t.ID, AgentID: t.Issuer, AgentName: nullable(t.IssuerName), Scopes: t.Scopes.Strings(), Status: t.State, Uses: t.Used,
		MaxUses:     nil,
		IPAllowlist: t.IPs.Strings(), AccessTier: max(t.Tier, tokens.Standard), CreatedAt: stamp(t.Issued),
		ExpiresAt: stamp(t.Expires), LastUsedAt: stampOf(t.LastUsedAt),
	}
	if t.Uses > 0 {
		m.MaxUses = &t.Uses
	}
	return m
}

func tokenState(t vault.TokenInfo) cell {
	if t.State == vault.TokenActive {
		return cell{t.State, green}
	}
	return cell{t.State, yellow}
}

func tokenUses(t vault.TokenInfo) string {
	if t.Uses == 0 {
		return uintText(t.Used)
	}
	return uintText(t.Used) + "/" + uintText(t.Uses)
}

type tokensRevoke struct {
	Token string `arg:"" name:"token-id" help:"Id of a token."`
	Force bool   `help:"Skip the confirmation."`
	keepOld
}

func (tokensRevoke) Help() string {
	return `The owner's revocation rewrites the vault, so that the file holds nothing that the token
opens. An agent can take back the tokens that it issued itself.`
}

func (c tokensRevoke) Run(a *app) error {
	id, scopes, err := c.find(a)
	if err != nil {
		return err
	}
	if err := a.confirm(c.Force, "Revoke token "+id+scopes+"?"); err != nil {
		return err
	}
	return a.narrow(c.keepOld, c.Force, func(o vault.NarrowOptions) error {
		return a.withSession(access{itself: true}, func(s *vault.Session) error {
			n, rewritten, err := s.RevokeToken(id, o)
			if err == nil {
				a.changed("token %s is revoked", id)
				a.noteNarrowing(n)
			}
			if err == nil && rewritten {
				err = a.sayCopies(s, time.Time{})
			}
			if err != nil {
				return err
			}
			if c.Keep && !rewritten {
				a.out.note("no file was replaced, so none was kept")
			}
			return a.answer(tokenRevokedResult{TokenID: id, Status: vault.TokenRevoked, narrowedJSON: narrowedOf(n)}, func() {
				a.out.done("Token revoked: %s", id)
			})
		})
	})
}

// find completes the beginning of a token id, and returns what the token is for. It
// returns an unknown id as it is, so that the vault refuses it.
func (c tokensRevoke) find(a *app) (id, scopes string, err error) {
	err = a.withSession(access{readOnly: true, itself: true}, func(s *vault.Session) error {
		list, err := s.Tokens()
		if err != nil {
			return err
		}
		some := beginWith(list, c.Token, func(t vault.TokenInfo) string { return t.ID })
		switch len(some) {
		case 0:
		case 1:
			id, scopes = some[0].ID, " ("+some[0].Scopes.String()+", issued by "+some[0].Issuer+")"
		default:
			err = usagef("%d tokens begin with %s", len(some), c.Token).
				hint("give the whole id")
		}
		return err
	})
	return orElse(id, c.Token), scopes, err
}

// isRead reports whether somebody read a secret; it is used as a filter.
func isRead(e audit.Event) bool { return strings.HasPrefix(e.Type, audit.SecretRead) }

// expires shows when something ends, or has ended: how soon for people, RFC 3339 for programs.
func (a *app) expires(t time.Time) string {
	if left := t.Sub(a.now()); a.out.tty && left > 0 {
		return "in " + until(left)
	}
	return a.when(t)
}

// until shows how long something is still valid.
func until(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if short, ok := strings.CutSuffix(text, "h0m"); ok {
		return short + "h"
	}
	return text
}
