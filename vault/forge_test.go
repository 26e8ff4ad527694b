package vault

import (
	"encoding/json"

	"github.com/cloudflare/circl/sign/ed25519"
)

// What attackers do in tests: they make records without the checks of this package.

// put writes a record of the transaction's actor, whatever its body. requireSig says whether the actor signs it.
func (t *tx) put(bucket string, k []byte, requireSig bool, body any) error {
	var r *stored
	var err error
	switch body := body.(type) {
	case versionBody:
		r, err = versionKind.newStored(t.hasher, t.by, k, &body)
	case recipientBody:
		r, err = recipientKind.newStored(t.hasher, t.by, k, &body)
	case grantBody:
		r, err = grantKind.newStored(t.hasher, t.by, k, &body)
	default:
		var b []byte
		if b, err = json.Marshal(body); err == nil {
			r = t.newStored(t.by, bucket, k, requireSig, b, nil)
		}
	}
	if err != nil {
		return err
	}
	return t.place(r)
}

// newRecord makes a record that is alone in its batch; sign is nil for none.
func (h *hasher) newRecord(bucket string, key []byte, by string, sign ed25519.PrivateKey, body, data []byte) record {
	r := h.newStored(actor{id: by, sign: sign}, bucket, key, sign != nil, body, data)
	if r.value == nil {
		h.signAll([]*stored{r})
	}
	return r.record
}
