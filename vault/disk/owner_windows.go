package disk

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

func ownLike(string, string) {}

func keepOwner(*os.File, string) {}

// Well-known ids.
const (
	everyone       = "S-1-1-0"
	creatorOwner   = "S-1-3-0"
	ownerRights    = "S-1-3-4"
	system         = "S-1-5-18"
	administrators = "S-1-5-32-544"
	installer      = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464" // TrustedInstaller

	// programs begins the ids of confined programs. They get only what their user gets, too.
	programs = "S-1-15-"
)

// Rights to a file or a folder.
const (
	deleteChild = windows.ACCESS_MASK(0x40) // FILE_DELETE_CHILD; a file has no such right

	reading  = windows.ACCESS_MASK(windows.FILE_READ_DATA | windows.GENERIC_READ | windows.GENERIC_ALL)
	adding   = windows.ACCESS_MASK(windows.FILE_WRITE_DATA | windows.FILE_APPEND_DATA | windows.GENERIC_WRITE)
	changing = windows.ACCESS_MASK(windows.DELETE|windows.WRITE_DAC|windows.WRITE_OWNER|windows.GENERIC_ALL) | deleteChild
)

// AccessTo returns what others can do with the file or the folder at path. If its access list cannot be
// read, everybody can do everything.
func AccessTo(path string, info fs.FileInfo) Access {
	var me string
	if user, err := windows.GetCurrentProcessToken().GetTokenUser(); err == nil {
		me = user.User.Sid.String()
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		sd = nil
	}
	return accessBy(sd, info.Mode(), me)
}

func accessBy(sd *windows.SECURITY_DESCRIPTOR, mode fs.FileMode, me string) Access {
	a := Access{Mode: mode.Type() | 0o600, Me: me}
	if mode.IsDir() {
		a.Mode |= 0o100
	}
	if sd != nil {
		// A file system without owners, such as that of a memory stick, says that everyone owns all.
		if owner, _, err := sd.Owner(); err == nil && owner != nil && owner.String() != everyone {
			id := owner.String()
			a.Another = id != me && id != administrators
			a.Stranger = a.Another && id != system && id != installer
		}
	}
	given := rights(sd)
	change := changing
	if !mode.IsDir() { // in a folder, adding is the right to make new files
		change |= adding
	}
	onlyAdd := true
	for id, mask := range given {
		switch {
		case mask&(reading|adding|change) == 0, id == me, strings.HasPrefix(id, programs),
			slices.Contains([]string{creatorOwner, ownerRights, system, administrators, installer}, id):
			continue
		}
		a.Others = append(a.Others, id)
		if mask&reading != 0 {
			a.Mode |= 0o004
		}
		if mask&(adding|change) != 0 {
			a.Mode |= 0o002
		}
		onlyAdd = onlyAdd && mask&change == 0
	}
	if onlyAdd && a.Mode&0o002 != 0 {
		a.Mode |= fs.ModeSticky
	}
	slices.Sort(a.Others)
	return a
}

// rights returns what the access list gives to whom. It does not look at what the list denies.
func rights(sd *windows.SECURITY_DESCRIPTOR) map[string]windows.ACCESS_MASK {
	all := map[string]windows.ACCESS_MASK{everyone: windows.GENERIC_ALL}
	if sd == nil {
		return all
	}
	list, _, err := sd.DACL()
	if err != nil || list == nil { // no list is not an empty list
		return all
	}
	given := map[string]windows.ACCESS_MASK{}
	for i := range uint32(list.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if windows.GetAce(list, i, &ace) != nil {
			return all
		}
		const conditional = 9 // ACCESS_ALLOWED_CALLBACK_ACE_TYPE, of the same form
		kind := ace.Header.AceType
		if (kind == windows.ACCESS_ALLOWED_ACE_TYPE || kind == conditional) &&
			ace.Header.AceFlags&windows.INHERIT_ONLY_ACE == 0 {
			given[(*windows.SID)(unsafe.Pointer(&ace.SidStart)).String()] |= ace.Mask
		}
	}
	return given
}
