package commands

import (
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Names of variables that act on the program that gets them: they name code to load, a
// file to run, a configuration to read, a proxy to use, a certificate to trust.
// Each writer in a namespace chooses keys. A bulk hand-over leaves these names out,
// because a writer could otherwise run code in its readers' programs.
// docs/threat-model.md makes the promise.

// actingRow is some names, and what they do.
type actingRow struct {
	does  string // what a program does with the variable
	names string // {A,B} stands for A and for B; * stands for any text
	but   string // names that are not meant
	fold  bool   // the program compares names without case
	whole bool   // secretEnds let nothing out of a family, because its rest is chosen freely
}

// secretEnds are the ends of names that hold secrets. A name with such an end is no
// member of a family, which is a pattern with a *.
var secretEnds = []string{"_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_USERNAME", "_ID"}

// harmless reports whether a name does nothing with this value; depends is false for a
// name that acts whatever its value.
func harmless(name, value string) (harmless, depends bool) {
	switch name {
	case "ENV":
		// sh -i expands the value of ENV, and reads the file of that name. As a word, it says
		// where a program runs, as in ENV=production.
		return isWords(value, "-_"), true
	case "BROWSER", "REACT_EDITOR":
		return value == "" || value == "none" || value == "false", true
	case "RANDOM", "SRANDOM", "HISTCMD", "OPTIND", "SECONDS", "BASHPID", "PPID", "PGRP", "PIPESTATUS", "TMOUT", "LINENO":
		return strings.Trim(value, "0123456789") == "", true // a number
	case "PROMPT", "PROMPT2", "PROMPT3", "PROMPT4", "RPROMPT", "RPROMPT2", "RPS1", "RPS2", "SPROMPT", "POSTEDIT", "PS3",
		"prompt",
		"PROMPT_EOL_MARK":
		return !strings.ContainsAny(value, "$`"), true
	case "ZIP": // a postal code, and no option for zip
		return isWords(value, " -") && !strings.HasPrefix(value, "-") && !strings.Contains(value, " -"), true
	case "GREP", "DIFF", "GET", "CO", "PC", "TEX":
		return isWords(value, ""), true
	case "FLASK_APP":
		return !strings.Contains(value, "("), true // flask calls module:function("text")
	}
	return false, false
}

// isWords reports whether a value is made of letters, digits and some signs alone.
func isWords(value, signs string) bool {
	return strings.IndexFunc(value, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(signs, r))
	}) < 0
}

// pipSwitches say how pip works, and not where from.
const pipSwitches = `PIP_NO_CACHE_DIR PIP_DISABLE_PIP_VERSION_CHECK PIP_DEFAULT_TIMEOUT PIP_VERSION
	PIP_ROOT_USER_ACTION PIP_NO_COLOR PIP_PROGRESS_BAR PIP_NO_INPUT`

