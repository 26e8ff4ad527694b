package asstest

import _ "embed"

// template is an empty vault, made at [Begin]. Copying it takes a fraction of the time of making one. TestTemplate makes
// it.
//
//go:embed template.db
var template []byte

//go:embed template.key
var templateKey string

//go:embed template.id
var templateID string
