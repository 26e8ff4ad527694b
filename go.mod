module ass

go 1.26.0

require (
	filippo.io/age v1.3.2 // the encryption of everything secret, and the owner's identity
	github.com/alecthomas/kong v1.17.0 // the command line
	github.com/btcsuite/btcd/btcutil v1.2.0 // Bech32, to read an owner key: age's own is internal, and computes the key's keys
	github.com/cloudflare/circl v1.6.5 // Ed25519 with tables in the binary: twice as fast to sign
	github.com/google/uuid v1.6.0 // ids of secrets and log entries
	go.etcd.io/bbolt v1.5.0 // the file
	go.yaml.in/yaml/v3 v3.0.6 // manifests and files of sops, for ass import
	golang.org/x/crypto v0.55.0 // ChaCha20-Poly1305, for our age stanza
	golang.org/x/sys v0.49.0 // flock, O_NOFOLLOW, LockFileEx
	golang.org/x/term v0.47.0 // prompts
	rsc.io/qr v0.2.0 // the owner key on paper
)

// For the tests.
require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // the judge of our tokens
	github.com/rogpeppe/go-internal v1.16.0 // testscript
)

require (
	github.com/modelcontextprotocol/go-sdk v1.8.0
	github.com/zalando/go-keyring v0.2.8
)

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	filippo.io/hpke v0.4.0 // indirect
	github.com/BurntSushi/toml v1.4.1-0.20240526193622-a339e1f7089c // indirect
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/godbus/dbus/v5 v5.2.2 // indirect
	github.com/google/jsonschema-go v0.4.3 // indirect
	github.com/segmentio/asm v1.1.3 // indirect
	github.com/segmentio/encoding v0.5.4 // indirect
	github.com/yosida95/uritemplate/v3 v3.0.2 // indirect
	golang.org/x/exp/typeparams v0.0.0-20231108232855-2478ac86f678 // indirect
	golang.org/x/mod v0.42.0 // indirect
	golang.org/x/oauth2 v0.35.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/telemetry v0.0.0-20261010193011-f71dc92da45e // indirect
	golang.org/x/time v0.15.0 // indirect
	golang.org/x/tools v0.52.0 // indirect
	golang.org/x/vuln v1.9.0 // indirect
	honnef.co/go/tools v0.8.2 // indirect
)

tool (
	golang.org/x/vuln/cmd/govulncheck
	honnef.co/go/tools/cmd/staticcheck
)