var actingRows = []actingRow{
	// ass itself
	{does: "ass itself obeys it", names: "ASS_*", whole: true},

	// loaders and the C library
	{does: "the loader takes libraries and options from it", names: `
		LD_* DYLD_* LDR_PRELOAD LDR_PRELOAD64 LDR_CNTRL LIBPATH SHLIB_PATH`},
	{does: "the C library takes options from it", names: `
		GLIBC_TUNABLES MALLOC_{TRACE,CONF} {A,L,T,UB,M,HWA}SAN_OPTIONS {ASAN,MSAN,LLVM}_SYMBOLIZER_PATH`},
	{does: "the C library loads modules or data from there", names: `
		GCONV_PATH GETCONF_DIR LOCPATH NLSPATH LOCALE_ARCHIVE TZDIR`},
	{does: "it decides how names of hosts are resolved", names: `
		HOSTALIASES RES_OPTIONS LOCALDOMAIN RESOLV_HOST_CONF`},

	// shells
	{does: "programs or their files are looked for there", names: `
		PATH HOME SHELL CDPATH FPATH MODULE_PATH ZDOTDIR TMPDIR TMP TEMP XDG_*`},
	{does: "a shell runs the file that it names", names: "BASH_ENV ENV CONFIG_SITE CONFIG_SHELL"},
	{does: "bash takes it for a function", names: "BASH_FUNC_* __BASH_FUNC*", whole: true},
	{does: "fish takes folders of code, or commands, from it", names: "fish_*", whole: true},
	{does: "a shell takes options or code from it", names: `
		SHELLOPTS BASHOPTS BASH_LOADABLES_PATH BASH_XTRACEFD IFS PS0 PS1 PS2 PS4 PROMPT_COMMAND NULLCMD
		READNULLCMD FCEDIT MAILPATH TEXTDOMAINDIR PSExecutionPolicyPreference`},
	{does: "a shell calculates its value, and runs commands in it", names: `
		RANDOM SRANDOM HISTCMD OPTIND SECONDS BASHPID PPID PGRP PIPESTATUS TMOUT LINENO`},
	{does: "zsh shows it as a prompt, and may run commands in it", names: `
		PROMPT PROMPT2 PROMPT3 PROMPT4 RPROMPT RPROMPT2 RPS1 RPS2 SPROMPT POSTEDIT PS3 prompt PROMPT_EOL_MARK`},
	{does: "zsh takes it for a list of folders, as its name in capitals", names: `
		path fpath cdpath manpath mailpath module_path`},
	{does: "a shell reads or writes the file that it names", names: `
		HISTFILE INPUTRC EDITRC XONSHRC DIRENV_CONFIG STARSHIP_CONFIG
		BASH_COMPLETION_{USER_FILE,USER_DIR,COMPAT_DIR}`},

	// managers of versions
	{does: "a version manager runs programs from there", names: `
		{NVM,FNM,SDKMAN,ASDF}_DIR ASDF_{DATA_DIR,CONFIG_FILE} VOLTA_HOME N_PREFIX
		{NODENV,PLENV,PHPENV,GOENV,JENV}_ROOT {PYENV,RBENV,NODENV}_HOOK_PATH`},
	{does: "a version manager downloads programs from there", names: `
		NVM_{NODEJS,IOJS}_ORG_MIRROR N_NODE_MIRROR FNM_NODE_DIST_MIRROR {NODE,PYTHON,RUBY}_BUILD_MIRROR_URL`},
	{does: "mise takes its configuration from it", names: `
		MISE_{CONFIG_DIR,DATA_DIR,SYSTEM_DIR,GLOBAL_CONFIG_FILE,CONFIG_FILE,ENV_FILE}
		MISE_{TRUSTED_CONFIG_PATHS,NODE_MIRROR_URL}`},

	// node and JavaScript
	{does: "node takes options from it, such as code to load", names: `
		NODE_{OPTIONS,PATH,REPL_EXTERNAL_MODULE,COMPILE_CACHE,V8_COVERAGE}
		NODE_{REDIRECT_WARNINGS,ICU_DATA,REPL_HISTORY}`},
	{does: "node trusts other certificates because of it", names: `
		NODE_{EXTRA_CA_CERTS,TLS_REJECT_UNAUTHORIZED}`},
	{does: "a package reads its configuration from there, as code", names: "NODE_CONFIG_{DIR,PARSER}"},
	{does: "dotenv reads more variables from the file that it names", names: "DOTENV_{CONFIG_*,PATH}"},
	{does: "npm takes its configuration from it, such as a registry or a shell", fold: true, names: `
		npm_config_* pnpm_config_* npm_execpath npm_node_execpath`},
	{does: "a package manager runs it, or asks it for packages", fold: true, names: `
		YARN_{RC_FILENAME,YARN_PATH,PLUGINS,NPM_REGISTRY_SERVER,NPM_PUBLISH_REGISTRY}
		YARN_{REGISTRY,HTTP_PROXY,HTTPS_PROXY,HTTPS_CA_FILE_PATH,CA_FILE_PATH}
		YARN_{ENABLE_STRICT_SSL,GLOBAL_FOLDER}`},
	{does: "a package manager is taken from there, unchecked", names: `
		COREPACK_{NPM_REGISTRY,HOME,INTEGRITY_KEYS} PNPM_HOME NODE_GYP_FORCE_PYTHON`},
	{does: "a JavaScript tool runs it, or loads code from there", names: `
		TS_NODE_* ELECTRON_RUN_AS_NODE ESBUILD_BINARY_PATH PRISMA_QUERY_ENGINE_LIBRARY PUPPETEER_EXECUTABLE_PATH
		NAPI_RS_NATIVE_LIBRARY_PATH PLAYWRIGHT_{NODEJS,BROWSERS}_PATH CYPRESS_RUN_BINARY ELECTRON_OVERRIDE_DIST_PATH
		PRISMA_{QUERY,SCHEMA,MIGRATION,INTROSPECTION}_ENGINE_BINARY SASS_BINARY_PATH SWC_BINARY_PATH
		TURBO_BINARY_PATH {LAUNCH,REACT}_EDITOR VSCODE_*`},
	{does: "a JavaScript tool downloads programs from there", names: `
		PLAYWRIGHT_DOWNLOAD_HOST PUPPETEER_DOWNLOAD_{HOST,BASE_URL} CYPRESS_{INSTALL_BINARY,DOWNLOAD_MIRROR}
		ELECTRON_MIRROR PRISMA_{ENGINES,BINARIES}_MIRROR SASS_BINARY_SITE SENTRYCLI_CDNURL CHROMEDRIVER_CDNURL`},
	{does: "bun or deno takes options, code or packages from it", names: `
		BUN_{OPTIONS,INSPECT,RUNTIME_TRANSPILER_CACHE_PATH,INSPECT_PRELOAD,INSPECT_CONNECT_TO,INSTALL,CONFIG_REGISTRY,BE_BUN}
		DENO_{DIR,CERT,V8_FLAGS,INSTALL_ROOT} JSR_URL`},

	// python
	{does: "python loads code because of it", names: `
		PYTHON{PATH,HOME,STARTUP,USERBASE,PLATLIBDIR,INSPECT,BREAKPOINT,WARNINGS}
		PYTHON{PYCACHEPREFIX,EXECUTABLE,HTTPSVERIFY}
		PYTHON_{PRESITE,HISTORY} __PYVENV_LAUNCHER__`},
	{does: "pip takes its configuration from it, such as an index", but: pipSwitches, names: `
		PIP_* PIPENV_PYPI_MIRROR`},
	{does: "uv takes its configuration from it, such as an index", names: `
		UV_{INDEX,DEFAULT_INDEX,INDEX_URL,EXTRA_INDEX_URL,FIND_LINKS,PYTHON}
		UV_{CONFIG_FILE,ENV_FILE,CONSTRAINT,OVERRIDE,INSECURE_HOST}
		UV_{KEYRING_PROVIDER,PUBLISH_URL,PYTHON_INSTALL_MIRROR,PYPY_INSTALL_MIRROR}
		UV_{INSTALLER_GITHUB_BASE_URL,DOWNLOAD_URL}`},
	{does: "conda takes programs, channels or its configuration from it", names: `
		CONDARC MAMBARC CONDA_{EXE,PYTHON_EXE,ROOT,PREFIX,CHANNELS,DEFAULT_CHANNELS,CHANNEL_ALIAS,SSL_VERIFY}
		MAMBA_{EXE,ROOT_PREFIX}`},
	{does: "poetry sends passwords there", names: "POETRY_REPOSITORIES_*_URL"},
	{does: "a Python tool runs it, or loads code from there", names: `
		VIRTUAL_ENV PYENV_ROOT IPYTHONDIR JUPYTER_{PATH,CONFIG_DIR} MPLBACKEND MATPLOTLIBRC GUNICORN_CMD_ARGS
		FLASK_APP PYTEST_{ADDOPTS,PLUGINS} PIPENV_PIPFILE PYLINTRC COVERAGE_PROCESS_START PRE_COMMIT_HOME
		PYSPARK_{PYTHON,DRIVER_PYTHON,SUBMIT_ARGS} RETICULATE_PYTHON`},
	{does: "a program packed with Python loads code because of it", whole: true, names: `
		PEX_* _PYI_* _MEIPASS2`},
	{does: "Airflow runs it", names: "AIRFLOW__*_CMD"},

	// perl, ruby, php
	{does: "perl loads code because of it", names: `
		PERL5LIB PERL5OPT PERL5DB PERLLIB PERL5SHELL PERL_{MM,MB,CPANM}_OPT PERLDB_OPTS
		HARNESS_{PERL,PERL_SWITCHES,OPTIONS,SUBCLASS} PERL_USE_UNSAFE_INC PERL_TEST_HARNESS_DUMP_TAP
		PERLIO_DEBUG`},
	{does: "perl programs trust others, or connect elsewhere, because of it", names: `
		PERL_LWP_SSL_{CA_FILE,CA_PATH,VERIFY_HOSTNAME} HTTPS_CA_{FILE,DIR} CGI_HTTP_PROXY DBI_AUTOPROXY`},
	{does: "ruby loads code because of it", names: `
		RUBY{OPT,LIB,PATH,SHELL} RUBYGEMS_GEMDEPS GEM_{HOME,PATH} GEMRC IRBRC PRYRC RBENV_ROOT
		BOOTSNAP_CACHE_DIR RAKEOPT TESTOPTS TESTOPT TEST_OPTS RDOCOPT SPEC_OPTS RUBOCOP_OPTS JRUBY_OPTS TRUFFLERUBYOPT`},
	{does: "the debugger of ruby takes commands from it", names: "RUBY_DEBUG_*", whole: true},
	{does: "ruby gems run it, or send their key there", names: `
		THOR_{DIFF,MERGE} RAILS_DIFF {BUNDLER,GEM}_EDITOR RUBYGEMS_HOST`},
	{does: "bundler takes its configuration from it", names: `
		BUNDLE_{GEMFILE,PATH,BIN,BIN_PATH,APP_CONFIG,USER_*,SSL_*} BUNDLER_SETUP`},
	{does: "bundler puts it back as another variable, such as RUBYOPT", names: "BUNDLER_ORIG_*", whole: true},
	{does: "bundler takes a gem or its options from there", whole: true, names: `
		BUNDLE_{MIRROR,LOCAL,BUILD}__*`},
	{does: "php reads its configuration from there", names: "PHPRC PHP_INI_SCAN_DIR"},
	{does: "composer or wp takes programs, code or certificates from there", names: `
		COMPOSER COMPOSER_{HOME,VENDOR_DIR,BIN_DIR,CAFILE,BINARY} PHP_BINARY
		WP_CLI_{CONFIG_PATH,PACKAGES_DIR,PHP,PHP_ARGS}`},

	// java, .net
	{does: "java takes options from it, such as code to load", names: `
		*JAVA_OPTIONS JAVA_TOOL_OPTIONS JDK_JAVAC_OPTIONS *_JAVA_OPTS JAVA_OPTS* JAVA_ARGS JVM_ARGS JVM_OPTS *_JVM_OPTS
		*_VM_OPTIONS JPDA_* JDK_ALTERNATE_VM KAFKA_{OPTS,JMX_OPTS,LOG4J_OPTS} SPARK_SUBMIT_OPTS CLASSPATH`},
	{does: "a Java tool runs it, or takes options from it", names: `
		JAVA_HOME JRE_HOME JAVACMD JAVA_CMD M2_HOME LOADER_PATH LOG4J_CONFIGURATION_FILE MVNW_REPOURL
		MAVEN_{OPTS,ARGS,HOME,CONFIG} GRADLE_{OPTS,USER_HOME,HOME} SBT_OPTS ANT_{OPTS,ARGS} CATALINA_*`},
	{does: ".NET loads code because of it", names: `
		DOTNET_{STARTUP_HOOKS,ADDITIONAL_DEPS,SHARED_STORE,ROOT*,HOST_PATH,CLI_HOME}
		DOTNET_{BUNDLE_EXTRACT_BASE_DIR,DiagnosticPorts}
		CORECLR_* COR_* MONO_{PATH,CONFIG,ENV_OPTIONS,GAC_PREFIX}`},
	{does: ".NET loads code because of it", fold: true, names: `
		COMPlus_* {ASPNETCORE,DOTNET}_HOSTINGSTARTUPASSEMBLIES DOTNET_{GCName,GCPath,JitName}`},
	{does: "a .NET tool runs it, or loads code from there", fold: true, names: `
		MSBUILD_EXE_PATH MSBuildSDKsPath MSBuildExtensionsPath* CustomBeforeMicrosoft* CustomAfterMicrosoft*
		DirectoryBuild{Props,Targets}Path
		NUGET_{PLUGIN_PATHS,NETCORE_PLUGIN_PATHS,NETFX_PLUGIN_PATHS,CREDENTIALPROVIDERS_PATH,PACKAGES}
		Restore{Sources,AdditionalProjectSources,ConfigFile}`},

	// go, rust, C
	{does: "go takes tools, options or modules from there", but: "CGO_ENABLED", names: `
		GOENV GOROOT GOPATH GOBIN GOFLAGS GOPROXY GOTOOLCHAIN GOWORK GOCACHE GOCACHEPROG GOMODCACHE GOAUTH GOVCS
		GOSUMDB GONOSUMDB GONOPROXY GOINSECURE GOPRIVATE GOCOVERDIR GOTMPDIR GOPACKAGESDRIVER GCCGO CGO_*`},
	{does: "cargo takes tools, options or crates from there", but: "CARGO_BUILD_JOBS", names: `
		CARGO CARGO_HOME CARGO_{TARGET,SOURCE,NET,HTTP,BUILD}_* CARGO_ENCODED_RUSTFLAGS
		CARGO_REGISTRIES_*_{INDEX,CREDENTIAL_PROVIDER}
		CARGO_REGISTRY_{GLOBAL_CREDENTIAL_PROVIDERS,DEFAULT,INDEX,CREDENTIAL_PROVIDER} CARGO_{INSTALL_ROOT,DOC_BROWSER}`},
	{does: "cargo takes a command from it", names: "CARGO_ALIAS_* CARGO_CREDENTIAL_ALIAS_*", whole: true},
	{does: "rust takes tools or options from it", but: "RUSTC_BOOTSTRAP", names: `
		RUSTC* RUSTDOC RUSTFMT RUSTFLAGS RUSTDOCFLAGS RUSTUP_*`},
	{does: "make takes options or files from it", names: "MAKEFLAGS GNUMAKEFLAGS MFLAGS MAKEFILES"},
	{does: "a build runs it, or takes options or files from it", but: "CMAKE_BUILD_TYPE", names: `
		CMAKE_* CC CXX LD AR AS CPP CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CPATH LIBRARY_PATH COMPILER_PATH
		GCC_EXEC_PREFIX {C,CPLUS,OBJC}_INCLUDE_PATH CCACHE_* DISTCC_{HOSTS,SSH} PKG_CONFIG* RM YACC LEX FC M4 LDSHARED PROTOC
		MAKE MAKE_COMMAND MAKEINFO LDLIBS LOADLIBES TARGET_ARCH OUTPUT_OPTION ARFLAGS ASFLAGS LFLAGS YFLAGS OBJC M2C
		TEX PC GET CO DEPENDENCIES_OUTPUT SUNPRO_DEPENDENCIES LIBCLANG_PATH
		LLVM_CONFIG_PATH OPENSSL_{DIR,LIB_DIR,INCLUDE_DIR} DEVELOPER_DIR SDKROOT`},
	{does: "a build tool is taken, or takes packages, from there", names: `
		BAZEL_{REAL,SH} BAZELISK_{BASE_URL,HOME,FORMAT_URL} USE_BAZEL_VERSION VCPKG_ROOT PUB_HOSTED_URL
		FLUTTER_{ROOT,STORAGE_BASE_URL,GIT_URL} DART_VM_OPTIONS HEX_{MIRROR,MIRROR_URL,API_URL,CACERTS_PATH}
		MIX_{HOME,ARCHIVES,EXS,DEPS_PATH,REBAR,REBAR3}`},
	{does: "a package manager takes its configuration from it", names: `
		HOMEBREW_* NIX_{PATH,CONFIG,SSHOPTS,BUILD_SHELL,REMOTE,LD*} APT_CONFIG DPKG_{ROOT,ADMINDIR,PAGER}`},

	// git, ssh, gpg
	{does: "git runs it, or takes its configuration from it", names: `
		GIT_{SSH,SSH_COMMAND,ASKPASS,EDITOR,SEQUENCE_EDITOR,PAGER,CONFIG*,EXEC_PATH}
		GIT_{EXTERNAL_DIFF,TEMPLATE_DIR,PROXY_COMMAND,ALLOW_PROTOCOL} GIT_{PROTOCOL_FROM_USER,SSL_*,PROXY_SSL_*}
		GITPERLLIB GIT_DIFFTOOL_EXTCMD`},
	{does: "git works on the repository or files that it names", names: `
		GIT_{DIR,WORK_TREE,COMMON_DIR,INDEX_FILE,OBJECT_DIRECTORY,ALTERNATE_OBJECT_DIRECTORIES,TRACE*}`},
	{does: "git runs or does it, for its own tests", names: "GIT_TEST_*", whole: true},
	{does: "gh runs it, or sends its token there", names: "GH_{CONFIG_DIR,EDITOR,PAGER,BROWSER,HOST}"},
	{does: "ssh runs it, or asks it for keys", names: `
		SSH_{ASKPASS,AUTH_SOCK,SK_PROVIDER,SK_HELPER,PKCS11_HELPER}`},
	{does: "sudo runs it", names: "SUDO_{ASKPASS,EDITOR}"},
	{does: "keys and options are looked for there", names: "GNUPGHOME"},
	{does: "pass takes its folder, its keys or its options from it", names: "PASSWORD_STORE_*", whole: true},
	{does: "a program runs it to reach another machine", names: `
		SVN_SSH CVS_RSH HGRCPATH HGEDITOR SVN_EDITOR RSYNC_{RSH,CONNECT_PROG,PROXY} BORG_{RSH,REMOTE_PATH}`},
	{does: "a program runs it to get a password or a key", names: `
		RESTIC_PASSWORD_COMMAND BORG_PASSCOMMAND RCLONE_PASSWORD_COMMAND
		SOPS_{AGE_KEY_CMD,GPG_EXEC,EDITOR,KEYSERVICE} AWS_VAULT_PASS_CMD`},

	// network, TLS
	{does: "programs send their traffic through it", fold: true, names: `
		{HTTP,HTTPS,ALL,FTP,NO,SOCKS,WS,WSS,GRPC}_PROXY SOCKS_SERVER`},
	{does: "programs trust the certificates that are there", names: `
		SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE REQUESTS_CA_BUNDLE AWS_CA_BUNDLE NIX_SSL_CERT_FILE
		GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`},
	{does: "programs write the keys of their connections there", names: "SSLKEYLOGFILE"},
	{does: "OpenSSL loads its configuration or modules from there", names: `
		OPENSSL_{CONF,CONF_INCLUDE,MODULES,ENGINES} PKCS11_{MODULE_PATH,PROVIDER_MODULE}`},
	{does: "a program takes its network settings from there", names: `
		CURL_HOME WGETRC SYSTEM_WGETRC NETRC KRB5_CONFIG SASL_PATH SASL_CONF_PATH GSS_MECH_CONFIG LDAPCONF
		LDAPRC PROXYCHAINS_CONF_FILE`},

	// pagers, editors, tools
	{does: "programs run it", names: `
		EDITOR VISUAL PAGER MANPAGER BROWSER ALTERNATE_EDITOR BAT_PAGER SYSTEMD_{PAGER,EDITOR} COMSPEC`},
	{does: "a pager or man takes options or commands from it", names: `
		MANOPT MANROFFOPT MANPATH LESS LESSOPEN LESSCLOSE LESSECHO LESSGLOBALTAGS LESSKEY* LESSEDIT MORE
		BAT_{CONFIG_PATH,OPTS} SYSTEMD_LESS`},
	{does: "an editor runs code from it", names: "VIMINIT EXINIT GVIMINIT VIM VIMRUNTIME EMACSLOADPATH NVIM_*"},
	{does: "a tool takes options or code from it", names: `
		FZF_DEFAULT_* RIPGREP_CONFIG_PATH TAR_OPTIONS SCREENRC TMUX_TMPDIR TERMINFO* TERMCAP
		MAGICK_{CONFIGURE,CODER_MODULE}_PATH SYSTEMD_UNIT_PATH ZIPOPT ZIP GROFF_{BIN_PATH,COMMAND_PREFIX} TAPE GREP DIFF WGET_ASKPASS`},
	{does: "an interpreter loads code because of it", names: `
		LUA_{PATH,CPATH,INIT}* R_{PROFILE,ENVIRON,LIBS}* JULIA_LOAD_PATH ERL_{FLAGS,AFLAGS,ZFLAGS}
		ELIXIR_ERL_OPTIONS ERL_LIBS GHCRTS OCAMLPARAM CAML_LD_LIBRARY_PATH GUILE_LOAD_PATH
		GUILE_LOAD_COMPILED_PATH TCLLIBPATH TCL_LIBRARY JULIA_{DEPOT_PATH,PROJECT} PSModulePath`},
	{does: "Windows looks for programs or their files because of it", names: `
		PATHEXT APPDATA LOCALAPPDATA PROGRAMDATA USERPROFILE HOMEDRIVE HOMEPATH SYSTEMROOT WINDIR`},

	// databases
	{does: "a database client connects elsewhere, or trusts others, because of it", names: `
		PG{SERVICEFILE,SYSCONFDIR,SERVICE,HOSTADDR,SSLROOTCERT,SSLKEY,PASSFILE,LOCALEDIR} PGOAUTHCAFILE
		MYSQL_HOME MYSQL_TEST_LOGIN_FILE MARIADB_PLUGIN_DIR ODBCINI ODBCINSTINI ODBCSYSINI TNS_ADMIN`},
	{does: "a database client runs it, or takes commands or modules from there", names: `
		PSQLRC SQLPATH PSQL_{PAGER,WATCH_PAGER,EDITOR} LIBMYSQL_* REDISCLI_RCFILE`},

	// cloud, containers, desktop, agents
	{does: "docker works on another machine, or with other settings, because of it", names: `
		DOCKER_{HOST,CONFIG,CONTEXT,CERT_PATH,TLS_VERIFY} BUILDKIT_HOST BUILDX_CONFIG COMPOSE_FILE
		COMPOSE_ENV_FILES CONTAINER_HOST CONTAINERS_CONF
		CONTAINERS_{CONF_OVERRIDE,REGISTRIES_CONF,STORAGE_CONF,HELPER_BINARY_DIR} REGISTRY_AUTH_FILE
		PODMAN_COMPOSE_PROVIDER BUILDAH_RUNTIME`},
	{does: "kubectl or helm runs it, or takes its configuration from there", names: `
		KUBECONFIG KUBE_EDITOR KUBECTL_EXTERNAL_DIFF KUBERC
		HELM_{PLUGINS,BIN,CONFIG_HOME,DATA_HOME,CACHE_HOME,REPOSITORY_CONFIG,KUBEAPISERVER,KUBECAFILE}
		HELM_SECRETS_* KUSTOMIZE_PLUGIN_HOME`},
	{does: "terraform takes options or plugins from it", names: `
		TF_{CLI_CONFIG_FILE,CLI_ARGS*,DATA_DIR,PLUGIN_CACHE_DIR,REATTACH_PROVIDERS,LOG_PATH} TERRAFORM_CONFIG TF_ENCRYPTION
		TERRAGRUNT_* TG_{TF_PATH,AUTH_PROVIDER_CMD} PACKER_{CONFIG,PLUGIN_PATH} PULUMI_{HOME,DEBUG_PROVIDERS}
		VAGRANT_{HOME,VAGRANTFILE,CWD}`},
	{does: "ansible takes its configuration from it", but: "ANSIBLE_{FORCE_COLOR,NOCOLOR,FORKS,TIMEOUT}", names: `
		ANSIBLE_*`},
	{does: "a cloud client takes its configuration from there, with commands to run", names: `
		AWS_{CONFIG_FILE,SHARED_CREDENTIALS_FILE,PAGER,DATA_PATH}
		AWS_{CONTAINER_CREDENTIALS_FULL_URI,EC2_METADATA_SERVICE_ENDPOINT}
		CLOUDSDK_{PYTHON*,CONFIG,ROOT_DIR,PROXY_*} GCE_METADATA_{HOST,IP,ROOT} GOOGLE_API_CERTIFICATE_CONFIG
		OCI_CLI_CONFIG_FILE BOTO_CONFIG GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES AZURE_{CONFIG,EXTENSION}_DIR
		VAULT_CONFIG_PATH`},
	{does: "a desktop program loads modules from there", names: `
		GTK_{MODULES,PATH} GIO_EXTRA_MODULES QT_PLUGIN_PATH QT_QPA_PLATFORM_PLUGIN_PATH QML_IMPORT_PATH
		QML2_IMPORT_PATH GST_PLUGIN_PATH* VK_{LAYER_PATH,ADD_LAYER_PATH,ICD_FILENAMES,DRIVER_FILES}
		OCL_ICD_FILENAMES LIBGL_DRIVERS_PATH OMP_TOOL_LIBRARIES
		GDK_PIXBUF_{MODULE_FILE,MODULEDIR} CUDA_INJECTION64_PATH SDL_DYNAMIC_API`},
	{does: "desktop programs take commands from that bus", names: `
		DBUS_*_BUS_ADDRESS DBUS_STARTER_ADDRESS AT_SPI_BUS_ADDRESS`},
	{does: "the runner of a build runs the file that it names", names: `
		ACTIONS_RUNNER_HOOK_* ACTIONS_RUNNER_CONTAINER_HOOKS`},
	{does: "an AI agent takes its configuration from there", names: `
		CLAUDE_CONFIG_DIR CODEX_HOME GEMINI_CLI_{SYSTEM_SETTINGS_PATH,SYSTEM_DEFAULTS_PATH,HOME}
		OPENCODE_{CONFIG,CONFIG_DIR,CONFIG_CONTENT,PERMISSION} COPILOT_HOME CURSOR_CONFIG_DIR
		AIDER_{CONFIG,ENV_FILE,LOAD}`},
	{does: "an AI agent runs it, or sends its traffic there", names: `
		CLAUDE_CODE_{SHELL,SHELL_PREFIX,GIT_BASH_PATH} CLAUDE_ENV_FILE ANTHROPIC_UNIX_SOCKET
		GEMINI_SANDBOX_PROXY_COMMAND SANDBOX_FLAGS AIDER_{TEST_CMD,LINT_CMD,EDITOR,NOTIFICATIONS_COMMAND}`},
}

