package disk

import "golang.org/x/sys/unix"

// IsMounted reports whether something is mounted at path itself: a single file, say. Kernels before
// Linux 5.8 do not tell; then known is false.
func IsMounted(path string) (mounted, known bool) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st); err != nil {
		return false, false
	}
	const root = unix.STATX_ATTR_MOUNT_ROOT
	return st.Attributes&root != 0, st.Attributes_mask&root != 0
}
