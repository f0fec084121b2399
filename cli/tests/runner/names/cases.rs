//! The zone, and which names are looked up with which files.

/// Lines of `testenv/go/dns`.
pub(super) const ZONE: &str = "\
a.test A 127.0.0.7
b.test AAAA 2001:db8::7
both.test A 127.0.0.7
both.test AAAA ::1
far.test A 192.0.2.1
far.test A 127.0.0.9
far.test A 192.0.2.2
mapped.test AAAA ::ffff:127.0.0.8
six.test AAAA 2001:db8::1
six.test AAAA ::1
Upper.test A 127.0.0.6
alias.test CNAME a.test
chain.test CNAME alias.test
loop.test CNAME loop2.test
loop2.test CNAME loop.test
dangling.test CNAME nowhere.test
_under.test A 127.0.0.5
a-b.c-d.test A 127.0.0.4
1.test A 127.0.0.3
nodata.test TXT x
few.test many 20
many.test many 60
crowd.test many 300
a.one.test A 127.1.0.1
a.two.test A 127.2.0.1
only.two.test A 127.2.0.2
a.b.one.test A 127.1.0.2
dotted.name A 127.3.0.1
dotted.name.one.test A 127.3.0.2
single A 127.3.0.3
servfail.test fault servfail
refused.test fault refused
formerr.test fault formerr
notimp.test fault notimp
yxdomain.test fault yxdomain
badvers.test fault badvers
badvers.test A 127.0.0.7
sfa.test fault servfail-with-answer
sfa.test A 127.0.0.7
nxa.test fault nxdomain-with-answer
nxa.test A 127.0.0.7
lame.test fault lame
lameopt.test fault lame-with-option
norec.test fault no-recursion
norec.test A 127.0.0.7
twoq.test fault two-questions
twoq.test A 127.0.0.7
upper.test fault upper
upper.test A 127.0.0.7
forged.test fault forged-first
forged.test A 127.0.0.7
twice.test fault twice
twice.test A 127.0.0.7
cut.test fault cut
cut.test A 127.0.0.7
cutlate.test fault-A cut-late
cutlate.test A 127.0.0.7
cutlate.test A 127.0.0.8
more.test fault more-than-there-is
more.test A 127.0.0.7
ptrloop.test fault loop
ptrloop.test A 127.0.0.7
ptrloop.test AAAA ::1
odd.test fault odd-address
odd.test A 127.0.0.7
odd.test AAAA ::1
large.test fault large
large.test A 127.0.0.7
tc.test fault truncated
tc.test A 127.0.0.7
tcalways.test fault truncated-always
tcalways.test A 127.0.0.7
tcnotcp.test fault truncated-no-tcp
tcwrongid.test fault truncated-wrong-id
tcgarbage.test fault truncated-garbage
tcservfail.test fault truncated-servfail
halfa.test A 127.0.0.7
halfa.test fault-AAAA servfail
half6.test AAAA ::1
half6.test fault-A servfail
halfnx.test A 127.0.0.7
halfnx.test fault-AAAA nxdomain-with-answer
second.test A 127.0.0.7
second.test fault servfail @1
third.test A 127.0.0.7
third.test fault refused @1
third.test fault lame @2
differ.test A 127.0.1.1 @1
differ.test A 127.0.1.2 @2
nxfirst.test A 127.0.0.7 @2
badsuffix.one.test fault servfail
badsuffix A 127.4.0.1
broken.one.test fault servfail
silent.test fault silent
silent1.test fault silent @1
silent1.test A 127.0.0.7
halfsilent.test A 127.0.0.7
halfsilent.test fault-AAAA silent
nodatasilent.test TXT x
nodatasilent.test fault-AAAA silent
wrongid.test fault wrong-id
wrongid.test A 127.0.0.7
wrongname.test fault wrong-name
wrongname.test A 127.0.0.7
wrongtype.test fault wrong-type
wrongtype.test A 127.0.0.7
wrongclass.test fault wrong-class
wrongclass.test A 127.0.0.7
noquestion.test fault no-question
noquestion.test A 127.0.0.7
noqr.test fault no-answer-bit
noqr.test A 127.0.0.7
garbage.test fault garbage
short.test fault short
empty.test fault empty
tcsilent.test fault truncated-silent
late.test.one.test fault silent
late.test A 127.0.0.7
localhost A 127.0.0.99
w.localhost A 127.0.0.98
hidden.onion A 127.0.0.97
";

