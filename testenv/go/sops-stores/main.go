// The stores of SOPS as a filter: one JSON request per line in, one answer per line out, in order.
//
// The tests of sealops-formats compare trees and texts with it (formats/tests/runner).
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	jsonstore "github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
	yamlv3 "go.yaml.in/yaml/v3"
)

type request struct {
	Format string `json:"format"`
	// Output is the format that is written; empty for the same.
	Output string `json:"output"`
	Indent *int   `json:"indent"`
	Input  string `json:"input"`
	// Encrypted asks for the way with metadata, in and out.
	Encrypted bool `json:"encrypted"`
}

type answer struct {
	// Error is why the text was not read.
	Error string `json:"error,omitempty"`
	// Tree is every document in the notation of dump.
	Tree string `json:"tree"`
	// Emitted is the text, base64; EmitError why there is none.
	Emitted   string `json:"emitted"`
	EmitError string `json:"emit_error,omitempty"`
	// Values are the first values of the first document as --extract prints them, base64, "!" where that fails.
	Values  []string `json:"values"`
	Example string   `json:"example"`
}

type store interface {
	LoadPlainFile([]byte) (sops.TreeBranches, error)
	EmitPlainFile(sops.TreeBranches) ([]byte, error)
	EmitValue(interface{}) ([]byte, error)
	EmitExample() []byte
	LoadEncryptedFile([]byte) (sops.Tree, error)
	EmitEncryptedFile(sops.Tree) ([]byte, error)
}

func open(format string, indent *int) store {
	switch format {
	case "yaml":
		c := config.YAMLStoreConfig{}
		if indent != nil {
			c.Indent = *indent
		}
		return yaml.NewStore(&c)
	case "json", "binary":
		n := -1
		if indent != nil {
			n = *indent
		}
		if format == "binary" {
			return jsonstore.NewBinaryStore(&config.JSONBinaryStoreConfig{Indent: n})
		}
		return jsonstore.NewStore(&config.JSONStoreConfig{Indent: n})
	case "dotenv":
		return dotenv.NewStore(&config.DotenvStoreConfig{})
	case "ini":
		return ini.NewStore(&config.INIStoreConfig{})
	}
	panic("unknown format " + format)
}

func dump(out *strings.Builder, value interface{}) {
	switch v := value.(type) {
	case nil:
		out.WriteString("n")
	case string:
		out.WriteString("s" + hex.EncodeToString([]byte(v)))
	case int:
		fmt.Fprintf(out, "i%d", v)
	case int64:
		fmt.Fprintf(out, "i%d", v)
	case uint64:
		fmt.Fprintf(out, "u%d", v)
	case float64:
		if math.IsNaN(v) {
			out.WriteString("fnan")
		} else {
			fmt.Fprintf(out, "f%016x", math.Float64bits(v))
		}
	case bool:
		fmt.Fprintf(out, "b%t", v)
	case time.Time:
		out.WriteString("t" + v.Format(time.RFC3339Nano))
	case sops.Comment:
		mark := "#"
		if v.Inline {
			mark = "~"
		}
		out.WriteString(mark + hex.EncodeToString([]byte(v.Value)))
	case sops.TreeBranch:
		out.WriteString("{")
		for _, item := range v {
			dump(out, item.Key)
			if _, ok := item.Key.(sops.Comment); !ok {
				out.WriteString(":")
				dump(out, item.Value)
			}
			out.WriteString(",")
		}
		out.WriteString("}")
	case []interface{}:
		out.WriteString("[")
		for _, item := range v {
			dump(out, item)
			out.WriteString(",")
		}
		out.WriteString("]")
	default:
		fmt.Fprintf(out, "?%T", v)
	}
}

// endless returns whether an alias stands inside of its own anchor. SOPS dies of that in any document but the first.
func endless(input []byte) bool {
	decoder := yamlv3.NewDecoder(bytes.NewReader(input))
	open := map[*yamlv3.Node]bool{}
	var visit func(node *yamlv3.Node) bool
	visit = func(node *yamlv3.Node) bool {
		if node == nil {
			return false
		}
		if open[node] {
			return true
		}
		open[node] = true
		defer delete(open, node)
		for _, child := range node.Content {
			if visit(child) {
				return true
			}
		}
		return visit(node.Alias)
	}
	for {
		var node yamlv3.Node
		if decoder.Decode(&node) != nil {
			return false
		}
		if visit(&node) {
			return true
		}
	}
}

// guarded turns a panic of the store into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func respond(r request) (a answer) {
	input, err := base64.StdEncoding.DecodeString(r.Input)
	if err != nil {
		return answer{Error: err.Error()}
	}
	from := open(r.Format, r.Indent)
	to := from
	if r.Output != "" {
		to = open(r.Output, r.Indent)
	}
	if r.Format == "yaml" && endless(input) {
		return answer{Error: "stack overflow: an alias inside of its own anchor"}
	}
	if r.Encrypted {
		return withMetadata(from, input)
	}
	var branches sops.TreeBranches
	if err := guarded(func() (err error) { branches, err = from.LoadPlainFile(input); return }); err != nil {
		return answer{Error: err.Error()}
	}
	var tree strings.Builder
	for _, branch := range branches {
		dump(&tree, branch)
		tree.WriteString(";")
	}
	a.Tree = tree.String()
	a.EmitError = text(guarded(func() error {
		out, err := to.EmitPlainFile(branches)
		a.Emitted = base64.StdEncoding.EncodeToString(out)
		return err
	}))
	if len(branches) > 0 {
		for _, item := range branches[0] {
			if _, ok := item.Key.(sops.Comment); ok || len(a.Values) == 3 {
				continue
			}
			value := "!"
			_ = guarded(func() error {
				out, err := to.EmitValue(item.Value)
				if err == nil {
					value = base64.StdEncoding.EncodeToString(out)
				}
				return err
			})
			a.Values = append(a.Values, value)
		}
	}
	_ = guarded(func() error { a.Example = base64.StdEncoding.EncodeToString(to.EmitExample()); return nil })
	return a
}

// withMetadata reads an encrypted file, and writes it as it was read.
func withMetadata(s store, input []byte) (a answer) {
	var tree sops.Tree
	if err := guarded(func() (err error) { tree, err = s.LoadEncryptedFile(input); return }); err != nil {
		return answer{Error: err.Error()}
	}
	var out strings.Builder
	for _, branch := range tree.Branches {
		dump(&out, branch)
		out.WriteString(";")
	}
	a.Tree = out.String()
	a.EmitError = text(guarded(func() error {
		out, err := s.EmitEncryptedFile(tree)
		a.Emitted = base64.StdEncoding.EncodeToString(out)
		return err
	}))
	return a
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var r request
		if err := decoder.Decode(&r); err != nil {
			return
		}
		if err := encoder.Encode(respond(r)); err != nil {
			return
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}
