module sealops.test/dns

go 1.25.8

require github.com/miekg/dns v1.1.57

require (
	golang.org/x/mod v0.12.0 // indirect
	golang.org/x/net v0.17.0 // indirect
	golang.org/x/sys v0.13.0 // indirect
	golang.org/x/tools v0.13.0 // indirect
)
