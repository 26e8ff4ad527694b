package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"ass/e2e/world"
)

// importSources makes what docs/import.md imports: a store of pass, if pass is here, .env files, and an export.
func importSources(t *testing.T, home, work string) {
	for name, text := range map[string]string{
		"shop/.env": "# of the shop\nSTRIPE_KEY=sk_live_1$2\nDATABASE_URL=\"postgres://shop:pw@db/shop\"\n",
		"blog/.env": "ADMIN_PASSWORD=secret\n",
		"bitwarden.json": `{"encrypted":false,"folders":[{"id":"1","name":"Servers"}],"items":[
{"folderId":"1","type":1,"name":"db: password","login":{"username":"admin","password":"hunter2"}},
{"folderId":null,"type":1,"name":"GitHub","attachments":[{}],"login":{"username":"octocat","password":"correct-mule",` +
			`"totp":"otpauth://totp/GitHub?secret=JBSWY3DPEHPK3PX","fido2Credentials":[{}]}},
{"folderId":null,"type":1,"name":"GitHub","login":{"password":"ghp_0123456789"}},
{"folderId":null,"type":2,"name":"Recovery codes","notes":"1111 2222\n3333 4444\n","secureNote":{"type":0}},
{"folderId":null,"type":1,"name":"old shop","deletedDate":"2025-01-01T00:00:00Z","login":{"password":"x"}}]}`,
	} {
		path := filepath.Join(work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if world.Missing("pass", "gpg") == "" {
		world.NewPassStore(t, home, map[string]string{
			"email/work":          "hunter2-x\n",
			"web/My Bank (joint)": "correct horse battery staple\nuser: alice\npin: 4711\nAsk for Mrs Miller.\n",
			"ssh/id_ed25519":      "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n",
		})
		if err := os.WriteFile(filepath.Join(home, ".password-store", "README"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
