package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"ass/commands/internal/process"
	"ass/vault/disk"
)

// Where files are kept, and how small files are written.

// folder returns the folder of ass for one purpose. If the XDG variable is set, it is
// there. Otherwise it is under the home folder, and in the native place on macOS and
// Windows. On Windows, that is one folder for all: the other one, %APPDATA%, is copied to
// each machine that the person logs in to, and no key belongs there.
func (w *world) folder(xdg, unix, mac string) (string, error) {
	if dir := w.getenv(xdg); dir != "" {
		if !filepath.IsAbs(dir) {
			return "", usagef("%s is not an absolute path", xdg)
		}
		return filepath.Join(dir, "ass"), nil
	}
	if runtime.GOOS == "windows" {
		if dir := w.getenv("LOCALAPPDATA"); dir != "" {
			return filepath.Join(dir, "ass"), nil
		}
		return "", failf("%%LOCALAPPDATA%% is not set").
			hint("set it, or %s", xdg)
	}
	home := w.home()
	if home == "" {
		return "", errorf(errNoHome, "HOME is not set").
			hint("set it, or %s", xdg)
	}
	if !filepath.IsAbs(home) {
		return "", fmt.Errorf("HOME is %s, which is not an absolute path", home)
	}
	if info, err := os.Stat(home); err != nil || !info.IsDir() {
		return "", failf("HOME is %s, which is no folder", home).
			hint("set it to one, or set %s", xdg)
	}
	if runtime.GOOS == "darwin" {
		unix = mac
	}
	return filepath.Join(home, filepath.FromSlash(unix), "ass"), nil
}

// errNoHome says that the home folder is unknown, as in a minimal container.
var errNoHome = errors.New("no home")

func (w *world) dataDir() (string, error) {
	return w.folder("XDG_DATA_HOME", ".local/share", "Library/Application Support")
}

func (w *world) stateDir() (string, error) {
	return w.folder("XDG_STATE_HOME", ".local/state", "Library/Application Support")
}

// configDir is ~/.config on macOS too, as with the hosted CLI.
func (w *world) configDir() (string, error) {
	return w.folder("XDG_CONFIG_HOME", ".config", ".config")
}

