// Command template-external-secrets evaluates templates with the functions of External Secrets 2.9.
//
// 0.20.4 is the newest version that can be had as one module. From there to 2.9 the set has changed in four names, all
// seen in vectors recorded from 2.9: getSecretKey went, certSANs and hexdec came, and the vendored sprig gained what
// sprig 3.3.0 has over the fork that 0.20.4 replaces it by (that fork is not linked here).
package main

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"

	eso "github.com/external-secrets/external-secrets/pkg/template/v2"
	"sealops.test/template/oracle"
)

func main() {
	functions := eso.FuncMap()
	for _, name := range []string{"env", "expandenv", "getHostByName", "getSecretKey"} {
		delete(functions, name)
	}
	functions["hexdec"] = hexdec
	functions["certSANs"] = certSANs
	oracle.Serve(functions)
}

// hexdec follows sprig's other decoders: the text of the error is the result.
func hexdec(text string) string {
	decoded, err := hex.DecodeString(text)
	if err != nil {
		return err.Error()
	}
	return string(decoded)
}

func certSANs(text string) ([]string, error) {
	if start := strings.Index(text, "-----BEGIN"); start > 0 {
		text = text[start:]
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	names := append([]string{}, certificate.DNSNames...)
	for _, address := range certificate.IPAddresses {
		names = append(names, address.String())
	}
	names = append(names, certificate.EmailAddresses...)
	for _, uri := range certificate.URIs {
		names = append(names, uri.String())
	}
	return names, nil
}
