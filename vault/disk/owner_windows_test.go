package disk

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/windows"
)

// An access list, in the language of Windows, says what others can do.
func TestAccessBy(t *testing.T) {
	const (
		me    = "S-1-5-21-1-2-3-1001"
		other = "S-1-5-21-1-2-3-1002"
		usual = "(A;;FA;;;" + me + ")(A;;FA;;;SY)(A;;FA;;;BA)"
		mine  = "O:" + me + "D:" + usual
	)
	for _, tt := range []struct {
		list              string
		mode              fs.FileMode
		stranger, another bool
		others            []string
	}{
		{mine, 0o600, false, false, nil},
		{mine + "(A;;FA;;;OW)(A;OICIIO;FA;;;CO)", 0o600, false, false, nil},
		{"O:" + me + "D:", 0o600, false, false, nil},
		{"O:BAD:" + usual, 0o600, false, false, nil},
		{"O:SYD:" + usual, 0o600, false, true, nil},
		{"O:" + installer + "D:" + usual, 0o600, false, true, nil},
		{"O:" + other + "D:" + usual, 0o600, true, true, nil},

		{mine + "(A;;FR;;;WD)", 0o604, false, false, []string{everyone}},
		{mine + "(A;;GR;;;WD)", 0o604, false, false, []string{everyone}},
		{mine + "(A;;FW;;;" + other + ")", 0o602, false, false, []string{other}},
		{mine + "(A;;0x4;;;WD)", 0o602, false, false, []string{everyone}}, // to append
		{mine + "(A;;SD;;;WD)", 0o602, false, false, []string{everyone}},  // to delete
		{mine + "(A;;WD;;;WD)", 0o602, false, false, []string{everyone}},  // to change the list
		{mine + "(A;;WO;;;WD)", 0o602, false, false, []string{everyone}},
		{mine + "(A;;FA;;;BU)(A;;FR;;;WD)", 0o606, false, false, []string{everyone, "S-1-5-32-545"}},
		{mine + "(A;;0x1000a0;;;WD)", 0o600, false, false, nil}, // to run it, and to read its attributes
		{mine + "(D;;FA;;;WD)", 0o600, false, false, nil},
		{mine + "(A;;FR;;;S-1-15-2-1)", 0o600, false, false, nil},

		{mine + "(A;OICIIO;FA;;;WD)", fs.ModeDir | 0o700, false, false, nil},
		{mine + "(A;;FR;;;WD)", fs.ModeDir | 0o704, false, false, []string{everyone}},
		{mine + "(A;;0x6;;;AU)", fs.ModeDir | fs.ModeSticky | 0o702, false, false, []string{"S-1-5-11"}},
		{mine + "(A;;0x6;;;AU)(A;;0x40;;;WD)", fs.ModeDir | 0o702, false, false, []string{everyone, "S-1-5-11"}},
		{mine + "(A;;0x1301bf;;;AU)", fs.ModeDir | 0o706, false, false, []string{"S-1-5-11"}}, // to modify
	} {
		sd, err := windows.SecurityDescriptorFromString(tt.list)
		if err != nil {
			t.Errorf("%s: %v", tt.list, err)
			continue
		}
		a := accessBy(sd, tt.mode.Type()|0o777, me)
		if a.Mode != tt.mode || a.Stranger != tt.stranger || a.Another != tt.another || a.Me != me ||
			!slices.Equal(a.Others, tt.others) {
			t.Errorf("%s: %v %+v, want %v", tt.list, a.Mode, a, tt)
		}
	}
	open, err := windows.NewSecurityDescriptor() // it has neither an owner nor a list
	if err != nil {
		t.Fatal(err)
	}
	for _, sd := range []*windows.SECURITY_DESCRIPTOR{nil, open} {
		if a := accessBy(sd, 0o666, me); a.Mode != 0o606 || a.Stranger || !slices.Equal(a.Others, []string{everyone}) {
			t.Errorf("without a list: %v %+v", a.Mode, a)
		}
	}
}

// AccessTo reads the list of the file itself.
func TestAccessTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	me := user.User.Sid.String()
	for _, tt := range []struct {
		list string
		perm fs.FileMode
	}{{"", 0o600}, {"(A;;FR;;;WD)", 0o604}, {"(A;;FA;;;WD)", 0o606}} {
		sd, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;" + me + ")" + tt.list)
		if err != nil {
			t.Fatal(err)
		}
		list, _, err := sd.DACL()
		if err != nil {
			t.Fatal(err)
		}
		if err := windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
			windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil); err != nil {
			t.Fatal(err)
		}
		_, a, err := ReadFile(path, 1)
		if err != nil || a.Mode.Perm() != tt.perm || a.Stranger || a.Another {
			t.Errorf("%s: %v %+v, %v", tt.list, a.Mode, a, err)
		}
	}
}
