package process

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The tightest group counts, and swap only as far as the machine has any.
func TestGroupRoom(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name, groups string
		files        map[string]string
		swap         int64
		most, free   int64
	}{
		{"no limit", "0::/a\n", map[string]string{"a/memory.max": "max\n"}, 0, math.MaxInt64, math.MaxInt64},
		{"version 2", "0::/a/b\n", map[string]string{"a/b/memory.max": "209715200\n", "a/b/memory.current": "104857600\n",
			"a/b/memory.swap.max": "0\n", "a/b/memory.stat": "anon 5\ninactive_file 1048576\n"}, 500 * mib, 200 * mib, 101 * mib},
		{"with swap", "0::/a\n", map[string]string{"a/memory.max": "104857600", "a/memory.current": "0",
			"a/memory.swap.max": "max"}, 50 * mib, 150 * mib, 150 * mib},
		{"the group above", "0::/a/b\n", map[string]string{"a/b/memory.max": "209715200", "a/b/memory.current": "0",
			"a/memory.max": "104857600", "a/memory.current": "52428800"}, 0, 100 * mib, 50 * mib},
		{"version 1", "9:cpu:/x\n8:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "104857600",
			"memory/a/memory.usage_in_bytes": "1048576"}, 0, 100 * mib, 99 * mib},
		{"version 1 without a limit, with swap", "8:memory:/\n", map[string]string{
			"memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "1048576"}, 2 << 30,
			math.MaxInt64, math.MaxInt64},
		{"version 1 with swap", "8:memory:/a\n", map[string]string{"memory/a/memory.limit_in_bytes": "104857600",
			"memory/a/memory.usage_in_bytes": "0"}, 2 << 30, 100 * mib, 100 * mib},
		{"in a container", "8:memory:/docker/123\n", map[string]string{"memory/memory.limit_in_bytes": "104857600",
			"memory/memory.usage_in_bytes": "0"}, 0, 100 * mib, 100 * mib},
		{"nonsense", "0\n:::\n0::\n", nil, 0, math.MaxInt64, math.MaxInt64},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if most, free := groupRoom(root, c.groups, c.swap); most != c.most || free != c.free {
			t.Errorf("%s: %d and %d, want %d and %d", c.name, most, free, c.most, c.free)
		}
	}
	if most, free := Room(); most <= 0 || free <= 0 {
		t.Errorf("here: %d and %d", most, free)
	}
}
