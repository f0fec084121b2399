//! Makes templates: deterministic in the seed, and counting what it has used.

use std::collections::BTreeMap;

use sealops_template::value::Type;
use sealops_template::{Function, FunctionSet};

/// What has been generated, by name.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Parts of the language. Each must occur in a run.
pub(crate) const FEATURES: &[&str] = &[
    "action",
    "text",
    "comment",
    "trim",
    "pipeline",
    "parentheses",
    "field",
    "chained field",
    "index",
    "variable",
    "assignment",
    "if",
    "else",
    "else if",
    "with",
    "else with",
    "range list",
    "range map",
    "range int",
    "range variables",
    "range else",
    "break",
    "continue",
    "define",
    "template",
    "block",
    "nil",
    "raw string",
    "character",
    "number base",
    "float",
    "bool",
    "missing key",
    "missingkey=zero",
    "missingkey=error",
    "delimiters",
    "wrong type",
    "broken syntax",
    "bytes",
    "nested call",
];

/// The data of every generated template.
pub(crate) fn data() -> Vec<(String, Vec<u8>)> {
    let texts: [(&str, &[u8]); 16] = [
        ("user", b"amber"),
        ("empty", b""),
        ("num", b"42"),
        ("float", b"3.70"),
        ("json", br#"{"a":1,"b":{"c":[1,2.5,null,"x"]},"s":"x<y>&z","big":1e21,"neg":-0.5}"#),
        ("list", b"delta,alpha,charlie,alpha"),
        ("multi", b"line one\nline two\n\nline three\n"),
        ("uni", "Ünïcode ☂ straße ǆ".as_bytes()),
        ("bin", b"\xff\xfe\x00A\xc3(\xe2\x82"),
        ("tls.key", b"dash"),
        ("url", b"https://ann:fa%40ke@db.example.test:8443/path/a?q=1&r=2#frag"),
        ("yaml", b"a: 1\nb:\n- x\n- y: z\nn: null\nt: yes\nf: 1.5\n"),
        ("version", b"v1.2.3-beta.1+build.5"),
        ("padded", b"  spaced \t out\n "),
        ("words", b"HTTPServer foo_bar-baz http2xx Bld4Floor3rd"),
        ("pem", include_bytes!("../../../../testdata/keys/interop-2048.crt")),
    ];
    texts.into_iter().map(|(key, value)| (key.to_owned(), value.to_vec())).collect()
}

pub(crate) struct Generator<'a> {
    state: u64,
    functions: &'a FunctionSet,
    names: Vec<&'static str>,
    pub(crate) features: Counts,
    pub(crate) used: Counts,
}

