// DNS for tests: a server whose answers and faults stand in a file, and Go's own resolver, which judges ours.
//
//	dns serve ZONE LOG ADDRESS…    answers at each address, port 53, UDP and TCP; writes `ready` to the log, then each
//	                               question
//	dns lookup                     looks up the names on standard input, all at once; one line of JSON for each
//
// A line of the zone is NAME WHAT [ARGUMENT] [@ADDRESS]. WHAT is A, AAAA or CNAME, whose chains are followed; `many`,
// that number of addresses of each family; or `fault`, `fault-A`, `fault-AAAA`. With an address the line counts for the
// server there alone.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

type line struct{ what, argument, server string }

type zone struct {
	lines map[string][]line
	log   *os.File
	lock  sync.Mutex
}

func read(path string) (*zone, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := &zone{lines: map[string][]line{}}
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		words := strings.Fields(scanner.Text())
		if len(words) < 2 {
			continue
		}
		entry := line{what: words[1]}
		for _, word := range words[2:] {
			if address, ok := strings.CutPrefix(word, "@"); ok {
				entry.server = address
			} else {
				entry.argument = word
			}
		}
		name := strings.ToLower(dns.Fqdn(words[0]))
		found.lines[name] = append(found.lines[name], entry)
	}
	return found, nil
}

func (z *zone) of(name, server string) []line {
	var found []line
	for _, entry := range z.lines[strings.ToLower(name)] {
		if entry.server == "" || entry.server == server {
			found = append(found, entry)
		}
	}
	return found
}

func (z *zone) fault(question dns.Question, server string) string {
	for _, entry := range z.of(question.Name, server) {
		if entry.what == "fault" || entry.what == "fault-"+dns.TypeToString[question.Qtype] {
			return entry.argument
		}
	}
	return ""
}

