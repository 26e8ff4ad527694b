package vault

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"ass/vault/disk"
)

// A vault's file has one name. A rewrite puts a new file in its place, under that name. Under any other
// name, the old file would stay, with all that the rewrite takes away. The lock goes by the name as well.
//
// So acts that change or narrow something are refused while there are other names, but reads of values
// are not: their entries are in the file under each name, and a link that some other program makes must
// not stop programs from reading. If the file has no name left, because another took its place
// where it is mounted from, everything that would be written to it would be lost: then all that is logged is
// refused. Acts that log nothing show what the file holds; see [Vault.OtherNames].

// NamesError says that a vault's file has no name left, or several. It wraps [ErrConflict].
type NamesError struct {
	Path  string
	Count int      // of names: 0, or more than 1
	Found []string // the other ones, as far as they are in the same folder
}

func (e *NamesError) Error() string {
	if e.Count == 0 {
		return e.Path + " has no name any more: where it is mounted from, another file took its place, or it was removed, so " +
			"what is written to it would be lost"
	}
	beside := ""
	if len(e.Found) > 0 {
		beside = ", also " + strings.Join(e.Found, ", ")
	}
	return fmt.Sprintf("%s has %d names (hard links%s), and what is taken away under one of them would stay under the others",
		e.Path, e.Count, beside)
}

func (e *NamesError) Unwrap() error { return ErrConflict }

// LeftBehind says what the other names have once the vault has a file of its own.
func (e *NamesError) LeftBehind() string {
	var where []string
	if len(e.Found) > 0 {
		where = append(where, "in "+strings.Join(e.Found, ", "))
	}
	switch n := e.Count - 1 - len(e.Found); {
	case n == 1:
		where = append(where, "under a name in another folder")
	case n > 1:
		where = append(where, fmt.Sprintf("under %d names in other folders", n))
	}
	return "an old copy of the vault stays " + strings.Join(where, ", and ")
}

// OtherNames returns how the file comes not to have one name; nil if it has one. Names that a killed
// restore left do not count: the next command that writes removes them.
func (v *Vault) OtherNames() *NamesError { return v.countNames(true) }

// OtherNames is [Vault.OtherNames].
func (s *Session) OtherNames() *NamesError { return s.v.OtherNames() }

func (v *Vault) countNames(withoutOwn bool) *NamesError {
	n, err := v.db.Names()
	switch {
	case err != nil || n == 1:
		return nil
	case n == 0 && !v.lock.HasName(): // the file system does not count, as far as anybody can tell
		return nil
	}
	e := &NamesError{Path: v.path, Count: int(n)}
	if n == 0 {
		return e
	}
	own, others := secondNames(v.path)
	if e.Found = others; withoutOwn {
		e.Count -= len(own)
	} else {
		e.Found = slices.Sorted(slices.Values(append(others, own...)))
	}
	if e.Count <= 1 {
		return nil
	}
	return e
}

// refuseNames returns an error unless the file has one name. several says whether more will do, too.
func (v *Vault) refuseNames(several bool) error {
	if e := v.countNames(false); e != nil && (e.Count == 0 || !several) {
		return e
	}
	return nil
}

// otherNames returns how many other names the file at path has, leftovers not counted.
func otherNames(path string) int {
	f, err := disk.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	n, err := disk.Names(f)
	if err != nil || n <= 1 {
		return 0
	}
	own, _ := secondNames(path)
	return int(n) - 1 - len(own)
}

// replacedInfix comes before the time in the names of replaced files.
const replacedInfix = ".replaced-"

// replacedName returns a free name for the file that is at path until a new one replaces it.
func replacedName(path string, now time.Time) (string, error) {
	return disk.Unused(path + replacedInfix + now.UTC().Format("20060102-150405"))
}

// secondNames lists the other names of the file at path that lie in the same folder. own are those that a run of ass
// can have given it, and died before it removed one of the two.
func secondNames(path string) (own, others []string) {
	strays := disk.Strays(path)
	for _, name := range disk.SecondNames(path) {
		if strings.HasPrefix(filepath.Base(name), filepath.Base(path)+replacedInfix) || slices.Contains(strays, name) {
			own = append(own, name)
		} else {
			others = append(others, name)
		}
	}
	return own, others
}

// dropLeftovers removes the names that runs of ass have left. They look like copies of the vault, but are not. The caller has
// the lock, alone.
func dropLeftovers(path string) error {
	own, _ := secondNames(path)
	for _, name := range own {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