const TEXTS: &[&str] = &[
    "\"\"",
    "\"a\"",
    "\"abc def\"",
    "\"Ünïcode\"",
    "\"42\"",
    "\"-3.50\"",
    "\"0x1f\"",
    "\"010\"",
    "\"true\"",
    "\" \"",
    "\"a,b,,c\"",
    "\",\"",
    "\"\\n\"",
    "\"a\\tb\"",
    "`raw \"x\"`",
    "\"\\xff\\xfeA\"",
    "\"<a href='x'>&\"",
    "\"key\"",
    "\"a\"",
    "\"b\"",
    "\"HelloWorld foo_bar\"",
    "\"one two three four five\"",
    "\"$\"",
    "\"x\\u2028y\"",
    "\"1_000\"",
    "\"1e3\"",
    "\"0.1\"",
    "\"é\"",
    "\"ǆ ﬁ ß İ\"",
    "\"\\x00\\x7f\"",
];
const FIELDS: &[&str] = &[
    ".user", ".empty", ".num", ".float", ".json", ".list", ".multi", ".uni", ".bin", "$.user", ".url",
    ".yaml", ".version", ".padded", ".words",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "42",
    "1000",
    "0x1F",
    "1_000",
    "0b11",
    "0o17",
    "'a'",
    "1.5",
    "-2.5",
    "1e3",
    "0.1",
    "0.2",
    "1e21",
    "\"12\"",
    "\"3.7\"",
    "\"2.0\"",
    "\"abc\"",
    "\"-8\"",
    "\"0x10\"",
    "\"1e2\"",
    "true",
    "nil",
    ".num",
    ".float",
    "(int64 5)",
    "(float64 \"2.5\")",
    "9223372036854775807",
    "\"9223372036854775808\"",
    "\"Inf\"",
];
const SMALL: &[&str] = &["0", "1", "2", "3", "4", "5", "8", "12", "20", "-1", "-3"];
const PATTERNS: &[&str] = &[
    "\"a+\"",
    "\"[a-c]\"",
    "\"(a)(b)?\"",
    "\"^\\\\s*\"",
    "\"\\\\d+\"",
    "\"\\\\w+\"",
    "\"\\\\bfoo\\\\b\"",
    "\"(?i)ALPHA\"",
    "\"(?P<first>[a-z])(?P<rest>[a-z]*)\"",
    "\"x*\"",
    "\"\"",
    "\"(\"",
    "\"a{2,3}\"",
    "\"a{1001}\"",
    "\"[[:alpha:]]+\"",
    "\"\\\\pL\"",
    "\"\\\\p{Greek}\"",
    "\"a**\"",
    "\"\\\\Qa.b\\\\E\"",
    "\".\"",
    "\"(?s).\"",
    "\"$\"",
    "\"(?m)^\"",
    "\"[^a]\"",
    "\"\\\\xff\"",
    "\"a|b|\"",
    "\"a{\"",
    "\"a{,2}\"",
    "\"[]a]\"",
    "\"[a-\\\\d]\"",
    "\"(?:ab)+?\"",
    "\"\\\\z\"",
    "\"\\\\C\"",
    "\"(?U)a+\"",
    "\"\\\\B\"",
    "\"\\\\x{e9}\"",
    "\"(a{30}){40}\"",
    "\"(?<n>l)\"",
    "\",\"",
    "\"[&&a--b]\"",
];
const REPLACEMENTS: &[&str] = &[
    "\"$1\"",
    "\"<$0>\"",
    "\"${1}x\"",
    "\"$1x\"",
    "\"$$\"",
    "\"${first}\"",
    "\"$first-\"",
    "\"-\"",
    "\"$\"",
    "\"${\"",
    "\"\"",
];
const LAYOUTS: &[&str] = &[
    "\"2006-01-02\"",
    "\"2006-01-02T15:04:05Z07:00\"",
    "\"Jan _2 15:04:05.000\"",
    "\"Monday, 02-Jan-06 15:04:05 MST\"",
    "\"03:04 PM\"",
    "\"3:04pm -0700\"",
    "\"002 __2\"",
    "\"January 2, 2006\"",
    "\"Mon Jan 2 15:04:05.999999 -07:00 2006\"",
    "\"20060102150405\"",
    "\"x\"",
    "\"Janet 5.00 ,999\"",
    "\"_2006 1/2/06 4:5 -07\"",
    "\"Z0700 Z070000 -070000\"",
];
const DATES: &[&str] = &[
    "\"2024-02-29\"",
    "\"2023-02-29\"",
    "\"2024-02-29T12:30:45Z\"",
    "\"2024-02-29T12:30:45.5+02:00\"",
    "\"Feb  9 01:02:03.250\"",
    "\"Thursday, 29-Feb-24 23:59:59 CET\"",
    "\"11:59 PM\"",
    "\"1:05am -0330\"",
    "\"060  60\"",
    "\"february 2, 1999\"",
    "\"20240229235959\"",
    "\"\"",
    "\"x\"",
    "\"Mon Jan 2 15:04:05 -07:00 2006\"",
];
const ZONES: &[&str] = &[
    "\"UTC\"",
    "\"Local\"",
    "\"\"",
    "\"Europe/Berlin\"",
    "\"america/new_york\"",
    "\"America/New_York\"",
    "\"Asia/Kolkata\"",
    "\"Nowhere/X\"",
    "\"EST\"",
    "\"Asia/Tokyo\"",
];
const DURATIONS: &[&str] = &[
    "\"1h\"",
    "\"-1.5h30m\"",
    "\"90s\"",
    "\"400h\"",
    "\"9000h\"",
    "\"1ms2us3ns\"",
    "\"x\"",
    "\"0\"",
    "\"\"",
    "\"1\"",
    "\".5s\"",
    "\"3µs\"",
];
const VERSIONS: &[&str] = &[
    "\"1.2.3\"",
    "\"v1.2.3-beta.1+b5\"",
    "\"1.2\"",
    "\"2\"",
    "\"01.2.3\"",
    "\"1.2.3-01\"",
    "\"x\"",
    "\"\"",
    "\"0.0.3\"",
    "\"0.2.5\"",
    "\"1.2.3-alpha\"",
    "\"1.2.3-beta.2\"",
    ".version",
    "\"10.0.0\"",
    "\"1.2.3.4\"",
];
const RANGES: &[&str] = &[
    "\"^1.2\"",
    "\"~1.2.3\"",
    "\">=1.0, <2\"",
    "\"1.x || 2.x\"",
    "\"!=1.2.3\"",
    "\"*\"",
    "\"1.2 - 2\"",
    "\"^0.2\"",
    "\"^0.0.3\"",
    "\"~0\"",
    "\">1\"",
    "\"<=1.2\"",
    "\"=1.2.3-beta.1\"",
    "\">1.2.3-alpha\"",
    "\"bad\"",
    "\"\"",
    "\"~> 1.2\"",
    "\"=> 1 <3\"",
    "\"^1.2.3-beta\"",
];
const URLS: &[&str] = &[
    ".url",
    "\"http://[::1]:80/a%20b\"",
    "\"mailto:x@y\"",
    "\"//h/p\"",
    "\"/a:b?c#d\"",
    "\"a:b:c\"",
    "\":x\"",
    "\"http://a b/\"",
    "\"http://h:x/\"",
    "\"%zz\"",
    "\"x:y\"",
    "\"http://u:p@h:1,h2:2/\"",
    "\"pg://u:p@h:1,h2:2/db\"",
    "\"a/b:c\"",
    "\"*\"",
    "\"?q\"",
    "\"http://ü/ö?ä#ß\"",
    "\"HTTP://EX.test\"",
];
const ENCODED: &[&str] = &[
    "\"aGVsbG8=\"",
    "\"aGVs\\nbG8=\"",
    "\"a$b\"",
    "\"aGVsbG8\"",
    "\"MFWWEZLS\"",
    "\"MFWQ====\"",
    "\"MF\"",
    "\"6162\"",
    "\"616\"",
    "\"6g\"",
    "\"//79\"",
    "\"YQ==x\"",
    "\"=\"",
    "\"YQ=\"",
    "\"MFWQ===\"",
    "\"A=======\"",
];
const JSONS: &[&str] = &[
    ".json",
    "`[1,2,{\"a\":null}]`",
    "`\"x\\u00e9\\ud800\"`",
    "`1e400`",
    "`{\"a\":1,}`",
    "`  true `",
    "``",
    "`[1e5,0.1,-0]`",
    "`nul`",
    "`\"\\n\\/\\ud83d\\ude00\"`",
    "`{\"b\":1,\"a\":[],\"b\":2}`",
    "`01`",
    "`-`",
    "`[1] x`",
    ".bin",
];
const YAMLS: &[&str] = &[
    ".yaml",
    "\"a: 1\\nb: [x, 2.5, null]\"",
    "\"a: yes\\nb: 0x10\\nc: 1e3\\nd: 010\"",
    "\"\"",
    "\"a: 'q'\\nb: {c: d}\"",
    "\"a: |\\n  x\\n  y\\n\"",
];
const PATHS: &[&str] = &[
    "\"a/b/c.txt\"",
    "\"/a/../b/\"",
    "\"\"",
    "\"/\"",
    "\"//\"",
    "\"../x\"",
    "\"a//b/./c\"",
    "\"x.tar.gz\"",
    "\".hidden\"",
    "\"a/..\"",
];
const FORMATS: &[&str] = &[
    "\"%v %v\"",
    "\"%s-%d\"",
    "\"%q\"",
    "\"%5.2f|%x\"",
    "\"%T %t\"",
    "\"%08b %c\"",
    "\"%-6v|%+v\"",
    "\"%%\"",
    "\"%!\"",
    "\"%[2]v %[1]v\"",
    "\"%*d\"",
    "\"%#v\"",
    "\"%U\"",
];

