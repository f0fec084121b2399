//! The zone, and which names are looked up with which files.

/// Lines of `testenv/go/dns`.
pub(super) const ZONE: &str = include_str!("zone.txt");

/// One set of files. `S1`, `S2` and `S3` stand for the servers.
pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) hosts: &'static str,
    pub(super) resolv_conf: &'static str,
    pub(super) nsswitch: &'static str,
    /// Between blanks.
    pub(super) names: &'static str,
}

pub(super) const CASES: &[Case] = &[
    Case {
        what: "one server",
        hosts: "",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: "a.test A.TEST a.test. b.test both.test far.test mapped.test six.test upper.TEST alias.test \
            chain.test loop.test dangling.test _under.test a-b.c-d.test 1.test nodata.test few.test \
            many.test crowd.test nowhere.test single single. dotted.name",
    },
    Case {
        what: "no names, and addresses",
        hosts: "",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: "127.0.0.1 ::1 ::ffff:127.0.0.1 fe80::1%lo fe80::1%1 fe80::1%nothing fe80::1% 127.0.0.1%lo \
            [::1] 127.0.0.01 127.1 1.2.3 1 0x7f.1 a..test .a.test . .. -a.test a-.test a.-b.test \
            a\tb.test ä.test a\\.test a:b a/b *.test",
    },
    Case {
        what: "suffixes",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test two.test\n",
        nsswitch: "",
        names: "a only nothing a.b dotted.name single a. badsuffix broken late.test. a.test",
    },
    Case {
        what: "ndots as in a pod",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test two.test.\noptions ndots:5\n",
        nsswitch: "",
        names: "a a.b dotted.name a.test a.test. badsuffix nowhere.test",
    },
    Case {
        what: "ndots 0, the last of domain and search counts, comments, unknown words",
        hosts: "",
        resolv_conf: "# nameserver S3\n; nameserver S3\nnameserver name.test\nnameserver\nnameserver S1 S2\nsortlist x\nsearch one.test\ndomain two.test\noptions ndots:0 inet6 debug edns0\n",
        nsswitch: "",
        names: "a only single a.b",
    },
    Case {
        what: "ndots that is no number or too large, search that is a dot",
        hosts: "",
        resolv_conf: "nameserver\tS1\r\nsearch .\noptions ndots:x ndots:99 attempts:0\n",
        nsswitch: "",
        names: "a.test single nowhere",
    },
    Case {
        what: "a suffix that is no name",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch a..b one.test\n",
        nsswitch: "",
        names: "a single nothing",
    },
    Case {
        what: "faults of one server",
        hosts: "",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: "servfail.test refused.test formerr.test notimp.test yxdomain.test badvers.test sfa.test \
            nxa.test lame.test lameopt.test norec.test twoq.test forged.test twice.test cut.test \
            cutlate.test more.test ptrloop.test odd.test large.test tc.test tcalways.test tcnotcp.test \
            tcwrongid.test tcgarbage.test tcservfail.test halfa.test half6.test halfnx.test upper.test",
    },
    Case {
        what: "three servers",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\nnameserver S3\nnameserver 127.0.0.1\n",
        nsswitch: "",
        names: "a.test second.test third.test differ.test nxfirst.test servfail.test nowhere.test",
    },
    Case {
        what: "a server that is not there",
        hosts: "",
        resolv_conf: "nameserver 127.0.0.250\nnameserver S1\nsearch one.test\n",
        nsswitch: "",
        names: "a.test a nowhere.test",
    },
    Case {
        what: "no server that is there",
        hosts: "",
        resolv_conf: "nameserver 127.0.0.250\noptions attempts:1\n",
        nsswitch: "",
        names: "a.test",
    },
    Case {
        what: "no route to the server",
        hosts: "",
        resolv_conf: "nameserver 192.0.2.53\nnameserver S1\n",
        nsswitch: "",
        names: "a.test nowhere.test",
    },
    Case {
        what: "TCP only",
        hosts: "",
        resolv_conf: "nameserver S1\noptions use-vc trust-ad\n",
        nsswitch: "",
        names: "a.test crowd.test nowhere.test servfail.test tcgarbage.test",
    },
    Case {
        what: "one question after the other",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\noptions single-request\n",
        nsswitch: "",
        names: "a.test both.test second.test nowhere.test",
    },
    Case {
        what: "servers take turns",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\noptions rotate single-request\n",
        nsswitch: "",
        names: "both.test",
    },
    Case {
        what: "silence",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\noptions timeout:2 attempts:1\n",
        nsswitch: "",
        names: "silent.test silent1.test halfsilent.test nodatasilent.test wrongid.test wrongname.test \
            wrongtype.test wrongclass.test noquestion.test noqr.test garbage.test short.test \
            tcsilent.test",
    },
    Case {
        what: "a suffix whose server is silent",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test\noptions timeout:2 attempts:2 ndots:2\n",
        nsswitch: "",
        names: "late.test",
    },
    Case {
        what: "hosts",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: "own OWN own. second third.name third.name. THIRD.name dot.end dot.end. a.test commented \
            behind twice family zone noaddress old mapped weird_name! tabbed far single lines",
    },
    Case {
        what: "hosts behind DNS",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts: dns files\n",
        names: "own a.test third.name servfail.test weird_name! nowhere.test",
    },
    Case {
        what: "hosts only",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "passwd: files\nhosts: files # dns\n",
        names: "own a.test b.test",
    },
    Case {
        what: "DNS only",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts:\tdns\n",
        names: "own a.test b.test",
    },
    Case {
        what: "a laptop's nsswitch.conf",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "passwd: files systemd\nhosts: files mdns4_minimal [NOTFOUND=return] dns myhostname\n",
        names: "own a.test b.test nowhere.test",
    },
    Case {
        what: "unknown sources stand for DNS",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts: resolve [!UNAVAIL=return] files\n",
        names: "own a.test b.test",
    },
    Case {
        what: "a broken nsswitch.conf",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts: dns [NOTFOUND=return\n",
        names: "own a.test b.test",
    },
    Case {
        what: "no servers in the file",
        hosts: "",
        resolv_conf: "",
        nsswitch: "",
        names: "a.test nowhere.test",
    },
    Case {
        what: "a server at an IPv6 address",
        hosts: "",
        resolv_conf: "nameserver ::1\n",
        nsswitch: "",
        names: "a.test crowd.test nowhere.test",
    },
    Case {
        what: "names that are kept from DNS",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test\n",
        nsswitch: "",
        names: "localhost LOCALHOST. w.localhost notlocalhost hidden.onion hidden.ONION. onion",
    },
    Case {
        what: "hosts that know localhost",
        hosts: "127.0.0.44 localhost w.localhost\n",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: "localhost w.localhost",
    },
];

const HOSTS: &str = "\
# 127.9.0.1 commented
127.9.0.2 own second third.name # behind
127.9.0.3\tdot.end.\ttabbed
127.9.0.4 a.test
127.9.0.5 twice twice
127.9.0.6 twice
127.9.0.7 family
::1 family
2001:db8::9 family
fe80::1%lo zone
noaddress noaddress
127.009.0.1 old
::ffff:127.9.0.8 mapped
127.9.0.9 weird_name!
192.0.2.1 far
127.9.0.10 far
127.9.0.11\r
127.9.0.12 lines\r
  127.9.0.13   lines
";

/// Names whose results differ on purpose, with ours and the reason.
pub(super) const DIFFERENT: &[(&str, &str, &str)] = &[
    ("localhost", LOOPBACK, "RFC 6761: Go asks the servers"),
    ("LOCALHOST.", LOOPBACK, "RFC 6761: Go asks the servers"),
    ("w.localhost", LOOPBACK, "RFC 6761: Go asks the servers"),
];

const LOOPBACK: &str = "127.0.0.1 ::1";
