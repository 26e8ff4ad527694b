package protocols

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"unicode/utf8"
)

const kubeGroup = "client.authentication.k8s.io/"

// ExecVersion returns the version of the answer that kubectl expects: info is its KUBERNETES_EXEC_INFO; "" stands for
// v1.
func ExecVersion(info string) (string, error) {
	if info == "" {
		return kubeGroup + "v1", nil
	}
	var e struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if json.Unmarshal([]byte(info), &e) != nil || e.Kind != "ExecCredential" {
		return "", errors.New("KUBERNETES_EXEC_INFO is no ExecCredential")
	}
	if e.APIVersion != kubeGroup+"v1" && e.APIVersion != kubeGroup+"v1beta1" {
		return "", errors.New("KUBERNETES_EXEC_INFO asks for a version other than " + kubeGroup + "v1 and v1beta1")
	}
	return e.APIVersion, nil
}

// ExecStatus is what kubectl gets: a token, a certificate with its key, or both.
type ExecStatus struct {
	Token       string `json:"token,omitempty"`
	Certificate string `json:"clientCertificateData,omitempty"` // PEM
	Key         string `json:"clientKeyData,omitempty"`         // PEM
}

// NewExecStatus makes a status of values; nil for none. The error does not quote them.
func NewExecStatus(token, certificate, key []byte) (s ExecStatus, err error) {
	if token != nil {
		if s.Token, err = Line(token); err != nil {
			return ExecStatus{}, errors.New("the token: " + err.Error())
		}
	}
	for _, part := range []struct {
		name  string
		value []byte
		to    *string
	}{{"certificate", certificate, &s.Certificate}, {"key", key, &s.Key}} {
		if part.value == nil {
			continue
		}
		if block, _ := pem.Decode(part.value); block == nil || !utf8.Valid(part.value) {
			return ExecStatus{}, errors.New("the " + part.name + " is not PEM")
		}
		*part.to = string(part.value)
	}
	return s, nil
}

// Answer returns what an exec credential plugin writes.
func (s ExecStatus) Answer(version string) ([]byte, error) {
	return oneLine(struct {
		APIVersion string     `json:"apiVersion"`
		Kind       string     `json:"kind"`
		Status     ExecStatus `json:"status"`
	}{version, "ExecCredential", s})
}
