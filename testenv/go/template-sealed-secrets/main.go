// Command template-sealed-secrets evaluates templates with the functions of the Sealed Secrets controller 0.40
// (pkg/controller of that version: sprig's generic set without three). The versions in go.mod are those of its go.mod.
package main

import (
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sealops.test/template/oracle"
)

func main() {
	functions := template.FuncMap(sprig.GenericFuncMap())
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name)
	}
	oracle.Serve(functions)
}
