//go:build tools

// Package tools names the commands that testenv builds from this module.
package tools

import (
	_ "github.com/getsops/sops/v3/cmd/sops"
)