// vaultPath parses the value of --api-url: file:///path, or a path.
func (w *world) vaultPath(text string) (string, error) {
	switch scheme, _, found := strings.Cut(text, "://"); {
	case found && (scheme == "http" || scheme == "https"):
		return "", usagef("ASS_API_URL names a server, and this is the offline ass: give it file:///path/to/vault.db, or a " +
			"path")
	case found && scheme != "file":
		return "", usagef("ASS_API_URL has the scheme %q", scheme).
			hint("give it file:///path/to/vault.db, or a path")
	case found:
		u, err := url.Parse(text)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return "", usagef("ASS_API_URL is no file URL with an absolute path, such as file:///home/you/vault.db")
		}
		text = filepath.FromSlash(u.Path)
		if runtime.GOOS == "windows" {
			text = strings.TrimPrefix(text, `\`) // \C:\…
		}
	}
	return w.abs(text)
}

// fileURL is the inverse of vaultPath.
func fileURL(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// tilde shortens a path in the home folder, for people.
func (w *world) tilde(path string) string {
	home := w.home()
	if home != "" && home != "/" && strings.HasPrefix(path, home+string(filepath.Separator)) {
		return "~" + path[len(home):]
	}
	return path
}

// readSmall reads a regular file of at most limit bytes. It follows no link and
// does not wait for a pipe.
func readSmall(path string, limit int64) ([]byte, error) {
	b, _, err := readWithAccess(path, limit)
	return b, err
}

// readOwn is readSmall for files that decide where secrets go and which credential
// reads them. It refuses a file of another user, which could send the secrets
// elsewhere.
func readOwn(path string, limit int64) ([]byte, error) {
	b, by, err := readWithAccess(path, limit)
	if err == nil && by.Stranger {
		return nil, failf("%s belongs to another user, so it is not trusted", path).
			hint("remove it, or take it over with %s", takeOver)
	}
	return b, err
}

func readWithAccess(path string, limit int64) ([]byte, disk.Access, error) {
	if err := disk.CheckRegular(path); err != nil {
		return nil, disk.Access{}, err
	}
	b, by, err := disk.ReadFile(path, limit)
	var large *disk.TooLargeError
	if errors.As(err, &large) {
		err = fmt.Errorf("%s is larger than %s", path, size(limit))
	}
	return b, by, err
}

// withRoom adds advice to the error of a full disk.
func withRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return withHint(err, "make room and run it again")
	}
	return err
}

// writePrivate replaces a file in one piece, readable by its owner alone. After an
// error, the file is unchanged unless the error says otherwise.
func (w *world) writePrivate(path string, content []byte) error {
	return withRoom(w.unfinished().Replace(path, content))
}

// writeNew creates a file. If the file exists already, it leaves the file alone and
// returns an error that is [fs.ErrExist].
func (w *world) writeNew(path string, content []byte, perm fs.FileMode) error {
	return withRoom(w.unfinished().WriteNew(path, content, perm))
}

// unfinished returns the register of the temporary files of this user.
func (w *world) unfinished() disk.Register {
	dir, err := w.stateDir()
	if err != nil {
		return disk.Register{}
	}
	return disk.Register{Dir: filepath.Join(dir, "unfinished")}
}

// sweep removes what killed runs have left behind.
func (w *world) sweep() {
	w.unfinished().Sweep(process.SweepFolder)
}

// lockOwn locks one of our own JSON files for a change, and makes its folder. It removes
// the files that a killed run left behind: while the lock is held, no other run writes.
func (a *app) lockOwn(path string) (release func(), err error) {
	if err := disk.MakeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	release, err = disk.LockFile(strings.TrimSuffix(path, ".json")+".lock", a.lockOptions())
	if err == nil {
		for _, left := range disk.Strays(path) {
			_ = disk.Remove(left)
		}
	}
	return release, err
}

const ownRuntime = "remove it, or set XDG_RUNTIME_DIR to a folder of your own"

// privateFolder creates the folder for files that open secrets or are shown in a
// browser. It refuses a folder whose files others could replace. way says how to take another one.
func privateFolder(dir, way string) error {
	if err := disk.MakeFolder(dir); err != nil {
		return err
	}
	named, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	by := disk.AccessTo(dir, info)
	switch {
	case by.Stranger, disk.AccessTo(dir, named).Stranger:
		return failf("the folder %s belongs to another user", dir).
			hint("%s", way)
	case by.Mode&fs.ModeSticky != 0 && by.Mode.Perm()&0o022 != 0: // such as /tmp, which is for everybody
		return failf("others can put files into the folder %s", dir).
			hint("%s", way)
	case by.Mode.Perm()&0o022 != 0:
		return failf("others can replace files in the folder %s", dir).
			hint("mend it with: %s", mend("go-w", dir, by))
	}
	return nil
}

// shellWord quotes a path for a shell, where that is necessary.
func shellWord(s string) string {
	if strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r))
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// exposures returns a warning for each of our files and folders that others can access,
// with the way to mend it. A folder that others use too, such as /tmp, matters only if
// they could replace the files in it, or a folder on the way to it.
func exposures(paths ...string) (warnings []string) {
	warn := func(path, format, mode string, by disk.Access) {
		warnings = append(warnings, fmt.Sprintf(format+"; mend it with: %s", path, mend(mode, path, by)))
	}
	above := map[string]bool{}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if info.IsDir() {
			for dir := filepath.Dir(path); dir != filepath.Dir(dir) && !above[dir]; dir = filepath.Dir(dir) {
				above[dir] = true
				up, err := os.Stat(dir)
				if err != nil {
					continue
				}
				if by := disk.AccessTo(dir, up); by.Mode.Perm()&0o002 != 0 && by.Mode&fs.ModeSticky == 0 {
					warn(dir, "others can replace the folders in %s", "o-w", by)
				}
			}
		}
		by := disk.AccessTo(path, info)
		switch open := by.Mode.Perm() & 0o077; {
		case by.Stranger:
			warnings = append(warnings, fmt.Sprintf("%s belongs to another user, who can read and replace it", path))
		case !info.IsDir() && open != 0:
			warn(path, "%s can be read by others", "600", by)
		case info.IsDir() && filepath.Base(path) == "ass" && open != 0:
			warn(path, "the folder %s is open to others", "700", by)
		case info.IsDir() && open&0o022 != 0 && by.Mode&fs.ModeSticky == 0:
			warn(path, "others can replace files in the folder %s", "go-w", by)
		}
	}
	return warnings
}