/// What goes into the places of a function's arguments; without a row its types decide.
const HINTS: &[(&str, &str)] = &[
    ("first", "L"),
    ("mustFirst", "L"),
    ("last", "L"),
    ("mustLast", "L"),
    ("rest", "L"),
    ("mustRest", "L"),
    ("initial", "L"),
    ("mustInitial", "L"),
    ("reverse", "L"),
    ("mustReverse", "L"),
    ("compact", "L"),
    ("mustCompact", "L"),
    ("uniq", "L"),
    ("mustUniq", "L"),
    ("append", "LA"),
    ("push", "LA"),
    ("mustAppend", "LA"),
    ("mustPush", "LA"),
    ("prepend", "LA"),
    ("mustPrepend", "LA"),
    ("without", "LA"),
    ("mustWithout", "LA"),
    ("has", "AL"),
    ("mustHas", "AL"),
    ("slice", "LII"),
    ("mustSlice", "LII"),
    ("concat", "LL"),
    ("chunk", "IL"),
    ("mustChunk", "IL"),
    ("join", "SL"),
    ("sortAlpha", "L"),
    ("toStrings", "L"),
    ("index", "LI"),
    ("len", "L"),
    ("add", "NNN"),
    ("add1", "N"),
    ("sub", "NN"),
    ("div", "NN"),
    ("mod", "NN"),
    ("mul", "NNN"),
    ("max", "NNN"),
    ("min", "NN"),
    ("biggest", "NN"),
    ("int", "N"),
    ("int64", "N"),
    ("float64", "N"),
    ("toDecimal", "N"),
    ("addf", "NNN"),
    ("add1f", "N"),
    ("subf", "NN"),
    ("divf", "NN"),
    ("mulf", "NN"),
    ("maxf", "NN"),
    ("minf", "NN"),
    ("ceil", "N"),
    ("floor", "N"),
    ("round", "NI"),
    ("seq", "II"),
    ("dict", "SASA"),
    ("dig", "SSAD"),
    ("regexMatch", "RS"),
    ("mustRegexMatch", "RS"),
    ("regexFind", "RS"),
    ("mustRegexFind", "RS"),
    ("regexFindAll", "RSI"),
    ("mustRegexFindAll", "RSI"),
    ("regexSplit", "RSI"),
    ("mustRegexSplit", "RSI"),
    ("regexReplaceAll", "RSE"),
    ("mustRegexReplaceAll", "RSE"),
    ("regexReplaceAllLiteral", "RSE"),
    ("mustRegexReplaceAllLiteral", "RSE"),
    ("date", "YT"),
    ("htmlDate", "T"),
    ("dateInZone", "YTZ"),
    ("date_in_zone", "YTZ"),
    ("htmlDateInZone", "TZ"),
    ("toDate", "YG"),
    ("mustToDate", "YG"),
    ("duration", "N"),
    ("durationRound", "U"),
    ("dateModify", "UT"),
    ("date_modify", "UT"),
    ("mustDateModify", "UT"),
    ("must_date_modify", "UT"),
    ("unixEpoch", "T"),
    ("semver", "V"),
    ("semverCompare", "CV"),
    ("urlParse", "W"),
    ("b64dec", "X"),
    ("b32dec", "X"),
    ("hexdec", "X"),
    ("fromJson", "J"),
    ("mustFromJson", "J"),
    ("fromYaml", "M"),
    ("base", "P"),
    ("dir", "P"),
    ("clean", "P"),
    ("ext", "P"),
    ("isAbs", "P"),
    ("osBase", "P"),
    ("osDir", "P"),
    ("osClean", "P"),
    ("osExt", "P"),
    ("osIsAbs", "P"),
    ("printf", "FAA"),
    ("eq", "AA"),
    ("ne", "AA"),
    ("lt", "NN"),
    ("le", "NN"),
    ("gt", "NN"),
    ("ge", "SS"),
    ("kindIs", "SA"),
    ("call", "A"),
    ("urlJoin", "Q"),
    ("atoi", "K"),
    ("htpasswd", "SS"),
    ("certSANs", "H"),
    ("filterPEM", "BH"),
    ("filterCertChain", "BH"),
];