// records returns what is known about a name, with the chain to it, and whether the name exists.
func (z *zone) records(question dns.Question, server string) ([]dns.RR, bool) {
	var found []dns.RR
	name, exists := question.Name, false
	for depth := 0; depth < 16; depth++ {
		next := ""
		for _, entry := range z.of(name, server) {
			exists = true
			header := dns.RR_Header{Name: name, Class: dns.ClassINET, Ttl: 60}
			address := net.ParseIP(entry.argument)
			switch {
			case entry.what == "CNAME":
				next = dns.Fqdn(entry.argument)
				header.Rrtype = dns.TypeCNAME
				found = append(found, &dns.CNAME{Hdr: header, Target: next})
			case entry.what == "A" && question.Qtype == dns.TypeA:
				header.Rrtype = dns.TypeA
				found = append(found, &dns.A{Hdr: header, A: address})
			case entry.what == "AAAA" && question.Qtype == dns.TypeAAAA:
				header.Rrtype = dns.TypeAAAA
				found = append(found, &dns.AAAA{Hdr: header, AAAA: address})
			case entry.what == "many":
				count, _ := strconv.Atoi(entry.argument)
				found = append(found, many(header, question.Qtype, count)...)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	return found, exists
}

func many(header dns.RR_Header, kind uint16, count int) []dns.RR {
	var found []dns.RR
	for i := 0; i < count; i++ {
		header.Rrtype = kind
		high, low := byte(i>>8), byte(i)
		switch kind {
		case dns.TypeA:
			found = append(found, &dns.A{Hdr: header, A: net.IPv4(10, 1, high, low)})
		case dns.TypeAAAA:
			address := net.ParseIP("2001:db8::")
			address[14], address[15] = high, low
			found = append(found, &dns.AAAA{Hdr: header, AAAA: address})
		}
	}
	return found
}

func (z *zone) answer(w dns.ResponseWriter, request *dns.Msg) {
	server, _, _ := net.SplitHostPort(w.LocalAddr().String())
	network := w.LocalAddr().Network()
	question := request.Question[0]
	options := ""
	if option := request.IsEdns0(); option != nil {
		options = fmt.Sprintf(" edns=%d", option.UDPSize())
	}
	if request.AuthenticatedData {
		options += " ad"
	}
	z.lock.Lock()
	fmt.Fprintf(z.log, "%s %s %s %s%s\n", server, network, question.Name, dns.TypeToString[question.Qtype], options)
	z.lock.Unlock()

	reply := new(dns.Msg)
	reply.SetReply(request)
	reply.RecursionAvailable = true
	reply.Compress = true
	if option := request.IsEdns0(); option != nil {
		reply.SetEdns0(1232, false)
	}
	records, exists := z.records(question, server)
	reply.Answer = records
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if network == "udp" {
		size := 512
		if option := request.IsEdns0(); option != nil {
			size = int(option.UDPSize())
		}
		reply.Truncate(size)
	}
	z.send(w, reply, z.fault(question, server), network == "udp")
}

// send spoils an answer.
func (z *zone) send(w dns.ResponseWriter, reply *dns.Msg, fault string, udp bool) {
	own := *reply
	foreign := reply.Copy()
	switch fault {
	case "silent":
		return
	case "servfail", "refused", "formerr", "notimp", "yxdomain":
		own.Rcode = dns.StringToRcode[strings.ToUpper(fault)]
		own.Answer = nil
	case "servfail-with-answer":
		own.Rcode = dns.RcodeServerFailure
	case "nxdomain-with-answer":
		own.Rcode = dns.RcodeNameError
	case "badvers":
		own.Rcode = dns.RcodeBadVers
	case "lame":
		own.Answer, own.Extra, own.RecursionAvailable, own.Rcode = nil, nil, false, dns.RcodeSuccess
	case "lame-with-option":
		own.Answer, own.RecursionAvailable, own.Rcode = nil, false, dns.RcodeSuccess
	case "no-recursion":
		own.RecursionAvailable = false
	case "wrong-id":
		own.Id++
	case "wrong-name":
		own.Question = []dns.Question{{Name: "other.test.", Qtype: own.Question[0].Qtype, Qclass: dns.ClassINET}}
	case "wrong-type":
		own.Question = []dns.Question{{Name: own.Question[0].Name, Qtype: dns.TypeMX, Qclass: dns.ClassINET}}
	case "wrong-class":
		own.Question = []dns.Question{{Name: own.Question[0].Name, Qtype: own.Question[0].Qtype, Qclass: dns.ClassCHAOS}}
	case "no-question":
		own.Question = nil
	case "two-questions":
		own.Question = append(own.Question, own.Question[0])
	case "no-answer-bit":
		own.Response = false
	case "upper":
		own.Question = []dns.Question{{Name: strings.ToUpper(own.Question[0].Name), Qtype: own.Question[0].Qtype, Qclass: dns.ClassINET}}
	case "garbage":
		w.Write([]byte("this is no message of DNS, and it is longer than a header"))
		return
	case "short":
		w.Write([]byte{1, 2, 3})
		return
	case "empty":
		w.Write(nil)
		return
	case "forged-first":
		foreign.Id++
		foreign.Answer = nil
		w.WriteMsg(foreign)
		w.Write([]byte{1, 2, 3})
	case "twice":
		w.WriteMsg(&own)
	case "cut", "cut-late", "more-than-there-is":
		bytes, _ := own.Pack()
		switch fault {
		case "cut":
			bytes = bytes[:12+len(own.Question[0].Name)+1+4+6]
		case "cut-late":
			bytes[11] = 0 // No additional records: the end is in the answers.
			bytes = bytes[:len(bytes)-11-2]
		default:
			bytes[7]++
		}
		w.Write(bytes)
		return
	case "loop":
		bytes, _ := own.Pack()
		// The owner of the first record points at itself.
		place := 12 + len(own.Question[0].Name) + 1 + 4
		bytes[place], bytes[place+1] = 0xc0, byte(place)
		w.Write(bytes)
		return
	case "odd-address":
		bytes, _ := own.Pack()
		place := 12 + len(own.Question[0].Name) + 1 + 4 + 2 + 8
		bytes[place+1] = 3
		w.Write(append(bytes[:place+5:place+5], bytes[place+6:]...))
		return
	case "large":
		// More than was asked for, and not marked as cut.
		if udp {
			own.Answer = many(dns.RR_Header{Name: own.Question[0].Name, Class: dns.ClassINET, Ttl: 60}, own.Question[0].Qtype, 200)
			own.Extra, own.Truncated = nil, false
		}
	case "truncated":
		if udp {
			own.Answer, own.Truncated = nil, true
		}
	case "truncated-always":
		own.Truncated = true
	case "truncated-no-tcp":
		if !udp {
			w.Close()
			return
		}
		own.Answer, own.Truncated = nil, true
	case "truncated-silent":
		if !udp {
			return
		}
		own.Answer, own.Truncated = nil, true
	case "truncated-wrong-id":
		if !udp {
			own.Id++
		} else {
			own.Answer, own.Truncated = nil, true
		}
	case "truncated-garbage":
		if !udp {
			w.Write([]byte{1, 2, 3})
			return
		}
		own.Answer, own.Truncated = nil, true
	case "truncated-servfail":
		if !udp {
			own.Answer, own.Rcode = nil, dns.RcodeServerFailure
		} else {
			own.Answer, own.Truncated = nil, true
		}
	}
	w.WriteMsg(&own)
}

func serve(path, log string, addresses []string) error {
	zone, err := read(path)
	if err != nil {
		return err
	}
	if zone.log, err = os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	failed := make(chan error)
	var started sync.WaitGroup
	for _, address := range addresses {
		for _, network := range []string{"tcp", "udp"} {
			started.Add(1)
			server := &dns.Server{Addr: net.JoinHostPort(address, "53"), Net: network, Handler: dns.HandlerFunc(zone.answer)}
			server.NotifyStartedFunc = started.Done
			go func() { failed <- server.ListenAndServe() }()
		}
	}
	go func() {
		started.Wait()
		fmt.Fprintln(zone.log, "ready")
	}()
	return <-failed
}

type result struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Error     string   `json:"error,omitempty"`
	NotFound  bool     `json:"not_found,omitempty"`
	Timeout   bool     `json:"timeout,omitempty"`
}

func lookup() error {
	var names []string
	for scanner := bufio.NewScanner(os.Stdin); scanner.Scan(); {
		names = append(names, scanner.Text())
	}
	resolver := &net.Resolver{PreferGo: true}
	results := make([]result, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Add(1)
		go func() {
			defer all.Done()
			found, err := resolver.LookupIPAddr(context.Background(), name)
			own := result{Name: name, Addresses: []string{}}
			for _, address := range found {
				own.Addresses = append(own.Addresses, address.String())
			}
			var failure *net.DNSError
			if errors.As(err, &failure) {
				own.Error, own.NotFound, own.Timeout = failure.Err, failure.IsNotFound, failure.IsTimeout
			} else if err != nil {
				own.Error = err.Error()
			}
			results[i] = own
		}()
	}
	all.Wait()
	sort.SliceStable(results, func(i, j int) bool { return results[i].Name < results[j].Name })
	for _, own := range results {
		text, err := json.Marshal(own)
		if err != nil {
			return err
		}
		fmt.Println(string(text))
	}
	return nil
}

func main() {
	var err error
	switch arguments := os.Args[1:]; {
	case len(arguments) > 3 && arguments[0] == "serve":
		err = serve(arguments[1], arguments[2], arguments[3:])
	case len(arguments) == 1 && arguments[0] == "lookup":
		err = lookup()
	default:
		err = errors.New("usage: dns serve ZONE LOG ADDRESS… | dns lookup")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dns:", err)
		os.Exit(1)
	}
}
