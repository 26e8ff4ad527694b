package protocols

import (
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// AWSCredential is the answer of a credential_process of AWS.
type AWSCredential struct {
	Version         int
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string `json:",omitempty"`
	Expiration      string `json:",omitempty"` // RFC 3339
}

// AWSKeys are the keys under which the parts of a credential lie in a namespace, as the AWS tools name the variables.
// The first two must be there.
var AWSKeys = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"}

// NewAWS makes a credential of the values at [AWSKeys].
func NewAWS(values map[string][]byte) (c AWSCredential, err error) {
	for i, to := range []*string{&c.AccessKeyID, &c.SecretAccessKey, &c.SessionToken, &c.Expiration} {
		value, ok := values[AWSKeys[i]]
		if !ok {
			continue
		}
		if *to, err = Line(value); err != nil {
			return AWSCredential{}, errors.New(AWSKeys[i] + ": " + err.Error())
		}
	}
	return c, nil
}

// ParseAWS reads a credential from one value: the JSON that a credential_process writes, or an object with the names of
// [AWSKeys]. The error does not quote it.
func ParseAWS(value []byte) (AWSCredential, error) {
	var both struct {
		AWSCredential
		ID      string `json:"AWS_ACCESS_KEY_ID"`
		Secret  string `json:"AWS_SECRET_ACCESS_KEY"`
		Session string `json:"AWS_SESSION_TOKEN"`
		Expires string `json:"AWS_CREDENTIAL_EXPIRATION"`
	}
	if !utf8.Valid(value) || json.Unmarshal(value, &both) != nil {
		return AWSCredential{}, errors.New(`the value is not {"AccessKeyId":…,"SecretAccessKey":…} with texts`)
	}
	c := both.AWSCredential
	return AWSCredential{AccessKeyID: orElse(c.AccessKeyID, both.ID), SecretAccessKey: orElse(c.SecretAccessKey,
		both.Secret),
		SessionToken: orElse(c.SessionToken, both.Session), Expiration: orElse(c.Expiration, both.Expires)}, nil
}

// Answer returns what a credential_process writes. A credential whose time is over is an error.
func (c AWSCredential) Answer(now time.Time) ([]byte, error) {
	c.Version = 1
	switch {
	case c.AccessKeyID == "":
		return nil, errors.New("the access key id is missing")
	case c.SecretAccessKey == "":
		return nil, errors.New("the secret access key is missing")
	}
	if c.Expiration != "" {
		at, err := time.Parse(time.RFC3339, c.Expiration)
		switch {
		case err != nil:
			return nil, errors.New("the expiration is not a time as in RFC 3339")
		case !now.Before(at):
			return nil, errors.New("the credential expired at " + at.UTC().Format(time.RFC3339))
		}
		c.Expiration = at.UTC().Format(time.RFC3339)
	}
	return oneLine(c)
}
