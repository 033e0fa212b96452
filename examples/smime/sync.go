package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"

	"github.com/postseal/postseal/certstore/sync"
)

// A syncReport is the JSON of sync.
type syncReport struct {
	From      string         `json:"from"`
	To        string         `json:"to"`
	DryRun    bool           `json:"dry_run"`
	Full      bool           `json:"full"`
	Objects   int            `json:"objects"`
	Unchanged int            `json:"unchanged"`
	Added     int            `json:"added"`
	Updated   int            `json:"updated"`
	Removed   int            `json:"removed"`
	Refused   int            `json:"refused"`
	CRLs      int            `json:"crls"`
	Reasons   map[string]int `json:"reasons"`
	Changes   []syncChange   `json:"changes,omitempty"` // with --changes
}

type syncChange struct {
	Kind    sync.Kind `json:"kind"`
	Object  string    `json:"object"`
	Address string    `json:"address,omitempty"`
	SHA256  string    `json:"sha256,omitempty"`
	Reason  string    `json:"reason"`
}

// syncOptions are the options of sync.
type syncOptions struct {
	from, to, state, method, clock string
	rules                          sync.Rules
	dryRun, full, json, changes    bool
}

// syncCommand carries certificates from one store to another.
func syncCommand(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var o syncOptions
	f := newFlags("sync")
	f.StringVar(&o.from, "from", "", "store to read: as --store of lookup")
	f.StringVar(&o.to, "to", "", "store to write: sqlite:FILE, postgres://... or a folder")
	f.StringVar(&o.state, "state", "", "file that holds the cursor; databases hold it themselves")
	f.StringVar(&o.method, "method", "auto", "how to ask a directory: auto, dirsync, usn, syncrepl or full")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.BoolVar(&o.full, "full", false, "read everything, not only what changed")
	f.StringArrayVar(&o.rules.Within, "within", nil, "only objects under this distinguished name; repeatable")
	f.StringArrayVar(&o.rules.Without, "without", nil, "no objects under this distinguished name; repeatable")
	f.BoolVar(&o.rules.Aliases, "aliases", false, "file certificates under all addresses of their object")
	f.BoolVar(&o.rules.KeepExpired, "keep-expired", false, "carry expired certificates too")
	f.BoolVar(&o.rules.KeepUnusable, "keep-unusable", false, "carry certificates that are not for mail too")
	f.BoolVar(&o.rules.KeepForeign, "keep-foreign", false, "carry certificates that name none of their object's addresses too")
	f.IntVar(&o.rules.MaxPerObject, "max-per-object", 15, "certificates carried of one object; -1: all")
	f.BoolVar(&o.rules.NoneAboveMax, "none-above-max", false, "carry none of an object that has more, as Entra Connect does")
	f.BoolVar(&o.changes, "changes", false, "list every change and every refusal")
	f.BoolVar(&o.json, "json", false, "print JSON")
	registerClock(f, &o.clock)
	done, err := parse(f, args, "sync --from STORE --to STORE [options]", stdout)
	if done {
		return exitGood
	}
	if err == nil && (o.from == "" || o.to == "" || f.NArg() != 0) {
		err = wrongUsage("--from and --to are needed, and nothing else")
	}
	if err == nil && o.rules.MaxPerObject == 0 {
		err = wrongUsage("--max-per-object 0 would carry nothing")
	}
	if err == nil {
		err = o.run(stdout, stderr)
	}
	if err != nil {
		return failed(o.json, stdout, stderr, "sync", err)
	}
	return exitGood
}

