package tokens

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Limits of the lifetime of a token.
const (
	DefaultTTL = time.Hour
	MaxTTL     = 24 * time.Hour
)

// ParseTTL reads the lifetime of a token: a duration such as 15m, 1h or 24h, or
// a bare number of seconds. It must be whole seconds, from 1 s to [MaxTTL].
func ParseTTL(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, nerr := strconv.ParseUint(s, 10, 32); nerr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	switch {
	case err != nil:
		return 0, syntaxErrorf("ttl", "it must be a time such as 15m, 1h or 24h, or a number of seconds")
	case d < time.Second || d > MaxTTL:
		return 0, syntaxErrorf("ttl", "it must be from 1s to 24h")
	case d%time.Second != 0:
		return 0, syntaxErrorf("ttl", "it must be whole seconds")
	}
	return d, nil
}

// IPs lists the addresses and ranges from which a token may be used. An empty
// list allows any address.
type IPs []netip.Prefix

const maxIPs = 64

// ParseIPs reads addresses and CIDR ranges that are separated by commas.
func ParseIPs(s string) (IPs, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	return IPsOf(strings.Split(s, ","))
}

// IPsOf reads addresses and CIDR ranges.
func IPsOf(texts []string) (IPs, error) {
	var ips IPs
	for i, text := range texts {
		prefix, err := parsePrefix(strings.TrimSpace(text))
		if err != nil {
			return nil, syntaxErrorf("ip allowlist", "entry %d is neither an address nor a CIDR range, such as 192.0.2.7 or "+
				"10.0.0.0/8", i+1)
		}
		ips = append(ips, prefix)
	}
	if len(ips) > maxIPs {
		return nil, syntaxErrorf("ip allowlist", "it has %d entries; at most %d are allowed", len(ips), maxIPs)
	}
	return ips, nil
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if p.Addr().Is4In6() {
			err = errors.New("a range of IPv4-mapped addresses never matches; write it as IPv4")
		}
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	a = a.Unmap().WithZone("")
	return a.Prefix(a.BitLen())
}

// Allow reports whether the list allows one of addrs. An empty list allows all.
func (ips IPs) Allow(addrs []netip.Addr) bool {
	for _, ip := range ips {
		for _, a := range addrs {
			if ip.Contains(a.Unmap().WithZone("")) {
				return true
			}
		}
	}
	return len(ips) == 0
}

// Strings returns the list as text. A single address has no prefix length.
func (ips IPs) Strings() []string {
	texts := make([]string, len(ips))
	for i, ip := range ips {
		texts[i] = ip.String()
		if ip.IsSingleIP() {
			texts[i] = ip.Addr().String()
		}
	}
	return texts
}

// AgentIDPrefix begins the id of every agent.
const AgentIDPrefix = "agt_"

// MaxNameBytes is the length of the longest name of an agent.
const MaxNameBytes = 64

// CheckAgentName checks the form of an agent's name.
func CheckAgentName(s string) error {
	if s == "" || len(s) > MaxNameBytes {
		return syntaxErrorf("agent name", "it must have 1 to %d characters", MaxNameBytes)
	}
	if strings.HasPrefix(s, AgentIDPrefix) {
		return syntaxErrorf("agent name", "it must not begin with %s, as ids do", AgentIDPrefix)
	}
	for i := range len(s) {
		if c := s[i]; c == '.' || !segmentByte(c) {
			return syntaxErrorf("agent name", "character %d is outside A-Z a-z 0-9 _ -", i+1)
		}
	}
	return nil
}
