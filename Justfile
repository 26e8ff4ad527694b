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

# Fuzz one target for as long as you like: just fuzz ./tokens FuzzPath 10m
fuzz pkg target time="1m":
    go test {{pkg}} -run '^$' -fuzz '^{{target}}$' -fuzztime {{time}}

# Benchmarks of the inner pieces, as a table
bench *args:
    go test ./vault -run '^$' -bench . -benchmem {{args}}
