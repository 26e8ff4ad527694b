package vault

// checked is a record that is checked on its way through [checkAll], with copies of its key and its value.
type checked[B any] struct {
	k, v []byte
	who  signer

	mac    [32]byte
	body   B
	r      record
	is     placed // how it stands in the vault, if err is nil
	err    error  // why it does not hold
	counts standing
	term   digest // of the digest of all records

	closed error // why the value of a version does not open, if somebody tried
}

// checkAll checks the records of a kind on all cores. more, if it is not nil, makes a function for each worker that
// does more with a record that holds. then gets each record, in the order of the keys. The copies are valid until
// it returns.
func checkAll[B any](t *tx, kd kind[B], more func() func(*checked[B]), then func(*checked[B]) error) error {
	return onAllCores(t, kd, func() func(*checked[B]) {
		h, and := t.another(), func(*checked[B]) {}
		if more != nil {
			and = more()
		}
		return func(c *checked[B]) {
			c.mac = macOf(c.v)
			c.term = h.digest(kd.bucket, c.k, c.mac[:])
			if c.r, c.err = kd.checkInto(&c.body, h, c.who, c.k, c.v); c.err != nil {
				c.counts = standingIn(kd.bucket, c.v)
				return
			}
			c.counts = standingOf(&c.body)
			c.is = h.placed(kd.rules, c.k, c.r)
			and(c)
		}
	}, then)
}

// decodeAll is checkAll for records whose MACs are enough. It stops at the first one that is damaged.
func decodeAll[B any](t *tx, kd kind[B], then func(*checked[B])) error {
	return onAllCores(t, kd, func() func(*checked[B]) {
		h := t.another()
		h.drafts = t.drafts // which nobody changes meanwhile
		return func(c *checked[B]) {
			if c.r, c.err = kd.decodeInto(&c.body, h, c.k, c.v); c.err == nil {
				c.is = h.placed(kd.rules, c.k, c.r)
			}
		}
	}, func(c *checked[B]) error {
		if c.err == nil {
			then(c)
		}
		return c.err
	})
}

// onAllCores walks through the records of a kind. worker makes what looks at them, for each core; then gets each one.
func onAllCores[B any](t *tx, kd kind[B], worker func() func(*checked[B]), then func(*checked[B]) error) error {
	var free buffers
	done := func(c *checked[B]) error {
		err := then(c)
		free.back(c.k, c.v)
		return err
	}
	return inBatches(worker, done, func(add func(checked[B], int) error) error {
		return t.walk(kd.bucket, nil, func(k, v []byte) error {
			c := checked[B]{k: free.copyOf(k), v: free.copyOf(v)}
			c.who = t.signer(kd.rules, authorIn(c.v))
			return add(c, len(k)+len(v))
		})
	})
}
