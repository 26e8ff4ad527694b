package commands

import (
	"bytes"
	"encoding/json"

	"ass/audit"
	"ass/vault"
)

// logPrinter prints entries of the log, as they come.
type logPrinter struct {
	*app
	lines   bool // as JSON, one a line, instead of one document
	printed int  // entries
	known   map[string]vault.Actor

	from     setup
	canaries knownCanaries
}

// print prints the next entries, with the names of their actors.
func (p *logPrinter) print(v *vault.Vault, entries []vault.Entry) error {
	if err := p.learn(v, entries); err != nil {
		return err
	}
	if p.canaries == nil {
		p.canaries = knownCanaries{}
	}
	p.canaries.lookUp(p.app, p.from, v, entries)
	first := p.printed == 0
	p.printed += len(entries)
	if p.JSON {
		for i, e := range entries {
			if err := p.printJSON(p.event(e), first && i == 0); err != nil {
				return err
			}
		}
		return nil
	}
	ids := p.shownIDs(idsOf(entries, func(e vault.Entry) string { id, _ := p.actor(e); return id }))
	rows := make([][]cell, len(entries))
	for i, e := range entries {
		colour := ""
		if isDenied(e.Event) {
			colour = red
		}
		id, name := p.actor(e)
		rows[i] = []cell{{p.clock(e.CreatedAt), dim}, {e.Type, colour}, {resource(e.Event), ""}, {ids[id], dim}, {name, dim}}
		if p.canaries.has(e.Event) {
			rows[i] = append(rows[i], cell{canaryMark, red})
		}
	}
	p.out.table(rows, whole, whole, paths, whole, paths)
	return nil
}

// learn looks up the actors that are not known yet.
func (p *logPrinter) learn(v *vault.Vault, entries []vault.Entry) error {
	if p.known == nil {
		p.known = map[string]vault.Actor{audit.Owner: {ID: audit.Owner, Name: audit.Owner}}
	}
	ids := map[string]bool{}
	for _, e := range entries {
		if _, known := p.known[e.ActorID]; !known {
			ids[e.ActorID] = true
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var list []string
	for id := range ids {
		list = append(list, id)
	}
	found, err := v.Actors(list...)
	for _, id := range list { // those of which nothing tells as well: they are not looked for again
		p.known[id] = found[id]
	}
	return err
}

// actor says, for people, who made an entry: nothing for the owner, else the id and whose it is.
func (p *logPrinter) actor(e vault.Entry) (id, name string) {
	switch x := p.known[e.ActorID]; {
	case e.ActorID == audit.Owner:
		return "", ""
	case x.Unlock:
		return e.ActorID, "owner, unlocked"
	case x.Name != "" && x.Issuer != "":
		return e.ActorID, "token of " + x.Name
	default:
		return e.ActorID, x.Name
	}
}

func eventOf(e vault.Entry) eventJSON { return eventJSON{Seq: e.Seq, Event: e.Event} }

func (p *logPrinter) event(e vault.Entry) eventJSON {
	x := p.known[e.ActorID]
	if p.ids != nil { // the rest is the same each time
		e.Roots = nil
		delete(e.Metadata, "epoch_id")
	}
	return eventJSON{Seq: e.Seq, Event: e.Event, ActorName: x.Name, Unlocked: x.Unlock, Canary: p.canaries.has(e.Event)}
}

// printJSON prints an event as a line, or as the next one of a document that begins with the first.
func (p *logPrinter) printJSON(e eventJSON, first bool) error {
	if p.lines {
		return p.out.json(e)
	}
	line, err := jsonLine(e)
	if err != nil {
		return err
	}
	before := ","
	if first {
		before = `{"events":[`
	}
	p.out.write(before)
	p.out.print(bytes.TrimSuffix(line, []byte("\n")))
	return nil
}

// end prints the rest of the document.
func (p *logPrinter) end(rest logResult) error {
	rest.Events = []eventJSON{}
	b, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	begin := []byte(`{"events":[`)
	if p.printed > 0 {
		b = bytes.TrimPrefix(b, begin)
	}
	p.out.print(append(b, '\n'))
	return nil
}