/// Results that Go has in no order, and how both are made to have one.
const UNORDERED: &[(&str, &str)] =
    &[("keys", "(keys @ | sortAlpha)"), ("values", "(values @ | toStrings | sortAlpha)")];
/// Functions whose results are never the same twice, or cost too much: only success or failure is compared.
pub(crate) const OUTCOME_ONLY: &[&str] = &[
    "now",
    "ago",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randBytes",
    "randInt",
    "shuffle",
    "uuidv4",
    "bcrypt",
    "htpasswd",
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "buildCustomCert",
    "encryptAES",
    "derivePassword",
    "pemToPkcs12",
    "pemToPkcs12Pass",
    "fullPemToPkcs12",
    "fullPemToPkcs12Pass",
    "pemTruststoreToPKCS12",
    "pemTruststoreToPKCS12Pass",
];
/// These make keys or hash slowly: mostly with arguments that fail, or not at all within others.
const SLOW: &[&str] = &[
    "bcrypt",
    "htpasswd",
    "genPrivateKey",
    "genCA",
    "genCAWithKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "derivePassword",
    "encryptAES",
    "decryptAES",
    "fail",
];
/// A large number given to these would fill the memory of Go's program, which has no budget.
const GROWING: &[&str] = &[
    "until",
    "untilStep",
    "seq",
    "repeat",
    "indent",
    "nindent",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randBytes",
    "randInt",
    "printf",
    "chunk",
    "mustChunk",
    "round",
];

