package commands

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// honest are names of secrets and settings that applications have in their environment.
const honest = `
NODE_ENV NODE_AUTH_TOKEN NPM_TOKEN GIT_TOKEN GIT_SSH_KEY GIT_AUTHOR_NAME DOCKER_PASSWORD DOCKER_SOCKET_LOCATION
CARGO_REGISTRY_TOKEN CARGO_REGISTRIES_X_TOKEN SSH_PRIVATE_KEY GPG_PASSPHRASE PYTHON_VERSION PYTHONUNBUFFERED
PYTHONDONTWRITEBYTECODE PYTHONIOENCODING GO_ENV HTTP_PORT TRUST_PROXY PROXY_USER PAGERDUTY_TOKEN JAVA_VERSION
TERMS_URL SSL_CERT SSL_KEY SSL_EMAIL TZ LANG LC_ALL HOSTNAME PORT USER UID RUST_LOG PGHOST PGPASSWORD PGSSLMODE
PGOPTIONS PGDATA MYSQL_PWD COMPOSE_PROJECT_NAME COMPOSE_PROFILES AWS_REGION AWS_PROFILE AWS_ENDPOINT_URL
GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLIENT_SECRET TF_VAR_x TF_TOKEN_x YARN_NPM_AUTH_TOKEN COMPOSER_AUTH
GEM_HOST_API_KEY BUNDLE_GEMS__CONTRIBSYS__COM BUNDLE_WITHOUT UV_INDEX_X_PASSWORD UV_CACHE_DIR
POETRY_HTTP_BASIC_X_PASSWORD RESTIC_PASSWORD SOPS_AGE_KEY DENO_AUTH_TOKENS OPENAI_BASE_URL DJANGO_SETTINGS_MODULE
LD_SDK_KEY LD_PROJECT_KEY DOTNET_ENVIRONMENT DOTNET_RUNNING_IN_CONTAINER MALLOC_ARENA_MAX PIP_NO_CACHE_DIR
LOCATION_IQ_API_KEY

DATABASE_URL POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB REDIS_HOST REDIS_PORT REDIS_URL DB_HOST DB_PORT DB_PASSWORD
APP_ENV APP_KEY APP_URL APP_DEBUG AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY SECRET_KEY SECRET_KEY_BASE JWT_SECRET
MAIL_HOST MAIL_PASSWORD SMTP_PASSWORD LOG_LEVEL LOG_CHANNEL SENTRY_DSN STRIPE_SECRET_KEY OPENAI_API_KEY
ANTHROPIC_API_KEY ANTHROPIC_BASE_URL GEMINI_API_KEY SLACK_TOKEN TG_BOT_TOKEN GITHUB_TOKEN GITLAB_HOST VAULT_ADDR
VAULT_TOKEN NEXT_PUBLIC_URL VITE_APP_KEY REACT_APP_X MIX_PUSHER_APP_KEY MIX_ENV RAILS_ENV RAILS_MASTER_KEY RACK_ENV
FLASK_ENV DJANGO_SECRET_KEY CELERY_BROKER_URL SPRING_PROFILES_ACTIVE ASPNETCORE_ENVIRONMENT ASPNETCORE_URLS
NUXT_PUBLIC_X GOMAXPROCS GOOGLE_CLIENT_ID MONO_API_TOKEN CC_EMAIL FISH_AUDIO_API_KEY _APP_ENV mail__options__auth__user
SAML2_IDP_x509 TEMPERATURE MODEL HOST DOMAIN EMAIL USERNAME PASSWORD PROXY_HOST HTTP_TIMEOUT HTTPS_ENABLED
CONFIG_DIR CACHE_DIR DATA_DIR PASSPHRASE GH_TOKEN NIX_API_KEY HOMEBREW_GITHUB_API_TOKEN ANSIBLE_VAULT_PASSWORD
npm_config_registry_token PIP_INDEX_PASSWORD KUBE_TOKEN HELM_REPO_PASSWORD VSCODE_MARKETPLACE_TOKEN`

func TestHonestNamesPass(t *testing.T) {
	for _, name := range strings.Fields(honest) {
		if runtime.GOOS == "windows" && strings.HasPrefix(name, "FISH_") {
			continue // there, it may be a variable of fish
		}
		if does, _ := actsOnProgram(name); does != "" {
			t.Errorf("%s: %s", name, does)
		}
	}
	for name, values := range map[string]struct{ pass, not []string }{
		"ENV": {[]string{"production", "dev-2", "A_b", ""}, []string{"$(id)", "/tmp/x", "a b", "x.sh", "~", "`id`",
			"a\n"}},
		"OPTIND": {[]string{"1", "007", ""}, []string{"x[$(id)]", "a", "1+x[$(id)]", "-1"}},
		"PROMPT": {[]string{"You are a helpful assistant.", "%n> "}, []string{"$(id)", "`id`", "${X}"}},
		"ZIP": {[]string{"12345", "12345-6789", "SW1A 1AA"}, []string{"-T -TT x", "x -TT x", "z.zip\t-T\t-TT\t./x",
			"z\n-T", "\"z\"\t\"-T\""}},
		"GREP":      {[]string{"grep", ""}, []string{"touch x;:", "./x"}},
		"prompt":    {[]string{"%n> "}, []string{"$(id)"}},
		"FLASK_APP": {[]string{"app.py", "pkg:create_app"}, []string{"os:system('id')"}},
		"BROWSER":   {[]string{"none", "false", ""}, []string{"firefox", "sh -c id", "None"}},
	} {
		if does, depends := actsOnProgram(name); does == "" || !depends {
			t.Errorf("%s does not depend on its value", name)
		}
		for _, v := range values.pass {
			if does := actsWith(name, []byte(v)); does != "" {
				t.Errorf("%s=%q does not pass", name, v)
			}
		}
		for _, v := range values.not {
			if does := actsWith(name, []byte(v)); does == "" {
				t.Errorf("%s=%q passes", name, v)
			}
		}
	}
}