/// One set of files. `S1`, `S2` and `S3` stand for the servers.
pub(super) struct Case {
    pub(super) what: &'static str,
    pub(super) hosts: &'static str,
    pub(super) resolv_conf: &'static str,
    pub(super) nsswitch: &'static str,
    pub(super) names: &'static [&'static str],
}

const LONG_LABEL: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test";
const LONGEST_LABEL: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test";
/// 253 characters, and 254.
const LONGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.";
const TOO_LONG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(super) const CASES: &[Case] = &[
    Case {
        what: "one server",
        hosts: "",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: &[
            "a.test",
            "A.TEST",
            "a.test.",
            "b.test",
            "both.test",
            "far.test",
            "mapped.test",
            "six.test",
            "upper.TEST",
            "alias.test",
            "chain.test",
            "loop.test",
            "dangling.test",
            "_under.test",
            "a-b.c-d.test",
            "1.test",
            "nodata.test",
            "few.test",
            "many.test",
            "crowd.test",
            "nowhere.test",
            "single",
            "single.",
            "dotted.name",
        ],
    },
    Case {
        what: "no names, and addresses",
        hosts: "",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: &[
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "fe80::1%lo",
            "fe80::1%1",
            "fe80::1%nothing",
            "fe80::1%",
            "127.0.0.1%lo",
            "[::1]",
            "127.0.0.01",
            "127.1",
            "1.2.3",
            "1",
            "0x7f.1",
            "a..test",
            ".a.test",
            ".",
            "..",
            "-a.test",
            "a-.test",
            "a.-b.test",
            "a b.test",
            "ä.test",
            "a\\.test",
            "a:b",
            "a/b",
            "*.test",
            LONG_LABEL,
            LONGEST_LABEL,
            LONGEST,
            TOO_LONG,
        ],
    },
    Case {
        what: "suffixes",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test two.test\n",
        nsswitch: "",
        names: &[
            "a",
            "only",
            "nothing",
            "a.b",
            "dotted.name",
            "single",
            "a.",
            "badsuffix",
            "broken",
            "late.test.",
            "a.test",
        ],
    },
    Case {
        what: "ndots as in a pod",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test two.test.\noptions ndots:5\n",
        nsswitch: "",
        names: &["a", "a.b", "dotted.name", "a.test", "a.test.", "badsuffix", "nowhere.test"],
    },
    Case {
        what: "ndots 0, the last of domain and search counts, comments, unknown words",
        hosts: "",
        resolv_conf: "# nameserver S3\n; nameserver S3\nnameserver name.test\nnameserver\nnameserver S1 S2\nsortlist x\nsearch one.test\ndomain two.test\noptions ndots:0 inet6 debug edns0\n",
        nsswitch: "",
        names: &["a", "only", "single", "a.b"],
    },
    Case {
        what: "ndots that is no number or too large, search that is a dot",
        hosts: "",
        resolv_conf: "nameserver\tS1\r\nsearch .\noptions ndots:x ndots:99 attempts:0\n",
        nsswitch: "",
        names: &["a.test", "single", "nowhere"],
    },
    Case {
        what: "a suffix that is no name",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch a..b one.test\n",
        nsswitch: "",
        names: &["a", "single", "nothing"],
    },
    Case {
        what: "faults of one server",
        hosts: "",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: &[
            "servfail.test",
            "refused.test",
            "formerr.test",
            "notimp.test",
            "yxdomain.test",
            "badvers.test",
            "sfa.test",
            "nxa.test",
            "lame.test",
            "lameopt.test",
            "norec.test",
            "twoq.test",
            "forged.test",
            "twice.test",
            "cut.test",
            "cutlate.test",
            "more.test",
            "ptrloop.test",
            "odd.test",
            "large.test",
            "tc.test",
            "tcalways.test",
            "tcnotcp.test",
            "tcwrongid.test",
            "tcgarbage.test",
            "tcservfail.test",
            "halfa.test",
            "half6.test",
            "halfnx.test",
            "upper.test",
        ],
    },
    Case {
        what: "three servers",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\nnameserver S3\nnameserver 127.0.0.1\n",
        nsswitch: "",
        names: &[
            "a.test",
            "second.test",
            "third.test",
            "differ.test",
            "nxfirst.test",
            "servfail.test",
            "nowhere.test",
        ],
    },
    Case {
        what: "a server that is not there",
        hosts: "",
        resolv_conf: "nameserver 127.0.0.250\nnameserver S1\nsearch one.test\n",
        nsswitch: "",
        names: &["a.test", "a", "nowhere.test"],
    },
    Case {
        what: "no server that is there",
        hosts: "",
        resolv_conf: "nameserver 127.0.0.250\noptions attempts:1\n",
        nsswitch: "",
        names: &["a.test"],
    },
    Case {
        what: "no route to the server",
        hosts: "",
        resolv_conf: "nameserver 192.0.2.53\nnameserver S1\n",
        nsswitch: "",
        names: &["a.test", "nowhere.test"],
    },
    Case {
        what: "TCP only",
        hosts: "",
        resolv_conf: "nameserver S1\noptions use-vc trust-ad\n",
        nsswitch: "",
        names: &["a.test", "crowd.test", "nowhere.test", "servfail.test", "tcgarbage.test"],
    },
    Case {
        what: "one question after the other",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\noptions single-request\n",
        nsswitch: "",
        names: &["a.test", "both.test", "second.test", "nowhere.test"],
    },
    Case {
        what: "servers take turns",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\noptions rotate single-request\n",
        nsswitch: "",
        names: &["both.test"],
    },
    Case {
        what: "silence",
        hosts: "",
        resolv_conf: "nameserver S1\nnameserver S2\noptions timeout:2 attempts:1\n",
        nsswitch: "",
        names: &[
            "silent.test",
            "silent1.test",
            "halfsilent.test",
            "nodatasilent.test",
            "wrongid.test",
            "wrongname.test",
            "wrongtype.test",
            "wrongclass.test",
            "noquestion.test",
            "noqr.test",
            "garbage.test",
            "short.test",
            "tcsilent.test",
        ],
    },
    Case {
        what: "a suffix whose server is silent",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test\noptions timeout:2 attempts:2 ndots:2\n",
        nsswitch: "",
        names: &["late.test"],
    },
    Case {
        what: "hosts",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: &[
            "own",
            "OWN",
            "own.",
            "second",
            "third.name",
            "third.name.",
            "THIRD.name",
            "dot.end",
            "dot.end.",
            "a.test",
            "commented",
            "behind",
            "twice",
            "family",
            "zone",
            "noaddress",
            "old",
            "mapped",
            "weird_name!",
            "tabbed",
            "far",
            "single",
            "lines",
        ],
    },
    Case {
        what: "hosts behind DNS",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts: dns files\n",
        names: &["own", "a.test", "third.name", "servfail.test", "weird_name!", "nowhere.test"],
    },
    Case {
        what: "hosts only",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "passwd: files\nhosts: files # dns\n",
        names: &["own", "a.test", "b.test"],
    },
    Case {
        what: "DNS only",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts:\tdns\n",
        names: &["own", "a.test", "b.test"],
    },
    Case {
        what: "a laptop's nsswitch.conf",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "passwd: files systemd\nhosts: files mdns4_minimal [NOTFOUND=return] dns myhostname\n",
        names: &["own", "a.test", "b.test", "nowhere.test"],
    },
    Case {
        what: "unknown sources stand for DNS",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts: resolve [!UNAVAIL=return] files\n",
        names: &["own", "a.test", "b.test"],
    },
    Case {
        what: "a broken nsswitch.conf",
        hosts: HOSTS,
        resolv_conf: "nameserver S1\n",
        nsswitch: "hosts: dns [NOTFOUND=return\n",
        names: &["own", "a.test", "b.test"],
    },
    Case {
        what: "no servers in the file",
        hosts: "",
        resolv_conf: "",
        nsswitch: "",
        names: &["a.test", "nowhere.test"],
    },
    Case {
        what: "a server at an IPv6 address",
        hosts: "",
        resolv_conf: "nameserver ::1\n",
        nsswitch: "",
        names: &["a.test", "crowd.test", "nowhere.test"],
    },
    Case {
        what: "names that are kept from DNS",
        hosts: "",
        resolv_conf: "nameserver S1\nsearch one.test\n",
        nsswitch: "",
        names: &[
            "localhost",
            "LOCALHOST.",
            "w.localhost",
            "notlocalhost",
            "hidden.onion",
            "hidden.ONION.",
            "onion",
        ],
    },
    Case {
        what: "hosts that know localhost",
        hosts: "127.0.0.44 localhost w.localhost\n",
        resolv_conf: "nameserver S1\n",
        nsswitch: "",
        names: &["localhost", "w.localhost"],
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
