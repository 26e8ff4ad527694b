package commands

import (
	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// answer prints the result of a command: as JSON with --json, else as text.
func (a *app) answer(result any, text func()) error {
	if a.JSON {
		return a.out.json(result)
	}
	text()
	return nil
}

// list returns a copy of items that is [] in JSON, not null, if there are none.
func list[T any](items []T) []T { return append([]T{}, items...) }

// What commands print with --json. The fields are in the order in which they are printed.

type (
	leaksResult struct {
		Findings  []leakJSON    `json:"findings"`
		NotListed int           `json:"not_listed"` // findings
		Values    int           `json:"values"`     // that were looked for
		LeftOut   leaksLeftOut  `json:"left_out"`
		Files     int64         `json:"files"` // that were looked at, and objects of git
		Bytes     int64         `json:"bytes"`
		Unseen    []leaksUnseen `json:"unseen"`
	}

	leakJSON struct {
		In         string  `json:"in"`   // files, history, staged, transcripts
		What       string  `json:"what"` // content, name, commit, tag
		File       *string `json:"file"`
		FileBase64 string  `json:"file_base64,omitempty"` // if it is not UTF-8
		Line       *int    `json:"line"`
		Column     *int64  `json:"column"`
		Offset     *int64  `json:"offset"`
		Commit     *string `json:"commit"`
		Object     *string `json:"object"`
		Path       string  `json:"path"`
		Version    uint64  `json:"version"`
		Form       string  `json:"form"`
		More       int     `json:"more"` // further places of the same value in the file
	}

	leaksLeftOut struct { // values that were not looked for
		Approval int `json:"approval"`
		Short    int `json:"short"`
		Settings int `json:"settings"`

		sought int
	}

	leaksUnseen struct {
		File  string `json:"file"`
		Error string `json:"error"`
	}

	agentsResult struct {
		Items []agentJSON `json:"items"`
	}

	agentJSON struct {
		ID           string   `json:"id"`
		Name         string   `json:"name"`
		Description  string   `json:"description"`
		KeyPrefix    string   `json:"api_key_prefix"`
		Namespaces   []string `json:"allowed_namespaces"`
		Scopes       []string `json:"allowed_scopes"`
		Active       bool     `json:"active"`
		CreatedAt    string   `json:"created_at"`
		KeyIssuedAt  string   `json:"key_issued_at"`
		LastActiveAt *string  `json:"last_active_at"`
		RevokedAt    *string  `json:"revoked_at,omitempty"`
	}

	agentResult struct {
		agentJSON
		Tokens int `json:"active_tokens"`
	}

	newKeyResult struct {
		agentJSON
		Key string `json:"api_key"`
	}

	mcpConfigResult struct {
		Client string  `json:"client"`
		Copy   *string `json:"copy"` // of what was there
		Path   string  `json:"path"`
	}

	keyFileResult struct {
		agentJSON
		KeyFile string `json:"key_file"`
	}

	updatedAgentResult struct {
		agentJSON
		Narrowed            bool `json:"narrowed"` // a right was taken away, so the vault was rewritten
		TokensRevoked       int  `json:"tokens_revoked"`
		VersionsReencrypted int  `json:"versions_reencrypted"`
		narrowedJSON
	}

	revokedResult struct {
		Active              bool   `json:"active"`
		ID                  string `json:"id"`
		Name                string `json:"name"`
		TokensRevoked       int    `json:"tokens_revoked"`
		VersionsReencrypted int    `json:"versions_reencrypted"`
		narrowedJSON
	}

	requestJSON struct {
		AccessTier      tokens.Tier `json:"access_tier"`
		Action          string      `json:"action"`
		ActorID         string      `json:"actor_id"`
		AgentID         string      `json:"agent_id"`
		AgentName       string      `json:"agent_name"`
		AgentWords      []string    `json:"agent_words"` // the fields that hold what the agent says
		CreatedAt       string      `json:"created_at"`
		DecidedAt       *string     `json:"decided_at"`
		DenialReason    *string     `json:"denial_reason"`
		ExpiresAt       string      `json:"expires_at"`
		ID              string      `json:"id"`
		Path            string      `json:"path"`
		Reason          *string     `json:"reason"`
		RequestedScopes []string    `json:"requested_scopes"`
		Status          string      `json:"status"`
		Used            bool        `json:"used"`
		Version         uint64      `json:"version"`
	}

	decidedResult struct {
		IDs    []string `json:"ids"`
		Status string   `json:"status"`
	}

	archivedResult struct {
		File   string `json:"file"`
		First  uint64 `json:"first"`
		Last   uint64 `json:"last"`
		SHA256 string `json:"sha256"`

		// StoppedBy is the number of an entry dated ahead of the clock that kept older ones in the log.
		StoppedBy uint64 `json:"stopped_by,omitempty"`
	}

	archiveResult struct {
		First    uint64   `json:"first"`
		Last     uint64   `json:"last"`
		Problems []string `json:"problems"`
		Vault    string   `json:"vault"`
	}

	// eventJSON is an event with the field names of the hosted product, and the number of
	// its log entry.
	eventJSON struct {
		Seq uint64 `json:"seq"`
		audit.Event

		// ActorName is the name of the agent that acted, or whose token did, or owner; left out if it is not known.
		ActorName string `json:"actor_name,omitempty"`

		// Unlocked says that the owner acted with the token of ass unlock.
		Unlocked bool `json:"unlocked,omitempty"`

		// Canary says that a canary was read, or that somebody tried. Only the owner can tell.
		Canary bool `json:"canary,omitempty"`
	}

	logResult struct {
		Events []eventJSON `json:"events"`
		Limit  int         `json:"limit"`
		Page   int         `json:"page"`

		// Receipt is that of the newest entry of the log, shown or not: SEQ:MAC.
		Receipt string `json:"receipt"`
		Total   int    `json:"total"`

		// Verified says that the owner's key was at hand, and each of the events is signed by its author in its place.
		Verified bool `json:"verified"`
	}

	verifyResult struct {
		Archived       uint64   `json:"archived"`
		Entries        uint64   `json:"entries"`
		Epoch          uint32   `json:"epoch"`
		Problems       []string `json:"problems"`
		Receipt        string   `json:"receipt"` // of the last entry
		Records        uint64   `json:"records"`
		VerifiedBefore uint64   `json:"verified_before"`
		Warnings       []string `json:"warnings"` // what is dated ahead of the clock
	}

	backupResult struct {
		AuditEntry uint64 `json:"audit_entry"`
		File       string `json:"file"`
		Records    uint64 `json:"records"`
		SizeBytes  int64  `json:"size_bytes"`
	}

	restoreResult struct {
		AuditEntry  uint64   `json:"audit_entry"`
		Epoch       uint32   `json:"epoch"`
		File        string   `json:"file"`
		Leaving     []string `json:"leaving"`
		LostAgents  []string `json:"lost_agents"`
		Older       []string `json:"older"`
		Raised      []string `json:"raised"`
		Replaced    string   `json:"replaced"`
		Returning   []string `json:"returning"`
		Reviving    []string `json:"reviving"`
		Revoked     []string `json:"revoked"`
		SecretCount int      `json:"secret_count"`
		Unread      string   `json:"unread"`
		Vault       string   `json:"vault"`
	}

	salvageResult struct {
		AgentCount   int      `json:"agent_count"`
		AuditEntries int      `json:"audit_entries"`
		Epoch        uint32   `json:"epoch"`
		File         string   `json:"file"`
		LogFile      string   `json:"log_file"`
		Lost         []string `json:"lost"`
		Reviving     []string `json:"reviving"`
		SecretCount  int      `json:"secret_count"`
		VersionCount int      `json:"version_count"`
	}

	storeImportResult struct {
		DryRun    bool           `json:"dry_run"`
		Format    string         `json:"format"`
		Imported  int            `json:"imported"`
		Items     []importedItem `json:"items"`
		Namespace string         `json:"namespace"` // "" if the names of the store are whole paths
		NotTaken  []notTaken     `json:"not_taken"`
		Notes     []string       `json:"notes"`
		Skipped   int            `json:"skipped"`
	}

	importedItem struct {
		Name    string `json:"name"` // in the store
		Outcome string `json:"outcome"`
		Path    string `json:"path"`
	}

	notTaken struct {
		Name   string `json:"name"` // "" for all of the source
		Reason string `json:"reason"`
	}

	exportResult struct {
		Exported int       `json:"exported"`
		Keys     []string  `json:"keys"`
		LeftOut  []leftOut `json:"left_out"`
		Output   string    `json:"output"`
	}

	helperLinkResult struct {
		Link    string `json:"link"`
		Program string `json:"program"` // that it leads to
		Created bool   `json:"created"` // false if it was there already
		Config  string `json:"config"`  // what makes the other program use it
	}

	explainResult struct {
		Access        []accessJSON  `json:"access"`
		AccessTier    tokens.Tier   `json:"access_tier"`
		EnforcedBy    []promise     `json:"enforced_by"`
		Exists        bool          `json:"exists"`
		OpenApprovals []requestJSON `json:"open_approvals"`
		Path          string        `json:"path"`
	}

	accessJSON struct {
		ActorID   string      `json:"actor_id"`
		ActorType string      `json:"actor_type"`
		AgentID   *string     `json:"agent_id"`
		Delete    vault.Right `json:"delete"`
		Name      *string     `json:"name"`
		Read      vault.Right `json:"read"`
		Scopes    []string    `json:"scopes"`
		Write     vault.Right `json:"write"`
	}

	reachJSON struct {
		AccessTier tokens.Tier `json:"access_tier"`
		Delete     vault.Right `json:"delete"`
		Path       string      `json:"path"`
		Read       vault.Right `json:"read"`
		Version    uint64      `json:"version"`
		Write      vault.Right `json:"write"`
	}

	explainAgentResult struct {
		Agent      agentJSON   `json:"agent"`
		EnforcedBy []promise   `json:"enforced_by"`
		Secrets    []reachJSON `json:"secrets"`
		Tokens     []tokenJSON `json:"tokens"`
	}

	leftOutResult struct {
		LeftOut []leftOut `json:"left_out"`
	}

	injectResult struct {
		Output  string `json:"output"`
		Secrets int    `json:"secrets"`
	}

	loginResult struct {
		Config     string `json:"config"`
		Created    bool   `json:"created,omitempty"`
		Credential string `json:"credential"`
		KeyKept    bool   `json:"key_kept"`
		OpensWith  string `json:"opens_with,omitempty"` // a further key, if the profile has one in place of the owner key
		OwnerKey   string `json:"owner_key,omitempty"`  // a new owner's
		Passphrase bool   `json:"passphrase"`
		Profile    string `json:"profile"`
		Vault      string `json:"vault"`
		VaultID    string `json:"vault_id"`
	}

	logoutResult struct {
		Config        string   `json:"config"`
		Profiles      []string `json:"profiles"`
		RecoveryFiles []string `json:"recovery_files"`
	}

	whoamiResult struct {
		AgentCount       int     `json:"agent_count"`
		Credential       string  `json:"credential"`
		CredentialSource string  `json:"credential_source"`
		Email            *string `json:"email"`
		ID               string  `json:"id"`
		Name             string  `json:"name"`
		Plan             string  `json:"plan"`
		Receipt          string  `json:"receipt"` // of the newest entry of the log
		SecretCount      int     `json:"secret_count"`
		Vault            string  `json:"vault"`
		VaultID          string  `json:"vault_id"`
	}

	whoamiSelfResult struct { // of an agent or a token
		whoamiResult
		selfJSON
	}

	selfJSON struct {
		AgentID          *string       `json:"agent_id"` // of a token: that of its issuer, null if that is the owner
		AgentName        *string       `json:"agent_name"`
		Scopes           []string      `json:"scopes"`
		Namespaces       []string      `json:"namespaces"`
		AccessTier       tokens.Tier   `json:"access_tier"` // the highest one that it reads without approval
		ExpiresAt        *string       `json:"expires_at"`
		UsesLeft         *uint64       `json:"uses_left"`
		PendingApprovals []requestJSON `json:"pending_approvals"`
	}

	openResult struct {
		Path string `json:"path"`
		URL  string `json:"url"`
	}

	initResult struct {
		Created   bool   `json:"created"`
		Ignored   bool   `json:"ignored"`
		Namespace string `json:"namespace"`
		Path      string `json:"path"`
	}

	trustResult struct {
		Namespace string `json:"namespace"`
		Path      string `json:"path"`
		Trusted   bool   `json:"trusted"`
	}

	// secretJSON is a secret with the fields of the hosted product, and a few of our own.
	secretJSON struct {
		ID        string         `json:"id"`
		Namespace string         `json:"namespace"`
		Key       string         `json:"key"`
		Path      string         `json:"path"`
		Version   uint64         `json:"version"`
		Type      string         `json:"secret_type"`
		Tier      tokens.Tier    `json:"access_tier"`
		Metadata  map[string]any `json:"metadata"`
		CreatedAt string         `json:"created_at"`
		UpdatedAt string         `json:"updated_at"`
		DeletedAt string         `json:"deleted_at,omitempty"`
		DeletedTo uint64         `json:"deleted_to,omitempty"` // the last version that was deleted before a value was stored again
	}

	restoredResult struct {
		secretJSON
		From uint64 `json:"restored_from"` // the first version that can be read again
		To   uint64 `json:"restored_to"`
	}

	storedResult struct {
		secretJSON
		Created bool `json:"created"` // nothing was at the path, not even a deleted secret
	}

	describedResult struct {
		secretJSON
		Changed []string `json:"changed"` // parts of the description that were not so before
	}

	profilesResult struct {
		Items []profileJSON `json:"items"`
	}

	profileJSON struct {
		Name       string  `json:"name"`
		Credential string  `json:"credential"`
		APIURL     *string `json:"api_url"` // where its vault is; null for the default place
		Vault      *string `json:"vault"`   // id of its vault; null if it is not known
		InUse      bool    `json:"in_use"`
	}

	profileResult struct {
		Name  string `json:"name"`
		InUse bool   `json:"in_use"`
	}

	diffResult struct {
		Path     string `json:"path"`
		From     uint64 `json:"from"`
		To       uint64 `json:"to"`
		Same     bool   `json:"same"`
		Revealed bool   `json:"revealed"` // the diff has the values
		Diff     string `json:"diff"`
	}

	dueResult struct {
		Items []dueJSON `json:"items"`
	}

	dueJSON struct {
		secretJSON
		ExpiresAt *string `json:"expires_at,omitempty"`
		RotateAt  *string `json:"rotate_at,omitempty"`
	}

	valueResult struct {
		secretJSON
		Value    string `json:"value"`
		Encoding string `json:"encoding,omitempty"` // base64, for a value that is not UTF-8
	}

	deleteResult struct {
		secretJSON
		Revoked int `json:"tokens_revoked"`
		Broader int `json:"tokens_broader"`
	}

	deleteAllResult struct {
		Namespace string       `json:"namespace"`
		Items     []secretJSON `json:"items"`
		Revoked   int          `json:"tokens_revoked"`
		Broader   int          `json:"tokens_broader"`
	}

	secretsResult struct {
		Items     []secretJSON `json:"items"`
		Namespace string       `json:"namespace"`
	}

	namespaceJSON struct {
		Namespace   string `json:"namespace"`
		SecretCount int    `json:"secret_count"`
	}

	namespacesResult struct {
		Items     []namespaceJSON `json:"items"`
		Namespace string          `json:"namespace"`
	}

	versionJSON struct {
		AccessTier tokens.Tier `json:"access_tier"`
		Author     string      `json:"author"`
		CreatedAt  string      `json:"created_at"`
		Current    bool        `json:"current"`
		Deleted    bool        `json:"deleted"`
		Unattested bool        `json:"unattested,omitempty"`
		Version    uint64      `json:"version"`
	}

	historyResult struct {
		Deleted bool          `json:"deleted"`
		Items   []versionJSON `json:"items"`
		Path    string        `json:"path"`
		Total   int           `json:"total,omitempty"` // if --limit leaves some out
	}

	movedResult struct {
		ApprovalsEnded int              `json:"approvals_ended"` // which were for what was moved
		Copied         bool             `json:"copied"`
		Items          []movedJSON      `json:"items"`
		Rewritten      bool             `json:"rewritten"` // because somebody lost a right
		Rights         []movedRightJSON `json:"rights"`    // of the agents and tokens that lost or got some
	}

	movedJSON struct {
		AccessTier tokens.Tier `json:"access_tier"`
		From       string      `json:"from"`
		Path       string      `json:"path"`
		Version    uint64      `json:"version"`  // the current one, as it is counted there
		Versions   int         `json:"versions"` // how many came along
	}

	movedRightJSON struct {
		Gains movedCounts `json:"gains"`
		ID    string      `json:"id"`
		Kind  string      `json:"kind"` // agent or token
		Loses movedCounts `json:"loses"`
		Name  string      `json:"name"` // of the agent, or of the one that issued the token; "" for the owner
	}

	movedCounts struct { // of how many of the secrets
		Delete int `json:"delete"`
		Read   int `json:"read"`
		Write  int `json:"write"`
	}

	purgeResult struct {
		Path     string `json:"path"`
		Version  uint64 `json:"version,omitempty"` // with --version, which one
		Versions int    `json:"versions"`
	}

	pruneResult struct {
		DryRun   bool         `json:"dry_run"`
		Items    []prunedJSON `json:"items"`
		Versions int          `json:"versions"`
	}

	prunedJSON struct {
		Left     int      `json:"left"` // how many versions stay
		Path     string   `json:"path"`
		Versions []uint64 `json:"versions"` // those that went, or would
	}

	lookedJSON struct {
		Place string  `json:"place"`
		Says  *string `json:"says"`
	}

	completionResult struct {
		Shell   string `json:"shell"`
		File    string `json:"file"`
		Written bool   `json:"written"`        // false if it was there already
		Next    string `json:"next"`           // what is left to do
		Line    string `json:"line,omitempty"` // to put into the shell's own file
	}

	versionResult struct {
		Version  string  `json:"version"`
		Commit   *string `json:"commit"` // null if the build does not know
		Date     *string `json:"date"`   // of the commit
		Format   string  `json:"format"` // of the vaults that it makes
		Go       string  `json:"go"`
		Modified bool    `json:"modified,omitempty"` // whether it was built from more than the commit
		System   string  `json:"system"`
	}

	issueResult struct {
		AgentID   string   `json:"agent_id"`
		ExpiresAt string   `json:"expires_at"`
		Scopes    []string `json:"scopes"`
		Token     string   `json:"token"`
		TokenID   string   `json:"token_id"`
	}

	tokensResult struct {
		Items []tokenJSON `json:"items"`
	}

	tokenJSON struct {
		AccessTier  tokens.Tier `json:"access_tier"`
		AgentID     string      `json:"agent_id"`
		AgentName   *string     `json:"agent_name"` // null if the owner issued it
		CreatedAt   string      `json:"created_at"`
		ExpiresAt   string      `json:"expires_at"`
		IPAllowlist []string    `json:"ip_allowlist"`
		LastUsedAt  *string     `json:"last_used_at"`
		MaxUses     *uint64     `json:"max_uses"`
		Scopes      []string    `json:"scopes"`
		Status      string      `json:"status"`
		TokenID     string      `json:"token_id"`
		Uses        uint64      `json:"uses"`
	}

	tokenRevokedResult struct {
		Status  string `json:"status"`
		TokenID string `json:"token_id"`
		narrowedJSON
	}

	unlockResult struct {
		AccessTier tokens.Tier `json:"access_tier"`
		ExpiresAt  string      `json:"expires_at"`
		TokenID    string      `json:"token_id"`
		Unlocked   bool        `json:"unlocked"`
	}

	passphraseResult struct {
		Profile    string `json:"profile"`
		Passphrase bool   `json:"passphrase"`
		Keyring    bool   `json:"keyring"`
		Strength   string `json:"strength,omitempty"`
		Bits       int    `json:"guesses_log2,omitempty"`
	}

	keyResult struct {
		Profile  string   `json:"profile,omitempty"`
		VaultID  string   `json:"vault_id,omitempty"`
		OwnerKey string   `json:"owner_key,omitempty"`
		Lines    []string `json:"lines,omitempty"`
		SVG      string   `json:"svg,omitempty"`
		HTML     string   `json:"html,omitempty"`
	}

	keyTestResult struct {
		Opens   bool   `json:"opens"`
		Vault   string `json:"vault"`
		VaultID string `json:"vault_id"`
	}

	splitResult struct {
		Set       string             `json:"set"`
		Threshold int                `json:"threshold"`
		Shares    []splitShareResult `json:"shares"`
	}

	splitShareResult struct {
		Number int      `json:"number"`
		Lines  []string `json:"lines,omitempty"`
		File   string   `json:"file,omitempty"`
	}

	lockResult struct {
		Unlocked bool `json:"unlocked"`
	}

	infoResult struct {
		AgentCount   int    `json:"agent_count"`
		AuditEntries uint64 `json:"audit_entries"`
		DeletedCount int    `json:"deleted_count"`
		Format       string `json:"format"`
		ID           string `json:"id"`
		SecretCount  int    `json:"secret_count"`
		SizeBytes    int64  `json:"size_bytes"`
		TokenCount   int    `json:"token_count"`
		VersionCount int    `json:"version_count"`
	}

	compactResult struct {
		SizeBytes       int64 `json:"size_bytes"`
		SizeBytesBefore int64 `json:"size_bytes_before"`
	}

	rekeyResult struct {
		Epoch uint32 `json:"epoch"`
	}

	upgradeResult struct {
		Format       int    `json:"format"`
		FormatBefore int    `json:"format_before"`
		Epoch        uint32 `json:"epoch"`
		narrowedJSON
	}

	acceptResult struct {
		Have uint64 `json:"have"`
		Seen uint64 `json:"seen"`
	}

	newKeyJSON struct {
		APIKey string `json:"api_key"`
		ID     string `json:"id"`
		Name   string `json:"name"`
	}

	newOwnerResult struct {
		Agents   []newKeyJSON `json:"agents"`
		LogFile  string       `json:"log_file"`
		OwnerKey string       `json:"owner_key"`
		Removed  []string     `json:"removed,omitempty"` // names of further keys that open the vault no more
		VaultID  string       `json:"vault_id"`
	}

	keyListResult struct {
		Keys     []furtherKeyJSON `json:"keys"`
		OwnerKey string           `json:"owner_key"` // where this profile has it: stored, locked (with a passphrase) or elsewhere
	}

	furtherKeyJSON struct {
		AddedAt   string `json:"added_at"`
		InUse     bool   `json:"in_use"` // by this profile
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Recipient string `json:"recipient,omitempty"` // missing if it is the text of an identity
	}

	keyAddResult struct {
		Epoch     uint32 `json:"epoch"`
		Kind      string `json:"kind"`
		Name      string `json:"name"`
		Recipient string `json:"recipient,omitempty"` // missing if it is the text of an identity
		Tried     bool   `json:"tried"`               // whether the key has opened what was sealed to it
	}

	requestsResult struct {
		Items []requestJSON `json:"items"`
		Total int           `json:"total,omitempty"` // if --limit leaves some out
	}

	importResult struct {
		Acting      []string `json:"acting,omitempty"` // variables that act on the program that gets them
		CreatedKeys []string `json:"created_keys"`     // those of keys at whose path nothing was, not even a deleted secret
		DryRun      bool     `json:"dry_run"`
		Imported    int      `json:"imported"`
		Keys        []string `json:"keys"`
		Namespace   string   `json:"namespace"`
		References  []string `json:"references,omitempty"` // variables whose values have ${NAME} in them
		Skipped     int      `json:"skipped"`
		SkippedKeys []string `json:"skipped_keys"`
	}

	statusResult struct {
		API   apiJSON    `json:"api"`
		Auth  authJSON   `json:"auth"`
		Vault statusJSON `json:"vault"`
	}

	apiJSON struct {
		Error   *string `json:"error"`
		Status  string  `json:"status"`
		URL     string  `json:"url"`
		Version string  `json:"version"`
	}

	authJSON struct {
		Credential       *string `json:"credential"`
		CredentialSource *string `json:"credential_source"`
		Email            *string `json:"email"`
		LoggedIn         bool    `json:"logged_in"`
		Plan             string  `json:"plan"`
		Unlocked         bool    `json:"unlocked"`
	}

	statusJSON struct {
		AgentCount   *int         `json:"agent_count,omitempty"`
		AuditEntries *uint64      `json:"audit_entries,omitempty"`
		DeletedCount *int         `json:"deleted_count,omitempty"`
		EndedTokens  []string     `json:"ended_tokens"`
		Format       string       `json:"format,omitempty"`
		ID           string       `json:"id,omitempty"`
		LookedIn     []lookedJSON `json:"looked_in"`
		NewestEntry  *eventJSON   `json:"newest_entry,omitempty"`
		Opens        string       `json:"opens"`
		Path         string       `json:"path"`
		PendingCount *int         `json:"pending_approval_count,omitempty"` // for the owner
		DueCount     *int         `json:"due_count,omitempty"`              // for the owner
		CanaryCount  *int         `json:"canary_count,omitempty"`           // for the owner, if this machine knows of any
		CanariesRead []canaryJSON `json:"canaries_read,omitempty"`
		SecretCount  *int         `json:"secret_count,omitempty"`
		SizeBytes    *int64       `json:"size_bytes,omitempty"`
		Warnings     []string     `json:"warnings"`
	}

	// canaryResult is a read of a canary.
	canaryResult struct {
		Canary canaryNews `json:"canary"`
	}

	// shownRequestResult is shown before a decision.
	shownRequestResult struct {
		Request requestJSON `json:"request"`
	}

	noteResult struct {
		Note string `json:"note"`
		Hint string `json:"hint,omitempty"`
	}

	warningResult struct {
		Warning string `json:"warning"`
		Hint    string `json:"hint,omitempty"`
	}

	errorResult struct {
		Error errorJSON `json:"error"`
	}

	errorJSON struct {
		ApprovalID  string   `json:"approval_id,omitempty"`
		ApprovalIDs []string `json:"approval_ids,omitempty"`
		Code        string   `json:"code"`
		Command     string   `json:"command,omitempty"`
		Message     string   `json:"message"`
		Hint        string   `json:"hint,omitempty"` // what the person can do
	}
)
