package disk

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystem says on which file system a file lies: "nfs4, mounted at /home"; "" if unknown.
// The source is mountinfo, see proc_pid_mountinfo(5).
func fileSystem(f *os.File) string {
	var st unix.Stat_t
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil || unix.Fstat(int(f.Fd()), &st) != nil {
		return ""
	}
	defer mounts.Close()
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		// 36 35 98:0 /root /mount/point rw,noatime shared:1 - type source options
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) > 4 && len(kind) > 0 && fields[2] == device {
			return kind[0] + ", mounted at " + fields[4]
		}
	}
	return ""
}
