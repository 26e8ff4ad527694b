package commands

import (
	"io/fs"
	"testing"

	"ass/vault/disk"
)

func TestMend(t *testing.T) {
	by := disk.Access{Me: "S-1-5-21-1-2-3-1001", Others: []string{"S-1-1-0", "S-1-5-11"}}
	const file = `icacls "C:\my keys\vault.db" /inheritance:r /grant:r "*S-1-5-21-1-2-3-1001:F" "*S-1-5-18:F" ` +
		`"*S-1-5-32-544:F" /remove:g "*S-1-1-0" "*S-1-5-11"`
	if got := mend("600", `C:\my keys\vault.db`, by); got != file {
		t.Errorf("%s\nwant %s", got, file)
	}
	by.Mode = fs.ModeDir
	const folder = `icacls "C:\ass" /inheritance:r /grant:r "*S-1-5-21-1-2-3-1001:(OI)(CI)F" "*S-1-5-18:(OI)(CI)F" ` +
		`"*S-1-5-32-544:(OI)(CI)F" /remove:g "*S-1-1-0" "*S-1-5-11"`
	if got := mend("700", `C:\ass`, by); got != folder {
		t.Errorf("%s\nwant %s", got, folder)
	}
}
