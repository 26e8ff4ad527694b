package commands

import "ass/e2e/limits"

func init() { limits.Set() }
