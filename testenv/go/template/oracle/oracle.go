// Package oracle evaluates templates with Go's own text/template, for the differential tests of sealops-template.
//
// One JSON object per line comes in and one goes out, in the same order. Bytes are base64, since values need not be
// UTF-8. A request {"names": true} asks for the names of the function set instead.
package oracle

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"text/template"
)

type request struct {
	Names      bool              `json:"names"`
	Name       string            `json:"name"`
	Template   []byte            `json:"template"`
	Data       map[string][]byte `json:"data"`
	MissingKey string            `json:"missingkey"`
	Delims     []string          `json:"delims"`
}

type answer struct {
	OK     bool     `json:"ok"`
	Output []byte   `json:"output,omitempty"`
	Error  string   `json:"error,omitempty"`
	Names  []string `json:"names,omitempty"`
}

// Serve answers the requests on standard input until its end.
func Serve(functions template.FuncMap) {
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriterSize(os.Stdout, 1<<20)
	encoder := json.NewEncoder(output)
	decoder := json.NewDecoder(input)
	for decoder.More() {
		var asked request
		if err := decoder.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, "template oracle: not a request:", err)
			os.Exit(2)
		}
		if err := encoder.Encode(evaluate(functions, asked)); err != nil {
			os.Exit(1)
		}
		// A caller that asks one by one waits for its answer.
		if input.Buffered() == 0 {
			output.Flush()
		}
	}
	output.Flush()
}

func evaluate(functions template.FuncMap, asked request) (result answer) {
	// text/template turns most panics into errors, but not those of its parser or of a comparison.
	defer func() {
		if cause := recover(); cause != nil {
			result = answer{Error: fmt.Sprint("panic: ", cause)}
		}
	}()
	if asked.Names {
		var names []string
		for name := range functions {
			names = append(names, name)
		}
		slices.Sort(names)
		return answer{OK: true, Names: names}
	}
	values := make(map[string]string, len(asked.Data))
	for key, value := range asked.Data {
		values[key] = string(value)
	}
	parsed := template.New(asked.Name).Funcs(functions)
	if asked.MissingKey != "" {
		parsed = parsed.Option("missingkey=" + asked.MissingKey)
	}
	if len(asked.Delims) == 2 {
		parsed = parsed.Delims(asked.Delims[0], asked.Delims[1])
	}
	parsed, err := parsed.Parse(string(asked.Template))
	if err != nil {
		return answer{Error: err.Error()}
	}
	var rendered bytes.Buffer
	if err := parsed.Execute(&rendered, values); err != nil {
		return answer{Error: err.Error()}
	}
	return answer{OK: true, Output: rendered.Bytes()}
}