// The table catches a name of each kind of row and of each rule, and lets similar names pass.
func TestActingNames(t *testing.T) {
	for _, name := range strings.Fields(`
		PATH BASH_ENV LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES NODE_OPTIONS PYTHONSTARTUP PYTHONPATH PERL5OPT RUBYOPT
		JAVA_TOOL_OPTIONS _JAVA_OPTIONS IBM_JAVA_OPTIONS ES_JAVA_OPTS JAVA_OPTS JAVA_OPTS_APPEND DOTNET_STARTUP_HOOKS CORECLR_PROFILER_PATH
		GIT_SSH_COMMAND GIT_CONFIG_KEY_0 GIT_CONFIG_COUNT GIT_CONFIG GIT_TRACE_PACKET GIT_SSL_NO_VERIFY PROMPT_COMMAND XDG_CONFIG_HOME
		npm_config_script_shell NPM_CONFIG_REGISTRY Npm_Config_Node_Options pnpm_config_registry http_proxy HTTP_PROXY No_Proxy https_proxy
		PIP_INDEX_URL PIP_CONFIG_FILE CARGO_ALIAS_B CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER CARGO_REGISTRIES_X_INDEX CARGO_REGISTRIES_X_CREDENTIAL_PROVIDER
		RUSTC_WRAPPER RUSTC ANSIBLE_VAULT_PASSWORD_FILE ANSIBLE_CONFIG KUBECONFIG TF_CLI_ARGS_plan TF_CLI_ARGS AWS_CONFIG_FILE DBUS_SESSION_BUS_ADDRESS
		ENV BROWSER EDITOR LESSOPEN SSL_CERT_FILE SSLKEYLOGFILE PGSERVICEFILE DOCKER_HOST CLAUDE_CONFIG_DIR BUNDLE_MIRROR__X BUNDLE_USER_HOME
		MSBuildSDKsPath COMPlus_Profiler complus_profiler fish_user_paths MAILPATH RAKEOPT TESTOPTS LDLIBS MAKE GIT_TEST_FSMONITOR GIT_DIFFTOOL_EXTCMD HARNESS_PERL_SWITCHES
		CARGO_DOC_BROWSER DOTENV_CONFIG_PATH VIM PS3 PYTEST_ADDOPTS RANDOM OPTIND path ZIPOPT RM SQLPATH BAT_OPTS

		ASS_AGENT_KEY ASS_API_KEY ASS_NAMESPACE ASS_X_TOKEN PASSWORD_STORE_KEY BUNDLE_LOCAL__FRIENDLY_ID CARGO_ALIAS_X_KEY BUNDLER_ORIG_X_KEY
		BASH_FUNC_x_KEY GIT_SSL_CAINFO CLOUDSDK_PYTHON_ARGS`) {
		if does, _ := actsOnProgram(name); does == "" {
			t.Errorf("%s passes", name)
		}
	}
	for _, name := range []string{"Path", "bash_env", "XLD_PRELOAD", "JAVA_OPT", "NODE_OPTION", "GOOGLE", "TERMINAL",
		"HOMEPAGE", "PATHS"} {
		sameThere := runtime.GOOS == "windows" && (name == "Path" || name == "bash_env")
		if does, _ := actsOnProgram(name); sameThere != (does != "") {
			t.Errorf("%s: %s", name, does)
		}
	}
}

// Each name is in only one row, and each row says what its names do.
func TestActingTable(t *testing.T) {
	seen := map[string]string{}
	for _, row := range actingRows {
		if row.does == "" || strings.HasSuffix(row.does, ".") {
			t.Errorf("a row does %q", row.does)
		}
		for name := range expandBraces(row.names) {
			if other, twice := seen[name]; twice {
				t.Errorf("%s stands twice: %s; %s", name, other, row.does)
			}
			if seen[name] = row.does; strings.ContainsAny(name, "{},") || strings.Count(name, "*") > 1 {
				t.Errorf("%s is no pattern", name)
			}
		}
		for name := range expandBraces(row.but) {
			if does, _ := actsOnProgram(name); does != "" {
				t.Errorf("%s is excepted, and yet: %s", name, does)
			}
		}
	}
	if want := []string{"A", "B1D", "B2D"}; !slices.Equal(slices.Collect(expandBraces("A B{1,2}D")), want) {
		t.Errorf("%q", slices.Collect(expandBraces("A B{1,2}D")))
	}
}