// ActsOnProgram says what a variable of this name may do to a program that gets it, "" for
// nothing: load code, run a command, trust somebody else, or tell ass itself what to do.
func ActsOnProgram(name string) string {
	does, _ := actsOnProgram(name)
	return does
}

// actsOnProgram says what a variable of this name does to the program that gets it, ""
// for nothing; depends is whether its value decides that, see [harmless]. The name is the
// final one, after --prefix.
func actsOnProgram(name string) (does string, depends bool) {
	name = sameVariable(name)
	if row := actingNames().row(name); row != nil {
		_, depends = harmless(name, "")
		return row.does, depends
	}
	return "", false
}

// actsWith is actsOnProgram for a variable with its value.
func actsWith(name string, value []byte) (does string) {
	does, depends := actsOnProgram(name)
	if none, _ := harmless(sameVariable(name), string(value)); depends && none {
		return ""
	}
	return does
}

// sameVariable is the form in which two names of one variable are equal: on Windows,
// they are so without case.
func sameVariable(name string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(name)
	}
	return name
}

// actingTable is actingRows in a form in which a name is quickly found.
type actingTable struct {
	exact, folded map[string]*actingRow // names; those of rows that fold, in capitals
	families      [32][]family          // by the first letter; see letter. Those that begin with any are in all
}