func (o *syncOptions) run(stdout, stderr io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	clock, err := parseClock(o.clock)
	if err != nil {
		return err
	}
	from, err := openPlace(o.from)
	if err != nil {
		return err
	}
	defer from.Closer.Close()
	source, err := o.source(ctx, from)
	if err != nil {
		return err
	}
	to, err := openTarget(o.to, o.dryRun)
	if err != nil {
		return err
	}
	defer to.Closer.Close()
	target, err := o.target(to)
	if err != nil {
		return err
	}
	report := &syncReport{From: source.Name(), To: to.name}
	s := &sync.Syncer{Source: source, Target: target, Rules: o.rules, DryRun: o.dryRun, Full: o.full, Time: clock}
	if o.changes {
		s.Record = func(c sync.Change) { report.record(c, o.json, stdout) }
	}
	if isTerminal(stderr) {
		s.Progress = func(r sync.Report) {
			fmt.Fprintf(stderr, "\r%d objects, %d added, %d updated, %d removed, %d refused ", r.Objects, r.Added, r.Updated, r.Removed, r.Refused)
		}
	}
	r, err := s.Run(ctx)
	if s.Progress != nil {
		fmt.Fprintln(stderr)
	}
	report.fill(r)
	switch {
	case errors.Is(err, sync.ErrConflict):
		return notGood(err)
	case err != nil:
		return unreadable(err)
	case o.json:
		return json.NewEncoder(stdout).Encode(report)
	}
	return report.print(stdout)
}

// source makes a source of a store.
func (o *syncOptions) source(ctx context.Context, p *place) (sync.Source, error) {
	if p.ldap == nil {
		switch {
		case !oneOf(o.method, "auto|full"):
			return nil, wrongUsage("--method %s is for directories", o.method)
		case p.all == nil:
			return nil, wrongUsage("--from %s cannot be read from end to end", p.name)
		}
		return sync.FromStore(p.name, allOf{p.all}), nil
	}
	switch o.method {
	case "auto":
		source, err := p.ldap.Source(ctx)
		if err != nil {
			return nil, unreadable(err)
		}
		return source, nil
	case "dirsync":
		return p.ldap.DirSync(), nil
	case "usn":
		return p.ldap.USN(), nil
	case "syncrepl":
		return p.ldap.Syncrepl(), nil
	case "full":
		return p.ldap.FullPass(), nil
	}
	return nil, wrongUsage("--method %s is not auto, dirsync, usn, syncrepl or full", o.method)
}

// target makes a target of a store.
func (o *syncOptions) target(p *place) (sync.Target, error) {
	switch {
	case p.writer == nil:
		return nil, wrongUsage("--to %s cannot be written; for a directory see publish", p.name)
	case p.sql != nil && o.state == "":
		return p.sql, nil
	case p.missing != "" && o.state == "":
		return sync.ToWriter(p.writer, p.missing)
	case o.state == "":
		return nil, wrongUsage("--state is needed to write to %s", p.name)
	}
	t, err := sync.ToWriter(p.writer, o.state)
	if err != nil {
		return nil, unreadable(err)
	}
	return t, nil
}

// record keeps a change for the JSON, or prints it.
func (r *syncReport) record(c sync.Change, keep bool, w io.Writer) {
	change := syncChange{Kind: c.Kind, Object: c.Object, Address: c.Address, Reason: c.Reason}
	if c.Thumbprint != [32]byte{} {
		change.SHA256 = hex.EncodeToString(c.Thumbprint[:])
	}
	if keep {
		r.Changes = append(r.Changes, change)
		return
	}
	fmt.Fprintf(w, "%-8s %.16s  %s <%s>: %s\n", c.Kind, change.SHA256, printable(c.Object), printable(c.Address), printable(c.Reason))
}

func (r *syncReport) fill(from *sync.Report) {
	r.DryRun, r.Full, r.Objects, r.Unchanged, r.CRLs = from.DryRun, from.Full, from.Objects, from.Unchanged, from.CRLs
	r.Added, r.Updated, r.Removed, r.Refused, r.Reasons = from.Added, from.Updated, from.Removed, from.Refused, from.Reasons
}

func (r *syncReport) print(w io.Writer) error {
	how, what := "changes", "done"
	if r.Full {
		how = "everything"
	}
	if r.DryRun {
		what = "not done, this was a dry run"
	}
	_, err := fmt.Fprintf(w, "%s from %s: %d objects, %d unchanged\nadded %d, updated %d, removed %d, refused %d: %s\n",
		how, printable(r.From), r.Objects, r.Unchanged, r.Added, r.Updated, r.Removed, r.Refused, what)
	for _, reason := range slices.Sorted(maps.Keys(r.Reasons)) {
		if err == nil {
			_, err = fmt.Fprintf(w, "%6d  %s\n", r.Reasons[reason], printable(reason))
		}
	}
	return err
}

// isTerminal reports whether w is one that people look at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
