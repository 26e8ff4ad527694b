// Floor does what a secret store cannot do without, with the same libraries and
// nothing else: it opens a bbolt file, reads one value, opens an age file with a key
// that is at hand, appends a record of 300 bytes in the same synced transaction, and
// prints. The rest of the time of ass is the cost of its grammar, keys, signatures and checks.
//
//	floor make FILE     a file with 10 values
//	floor get FILE
//	floor put FILE
//	floor nothing
//	floor run PROGRAM ARG...    says on stderr how much memory the program had at its peak, in KiB
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"filippo.io/age"
	"go.etcd.io/bbolt"
)

// fixed wraps the file key under nothing: the cheapest recipient there can be.
type fixed struct{}

func (fixed) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	return []*age.Stanza{{Type: "floor", Body: fileKey}}, nil
}

func (fixed) Unwrap(stanzas []*age.Stanza) ([]byte, error) { return stanzas[0].Body, nil }

func seal(value []byte) []byte {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, fixed{})
	check(err)
	_, err = w.Write(value)
	check(err)
	check(w.Close())
	return out.Bytes()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// run runs a program from one that is small: what a process had before it became
// another counts as that one's.
func run(args []string) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	check(cmd.Run())
	fmt.Fprintln(os.Stderr, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "run" {
		run(os.Args[2:])
		return
	}
	if len(os.Args) != 3 {
		return
	}
	db, err := bbolt.Open(os.Args[2], 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, PageSize: 4096, NoStatistics: true})
	check(err)
	var value []byte
	check(db.Update(func(tx *bbolt.Tx) error {
		values, err := tx.CreateBucketIfNotExists([]byte("values"))
		check(err)
		log, err := tx.CreateBucketIfNotExists([]byte("log"))
		check(err)
		switch os.Args[1] {
		case "make":
			for i := range 10 {
				check(values.Put(fmt.Appendf(nil, "production/service/KEY%d", i), seal([]byte("a value of a usual length"))))
			}
		case "put":
			check(values.Put([]byte("production/service/KEY5"), seal([]byte("a value of a usual length"))))
		case "get":
			r, err := age.Decrypt(bytes.NewReader(values.Get([]byte("production/service/KEY5"))), fixed{})
			check(err)
			value, err = io.ReadAll(r)
			check(err)
		}
		seq, _ := log.NextSequence()
		return log.Put(binary.BigEndian.AppendUint64(nil, seq), make([]byte, 300))
	}))
	check(db.Close())
	os.Stdout.Write(value)
}
