package vault

import "os"

func keepOwner(*os.File, string) {}
