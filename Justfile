# Convenience; nothing needs just. `just` lists the recipes.
_default:
    @just --list

# What CI runs
check:
    bash .ci/run

# The tests
test *args:
    go test ./... {{args}}

# A static binary
build:
    CGO_ENABLED=0 go build -trimpath -ldflags=-s -o ass .

# Flip every byte of the first entries of every page of a vault, and say what became of it
damage:
    go test ./vault -run '^TestDamage$' -v -timeout 1h -args -damage-all

# Kill and fail every act of a vault at every file call in every way, and see that nobody was lied to
disks:
    go test ./vault -run '^(TestDiskFails|TestCopies|TestRekeyKilled)$' -v -timeout 1h -args -disk-all

# Read what env export writes with the real node dotenv, from a node_modules folder
readers modules:
    ASS_TEST_DOTENV={{modules}} go test ./commands -run TestReal -v

# Fuzz one target for as long as you like: just fuzz ./tokens FuzzPath 10m
fuzz pkg target time="1m":
    go test {{pkg}} -run '^$' -fuzz '^{{target}}$' -fuzztime {{time}}

# Benchmarks of the inner pieces, as a table
bench *args:
    go test ./vault -run '^$' -bench . -benchmem {{args}}
