//go:build tools

// Package tools names the program that testenv builds from this module.
package tools

import (
	_ "github.com/external-secrets/external-secrets"
)
