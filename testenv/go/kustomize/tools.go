//go:build tools

// Package tools names the commands that testenv builds from this module.
package tools

import (
	_ "sigs.k8s.io/kustomize/kustomize/v5"
)
