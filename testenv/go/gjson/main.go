// Answers with what gjson finds: one JSON document a line in, {"doc", "path"} in base64; {"exists", "text"} out.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/tidwall/gjson"
)

type question struct {
	Doc  []byte `json:"doc"`
	Path []byte `json:"path"`
}

type answer struct {
	Valid  bool   `json:"valid"`
	Exists bool   `json:"exists"`
	Text   []byte `json:"text"`
	Panic  string `json:"panic,omitempty"`
}

// Some broken texts make the library panic.
func ask(q question) (a answer) {
	defer func() {
		if problem := recover(); problem != nil {
			a.Panic = fmt.Sprint(problem)
		}
	}()
	a.Valid = gjson.ValidBytes(q.Doc)
	found := gjson.Get(string(q.Doc), string(q.Path))
	a.Exists, a.Text = found.Exists(), []byte(found.String())
	return a
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Encode(ask(q)); err != nil {
			os.Exit(1)
		}
	}
}
