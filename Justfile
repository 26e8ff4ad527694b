# Convenience; nothing needs just. `just` lists the recipes.
_default:
    @just --list

# What CI runs
check:
    bash .ci/run

# The tests
test *args:
    go test ./... {{args}}

# The tests that are quick: no kills, no full disks, no large vaults; less than 20 seconds
quick:
    go test -short . ./tokens ./audit/... ./commands/... ./vault/...

# A static binary
build:
    CGO_ENABLED=0 go build -trimpath -ldflags=-s -o ass .

# What people install, in dist/: just release 0.1.0 -key ~/.ssh/release (see CONTRIBUTING.md)
release version *args:
    go -C .ci/release run . -version {{version}} {{args}}

# Give the module another path, once somebody publishes it: just module github.com/somebody/ass
module path *args:
    go run ./.ci/module {{args}} {{path}}

# Hurt every page of a small vault, and many of a large one, in every way, and say what became of it
damage:
    go test ./vault -run '^TestDamage' -v -timeout 1h -args -damage-all
    go test ./commands -run '^TestDamage$' -v -timeout 1h -args -damage-all

# Run every command on every damaged page, and write the table in docs/reliability.md
damage-table:
    go test ./commands -run '^TestDamage$' -timeout 1h -args -damage-table

# Vaults as somebody makes them who knows the format, against everything; a failure names its seed: just hostile 1 4711
hostile files="20000" seed="1":
    go test ./vault -run '^TestHostile$' -v -timeout 0 -args -hostile {{files}} -hostile-seed {{seed}}

# Random databases against the checks of pages, for longer
pages rounds="30":
    go test ./vault/internal/bolt -run '^TestPages' -timeout 1h -args -pages-rounds {{rounds}}

# Kill and fail every act of a vault, and every command, at every file call in every way, and see that nobody was lied to
disks:
    go test ./vault -run '^(TestDiskFails|TestCopies|TestRekeyKilled)$' -v -timeout 1h -args -disk-all
    go test ./e2e/faults -run '^TestFaults$' -v -timeout 3h -args -disk-all

# One agent makes many requests; the time may grow with their number, not with its square
requests n="10000":
    go test ./vault -run '^TestThousandsOfRequests$' -v -timeout 1h -args -requests {{n}}

# Import and read many secrets at once, and see what that costs and how long the log entries are
lists n="100000":
    go test ./vault -run '^TestManySecrets$' -v -timeout 1h -args -lists {{n}}

# Kill the program a thousand times, and hold what is left against a specification
crash kills="1000" seed="0":
    go test ./e2e -run '^TestKills$' -v -timeout 1h -args -kills {{kills}} -kills-seed {{seed}}

# Cut the power in every command, and see what the next commands make of the disks that it may leave
cuts disks="5000" seed="0":
    go test ./e2e/powercut -run '^TestPowerCuts$' -v -timeout 0 -args -cuts {{disks}} -cuts-seed {{seed}}

# Lead vaults through many random lives; a failure names its seed: just model 500 -model-seed 7
model steps="100000" *args:
    go test ./vault -run '^TestModel$' -v -timeout 0 -args -model-steps {{steps}} {{args}}

# Break the program in small ways, and name what no test sees (-listed: the mutants that matter most); see docs/reliability.md
mutants *args:
    go test ./e2e/mutants -args -try
    go run ./e2e/mutants {{args}}

# Read what env export writes with the real readers; node's dotenv from node_modules folders
readers modules:
    ASS_TEST_DOTENV={{modules}} go test ./commands -run '^(TestReal|TestFamilies)' -v

# The owner's day on Windows, as far as a wine goes: just wine /usr/lib/wine/wine64
wine wine="wine":
    ASS_TEST_WINE={{wine}} go test ./e2e -run '^TestWindows' -v

# Fuzz one target for as long as you like: just fuzz ./tokens FuzzPath 10m
fuzz pkg target time="1m":
    go test {{pkg}} -run '^$' -fuzz '^{{target}}$' -fuzztime {{time}}

# Measure whole processes beside a floor program and other tools, as a table; see docs/performance.md
bench *args:
    go test ./e2e -run '^TestMeasure$' -v -timeout 1h -args -measure {{args}}

# Measure how fast a large output goes through ass run, beside cat
bench-run *args:
    go test ./e2e -run '^TestMeasureRun$' -v -timeout 1h -args -measure {{args}}

# Measure how fast files and a history are searched for 1,000 values, beside grep and git grep
bench-leaks *args:
    go test ./e2e -run '^TestMeasureLeaks$' -v -timeout 1h -args -measure {{args}}

# Benchmarks of the inner pieces
benchmarks *args:
    go test ./vault/... ./audit ./commands/internal/redact -run '^$' -bench . -benchmem {{args}}