// family is a pattern with a *.
type family struct {
	*actingRow
	before, after string
}

var actingNames = sync.OnceValue(func() *actingTable {
	t := &actingTable{exact: make(map[string]*actingRow, 1000), folded: map[string]*actingRow{}}
	for i := range actingRows {
		row := &actingRows[i]
		for name := range expandBraces(row.names) {
			name = sameVariable(name)
			if row.fold {
				name = strings.ToUpper(name)
			}
			before, after, star := strings.Cut(name, "*")
			switch {
			case star:
				for i := range t.families {
					if before == "" || letter(before) == i {
						t.families[i] = append(t.families[i], family{row, before, after})
					}
				}
			case row.fold:
				t.folded[name] = row
			case t.exact[name] == nil: // where case does not count, the first row does
				t.exact[name] = row
			}
		}
	}
	return t
})

// letter tells the first letters of names apart, in whichever case. Other characters share theirs with a letter.
func letter(name string) int { return int(name[0] & 31) }

// row finds the row of a name; nil for none. A name by itself counts before a family.
func (t *actingTable) row(name string) *actingRow {
	if row := t.exact[name]; row != nil {
		return row
	}
	upper := strings.ToUpper(name)
	if row := t.folded[upper]; row != nil {
		return row
	}
	if name == "" {
		return nil
	}
	ends := slices.ContainsFunc(secretEnds, func(end string) bool { return strings.HasSuffix(upper, end) })
	for _, f := range t.families[letter(upper)] {
		is := name
		if f.fold {
			is = upper
		}
		if (f.whole || !ends) && len(is) >= len(f.before)+len(f.after) && strings.HasPrefix(is, f.before) &&
			strings.HasSuffix(is, f.after) && !slices.Contains(slices.Collect(expandBraces(f.but)), name) {
			return f.actingRow
		}
	}
	return nil
}

// expandBraces splits names at blanks, and makes one name for each of those in braces.
func expandBraces(names string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range strings.FieldsSeq(names) {
			if !expandName(name, yield) {
				return
			}
		}
	}
}

func expandName(name string, yield func(string) bool) bool {
	before, rest, found := strings.Cut(name, "{")
	if !found {
		return yield(name)
	}
	choices, after, _ := strings.Cut(rest, "}")
	for choice := range strings.SplitSeq(choices, ",") {
		if !expandName(before+choice+after, yield) {
			return false
		}
	}
	return true
}
