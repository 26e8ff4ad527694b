package process

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Room returns how many bytes of memory this process can still get. Most is what the limits that
// are set for it allow at best (ulimit, control groups): beyond that, the system ends it. Free is
// what it can get now, as far as anybody can tell. Each is math.MaxInt64 if it is unknown.
func Room() (most, free int64) {
	most, free = math.MaxInt64, math.MaxInt64
	left, swap := machineRoom()
	if left > 0 {
		free = left + swap
	}
	if groups, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		limit, now := groupRoom("/sys/fs/cgroup", string(groups), swap)
		most, free = limit, min(free, now)
	}
	var limit unix.Rlimit
	if used := firstNumber("/proc/self/statm"); used > 0 && unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil &&
		limit.Cur < math.MaxInt64 {
		most = min(most, int64(limit.Cur)-used*int64(os.Getpagesize()))
	}
	return most, free
}

// machineRoom returns the bytes of memory, and of swap, that the machine has left; 0 if unknown.
func machineRoom() (memory, swap int64) {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "MemAvailable":
			memory = kib << 10
		case "SwapFree":
			swap = kib << 10
		}
	}
	return memory, swap
}

// groupRoom returns what the control groups of a process allow it, at best and now. groups is the
// content of /proc/self/cgroup; see cgroups(7), and cgroup-v2.rst of the kernel. Each group above
// has its limit, too. Version 1 counts swap separately, so there it is left out.
func groupRoom(root, groups string, swap int64) (most, free int64) {
	most, free = math.MaxInt64, math.MaxInt64
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		names := []string{"", "memory.max", "memory.current", "memory.swap.max"} // version 2: 0::/path
		switch {
		case parts[1] == "memory":
			names = []string{"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ""}
		case parts[0] != "0" || parts[1] != "":
			continue
		}
		for group := path.Clean("/" + parts[2]); ; group = path.Dir(group) {
			dir := filepath.Join(root, names[0], group)
			limit, used := firstNumber(filepath.Join(dir, names[1])), firstNumber(filepath.Join(dir, names[2]))
			if limit > 0 && limit < 1<<62 { // version 1 has a number for "none"
				more := int64(0)
				if names[3] != "" {
					more = swap
				}
				if n := firstNumber(filepath.Join(dir, names[3])); n >= 0 {
					more = min(more, n)
				}
				most = min(most, limit+more)
				// The cache of files is given back when memory is short.
				free = min(free, limit-used+more+statOf(filepath.Join(dir, "memory.stat"), "inactive_file"))
			}
			if group == "/" {
				break
			}
		}
	}
	return most, free
}

// firstNumber returns the number with which a file begins; -1 if there is none.
func firstNumber(file string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	text, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func statOf(file, name string) int64 {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n
		}
	}
	return 0
}