impl<'a> Generator<'a> {
    pub(crate) fn new(seed: u64, functions: &'a FunctionSet) -> Self {
        let names = functions.names();
        Self { state: seed, functions, names, features: Counts::new(), used: Counts::new() }
    }

    /// SplitMix64
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ mixed >> 31) >> 33).unwrap_or(0) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn feature(&mut self, name: &str) {
        assert!(FEATURES.contains(&name), "{name}");
        *self.features.entry(name.to_owned()).or_default() += 1;
    }

    /// Makes a template around a call of the function `number` in turn.
    pub(crate) fn template(&mut self, number: usize) -> String {
        let name = self.names[number % self.names.len()];
        let call = self.call(name, 2);
        let mut text = match self.below(3) {
            0 => self.statement(&call, 2),
            1 => {
                let more = self.expression('A', 2);
                self.statement(&call, 1) + &self.statement(&more, 2)
            }
            _ => {
                self.feature("action");
                format!("{{{{ {call} }}}}")
            }
        };
        if self.once_in(40) {
            self.feature("broken syntax");
            text = self.broken(&text);
        }
        text
    }

    fn broken(&mut self, text: &str) -> String {
        let mut runes: Vec<char> = text.chars().collect();
        let at = self.below(runes.len());
        match self.below(3) {
            0 => drop(runes.remove(at)),
            1 => runes.insert(at, runes[at]),
            _ => runes[at] = self.pick(&['{', '}', '"', '(', ')', '|', '.', '$', '`', '-', ' ', '\n']),
        }
        runes.into_iter().collect()
    }

    /// A call with its arguments, without parentheses.
    pub(crate) fn call(&mut self, name: &str, depth: usize) -> String {
        *self.used.entry(name.to_owned()).or_default() += 1;
        let Some(function) = self.functions.find(name).copied() else { return name.to_owned() };
        let mut arguments = self.arguments(&function, depth.saturating_sub(1));
        if self.once_in(60) {
            self.feature("wrong type");
            arguments.pop();
        }
        if let Some((_, form)) = UNORDERED.iter().find(|(own, _)| *own == name) {
            return form.replace('@', &arguments.join(" "));
        }
        if name == "fromYaml" {
            // The error's text is ours: Go's may quote the value.
            return format!("omit (fromYaml {}) \"Error\"", arguments.join(" "));
        }
        let call = match arguments.pop() {
            Some(last) if self.once_in(4) => {
                self.feature("pipeline");
                format!("{last} | {name} {}", arguments.join(" "))
            }
            Some(last) => {
                arguments.push(last);
                format!("{name} {}", arguments.join(" "))
            }
            None => name.to_owned(),
        };
        let call = call.trim_end().to_owned();
        if OUTCOME_ONLY.contains(&name) { format!("len (print ({call})) | lt 0") } else { call }
    }

    fn arguments(&mut self, function: &Function, depth: usize) -> Vec<String> {
        let hint = HINTS.iter().find(|(name, _)| *name == function.name).map(|(_, hint)| *hint);
        let mut kinds: Vec<char> = match hint {
            Some(hint) => hint.chars().collect(),
            None => {
                let mut kinds: Vec<char> = function.parameters.iter().map(|kind| kind_of(*kind)).collect();
                if let Some(rest) = function.variadic {
                    let more = self.below(3);
                    kinds.extend(std::iter::repeat_n(kind_of(rest), more));
                }
                kinds
            }
        };
        if function.variadic.is_some() && kinds.len() > function.parameters.len() && self.once_in(3) {
            kinds.pop();
        }
        let slow = SLOW.contains(&function.name) && !self.once_in(12);
        let growing = GROWING.contains(&function.name);
        kinds
            .into_iter()
            .enumerate()
            .map(|(index, kind)| {
                if slow && index == 0 {
                    self.feature("wrong type");
                    return "(list 1)".to_owned();
                }
                if self.once_in(12) {
                    self.feature("wrong type");
                    return if growing {
                        self.pick(&["\"x\"", "true", "(list)"]).to_owned()
                    } else {
                        self.expression('A', 0)
                    };
                }
                self.expression(kind, depth)
            })
            .collect()
    }

    /// An operand of a kind: a letter of [`HINTS`].
    fn expression(&mut self, kind: char, depth: usize) -> String {
        let pool = match kind {
            'R' => PATTERNS,
            'E' => REPLACEMENTS,
            'Y' => LAYOUTS,
            'G' => DATES,
            'Z' => ZONES,
            'U' => DURATIONS,
            'V' => VERSIONS,
            'C' => RANGES,
            'W' => URLS,
            'X' => ENCODED,
            'J' => JSONS,
            'M' => YAMLS,
            'P' => PATHS,
            'F' => FORMATS,
            'I' => SMALL,
            'H' => &[".pem", ".user", "\"-----BEGIN\""],
            'B' => &["\"CERTIFICATE\"", "\"leaf\"", "\"root\"", "\"intermediate\"", "\"x\""],
            'K' => &["\"12\"", "\"-7\"", "\"x\"", "\"\"", "\"99999999999999999999\"", "\"0x1\"", ".num"],
            'Q' => &[
                "(urlParse .url)",
                "(dict \"host\" \"h\" \"path\" \"a b\" \"scheme\" \"http\")",
                "(dict \"path\" 1)",
                "(dict \"userinfo\" \"u:p\" \"host\" \"h\")",
                "(dict \"opaque\" \"o\" \"scheme\" \"s\")",
                "(dict)",
                "(dict \"query\" \"q=1\" \"fragment\" \"é\" \"path\" \"x:y\")",
            ],
            'S' => return self.text(depth),
            'N' => return self.number(depth),
            'L' => return self.list(depth),
            'D' => return self.dict(depth),
            'T' => return self.time(),
            _ => return self.any(depth),
        };
        self.pick(pool).to_owned()
    }

    fn nested(&mut self, names: &[&str], depth: usize) -> String {
        let name = self.pick(names);
        self.feature("nested call");
        self.feature("parentheses");
        format!("({})", self.call(name, depth))
    }

    fn text(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 2 } else { 4 }) {
            0 => {
                let text = self.pick(TEXTS);
                if text.starts_with('`') {
                    self.feature("raw string");
                }
                text.to_owned()
            }
            1 => {
                let field = self.pick(FIELDS);
                self.feature("field");
                if field == ".bin" {
                    self.feature("bytes");
                }
                field.to_owned()
            }
            2 => {
                self.feature("index");
                self.pick(&["(index . \"tls.key\")", "(index $ \"bin\")", "(index . \"none\")"]).to_owned()
            }
            _ => self.nested(
                &[
                    "upper",
                    "lower",
                    "trim",
                    "title",
                    "quote",
                    "squote",
                    "b64enc",
                    "toJson",
                    "replace",
                    "trunc",
                    "substr",
                    "snakecase",
                    "camelcase",
                    "kebabcase",
                    "print",
                    "printf",
                    "toString",
                    "join",
                    "nospace",
                    "cat",
                    "indent",
                    "regexReplaceAll",
                    "trimSuffix",
                    "swapcase",
                    "untitle",
                    "initials",
                    "b64dec",
                    "html",
                    "urlquery",
                    "js",
                    "sha256sum",
                    "date",
                    "wrap",
                    "repeat",
                    "toPrettyJson",
                    "typeOf",
                    "default",
                    "coalesce",
                    "ternary",
                ],
                depth,
            ),
        }
    }

    fn number(&mut self, depth: usize) -> String {
        if depth > 0 && self.once_in(4) {
            return self.nested(
                &["add", "sub", "mul", "len", "atoi", "floor", "ceil", "max", "addf", "mulf", "round"],
                depth,
            );
        }
        let number = self.pick(NUMBERS);
        match number {
            "'a'" => self.feature("character"),
            "0x1F" | "0b11" | "0o17" | "1_000" => self.feature("number base"),
            "true" => self.feature("bool"),
            "nil" => self.feature("nil"),
            _ if number.contains('.') && !number.starts_with(['"', '(']) => self.feature("float"),
            _ => {}
        }
        number.to_owned()
    }

    fn list(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => self
                .pick(&[
                    "(list)",
                    "(list 1 2 3)",
                    "(list \"b\" \"a\" nil 0 \"a\")",
                    "(list (list 1) (dict \"a\" 1))",
                ])
                .to_owned(),
            1 => "(splitList \",\" .list)".to_owned(),
            2 => self.pick(&["(until 3)", "(untilStep 5 0 -2)", "(until 0)"]).to_owned(),
            3 => "(fromJson `[1,null,\"a\",{\"k\":[2]},2.5,\"a\"]`)".to_owned(),
            4 => self
                .pick(&[
                    "(rest (list))",
                    "(regexFindAll \"a\" .list -1)",
                    "(regexFindAll \"q\" .list -1)",
                    "(first (list))",
                ])
                .to_owned(),
            5 => {
                let (a, b) = (self.expression('A', depth - 1), self.expression('A', depth - 1));
                format!("(list {a} {b} 3)")
            }
            _ => self.nested(
                &[
                    "list",
                    "append",
                    "rest",
                    "reverse",
                    "uniq",
                    "compact",
                    "concat",
                    "without",
                    "toStrings",
                    "chunk",
                    "initial",
                    "sortAlpha",
                    "keys",
                ],
                depth,
            ),
        }
    }

    fn dict(&mut self, depth: usize) -> String {
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => self
                .pick(&[
                    "(dict)",
                    "(dict \"a\" 1 \"b\" (dict \"c\" \"x\"))",
                    "(dict \"a\" \"\" \"l\" (list 1))",
                    "(dict \"a\" nil \"b\" 2 \"key\" true)",
                ])
                .to_owned(),
            1 => "(fromJson .json)".to_owned(),
            2 => self
                .pick(&["(dict \"b\" (dict \"d\" 1) \"l\" (list))", "(dict \"a\" (dict) \"odd\")"])
                .to_owned(),
            3 => self.pick(&["(urlParse .url)", "(splitn \",\" 2 .list)", "(split \",\" .list)"]).to_owned(),
            4 => {
                let value = self.expression('A', depth - 1);
                format!("(dict \"a\" {value} \"key\" 2)")
            }
            _ => self.nested(
                &["merge", "mergeOverwrite", "set", "unset", "pick", "omit", "deepCopy", "dict", "mustMerge"],
                depth,
            ),
        }
    }

    fn time(&mut self) -> String {
        self.pick(&[
            "(toDate \"2006-01-02\" \"2024-02-29\")",
            "(toDate \"2006-01-02T15:04:05Z07:00\" \"2023-12-31T23:59:58.123456789-05:00\")",
            "(int64 1700000000)",
            "1700000000",
            "(toDate \"x\" \"y\")",
            "(int64 -1)",
            "(toDate \"Jan 2 2006 MST\" \"Jul 4 1999 CEST\")",
        ])
        .to_owned()
    }

    fn any(&mut self, depth: usize) -> String {
        match self.below(8) {
            0 | 1 => self.text(depth),
            2 | 3 => self.number(depth),
            4 => self.list(depth),
            5 => self.dict(depth),
            6 => self.time(),
            _ => {
                self.feature("missing key");
                self.pick(&[".none", "nil", "$.none", "true", "false", "."]).to_owned()
            }
        }
    }

    /// Text and actions around an expression.
    fn statement(&mut self, expression: &str, depth: usize) -> String {
        let inner = if depth > 0 && self.once_in(3) {
            let nested = self.expression('A', 1);
            self.statement(&nested, depth - 1)
        } else {
            "<{{ . }}>".to_owned()
        };
        let (open, close) = if self.once_in(5) {
            self.feature("trim");
            self.pick(&[("{{- ", " -}}"), ("{{- ", " }}"), ("{{ ", " -}}")])
        } else {
            ("{{ ", " }}")
        };
        let simple = |text: &str| format!("{open}{text}{close}");
        match self.below(17) {
            0 => {
                self.feature("if");
                self.feature("else");
                format!("{}{inner} {{{{ else }}}}no {{{{ end }}}}", simple(&format!("if {expression}")))
            }
            1 => {
                self.feature("if");
                self.feature("else if");
                format!(
                    "{}a{{{{ else if .user }}}}{inner}{{{{ else }}}}c{{{{ end }}}}",
                    simple(&format!("if {expression}"))
                )
            }
            2 => {
                self.feature("with");
                format!("{}{inner}{{{{ end }}}}", simple(&format!("with {expression}")))
            }
            3 => {
                self.feature("with");
                self.feature("else with");
                format!(
                    "{{{{ with {expression} }}}}[{{{{ . }}}}]{{{{ else with .user }}}}{inner}{{{{ else }}}}z{{{{ end }}}}"
                )
            }
            4 => {
                self.feature("range list");
                let list = self.list(1);
                self.feature("range else");
                format!(
                    "{{{{ range {list} }}}}{{{{ . }}}},{inner}{{{{ else }}}}none{{{{ end }}}}{{{{ {expression} }}}}"
                )
            }
            5 => {
                self.feature("range map");
                self.feature("range variables");
                let dict = self.dict(1);
                format!(
                    "{{{{ range $k, $v := {dict} }}}}{{{{ $k }}}}={{{{ $v }}}};{{{{ end }}}} {{{{ {expression} }}}}"
                )
            }
            6 => {
                self.feature("range int");
                let count = self.pick(&["3", "0", "5"]);
                format!("{{{{ range $i := {count} }}}}{{{{ $i }}}}{{{{ {expression} }}}}{{{{ end }}}}")
            }
            7 => {
                self.feature("break");
                self.feature("continue");
                format!(
                    "{{{{ range $i, $e := until 5 }}}}{{{{ if eq $i 1 }}}}{{{{ continue }}}}{{{{ end }}}}{{{{ if gt $i 2 }}}}{{{{ break }}}}{{{{ end }}}}{{{{ $i }}}}{{{{ end }}}}{{{{ {expression} }}}}"
                )
            }
            8 => {
                self.feature("define");
                self.feature("template");
                format!(
                    "{{{{ define \"t\" }}}}({{{{ . }}}}{{{{ $ }}}}){{{{ end }}}}{{{{ template \"t\" {expression} }}}}{inner}"
                )
            }
            9 => {
                self.feature("block");
                format!("{{{{ block \"b\" ({expression}) }}}}[{{{{ . }}}}]{{{{ end }}}}{inner}")
            }
            10 => {
                self.feature("variable");
                self.feature("assignment");
                format!("{{{{ $x := {expression} }}}}{{{{ $x }}}}{{{{ $x = 1 }}}}{{{{ $x }}}}{inner}")
            }
            11 => {
                self.feature("comment");
                format!("a {{{{- /* {{ }} */ -}}}} b{{{{/* c */}}}}{}", simple(expression))
            }
            12 => {
                self.feature("chained field");
                let field = self.pick(&["a", "b.c", "host", "none", "Major", "s", "Year"]);
                format!("{{{{ ({expression}).{field} }}}}")
            }
            13 => {
                self.feature("text");
                format!("line\n  {}\n\ttail }}}} é", simple(expression))
            }
            14 => {
                self.feature("pipeline");
                let next = self.pick(&[
                    "print",
                    "toJson",
                    "quote",
                    "kindOf",
                    "default 1",
                    "printf \"%v\"",
                    "len",
                    "not",
                ]);
                simple(&format!("{expression} | {next}"))
            }
            15 => format!("{{{{ {expression} | toJson }}}}{{{{ {expression} | printf \"%#v %T\" }}}}"),
            _ => {
                self.feature("action");
                simple(expression)
            }
        }
    }
}

fn kind_of(kind: Type) -> char {
    match kind {
        Type::String => 'S',
        Type::Int(_) | Type::Uint(_) => 'I',
        Type::Float => 'N',
        Type::List(_) => 'L',
        Type::Map(_) => 'D',
        Type::Time => 'T',
        _ => 'A',
    }
}
