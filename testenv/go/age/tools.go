//go:build tools

// Package tools names the modules whose files testenv takes.
package tools

import (
	_ "c2sp.org/CCTV/age"
)
