//! What the judge in `cli/tests/runner/names` does not see: limits, texts, and messages of every length.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::message::{Family, Fit, Request};
use super::resolv_conf::{ResolvConf, domain_of};
use super::*;

fn files(hosts: &str, resolv_conf: &str, nsswitch: &str) -> (tempfile::TempDir, Names) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let files = Files {
        hosts: file("hosts", hosts),
        resolv_conf: file("resolv.conf", resolv_conf),
        nsswitch: file("nsswitch.conf", nsswitch),
        hostname: file("hostname", "machine.example.org\n"),
    };
    (folder, Names::new(files))
}

#[tokio::test]
async fn files_are_read_again_and_need_not_be_there() {
    let (folder, names) = files("127.0.0.1 one\n", "", "hosts: files\n");
    assert_eq!(names.lookup("one", 80).await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
    std::fs::write(folder.path().join("hosts"), "127.0.0.2 one\n").unwrap();
    assert_eq!(names.lookup("one", 80).await.unwrap(), ["127.0.0.2:80".parse().unwrap()]);
    std::fs::remove_file(folder.path().join("hosts")).unwrap();
    let error = names.lookup("one", 80).await.unwrap_err();
    assert_eq!(error.to_string(), "lookup one: no such host");
    assert_eq!(names.lookup("localhost", 80).await.unwrap()[0].port(), 80);
}

#[tokio::test]
async fn errors_show_names_as_text() {
    let (_folder, names) = files("", "", "");
    let error = names.lookup("a\n\u{1b}[31mb", 1).await.unwrap_err();
    assert_eq!(error.to_string(), "lookup a\\n\\u{1b}[31mb: no such host");
    let error = names.lookup(&"ä".repeat(100_000), 1).await.unwrap_err();
    assert!(error.to_string().len() < 1000);
    let wrapped = io::Error::from(error);
    assert_eq!(reason(&wrapped), "no such host");
    assert_eq!(reason(&io::Error::from(io::ErrorKind::ConnectionRefused)), "connection refused");
}

#[test]
fn only_so_many_addresses_come_from_hosts() {
    let text = "127.0.0.1 many many many\n".repeat(MAX_ADDRESSES);
    assert_eq!(hosts::find(&text, "many").len(), MAX_ADDRESSES);
}

#[test]
fn options_have_limits() {
    let conf = ResolvConf::parse("options timeout:100000 attempts:99999999999999999999999 ndots:16\n");
    assert_eq!((conf.timeout, conf.attempts, conf.ndots), (Duration::from_secs(30), 5, 15));
    let conf = ResolvConf::parse("options timeout: attempts:-1 ndots:3x\n");
    assert_eq!((conf.timeout, conf.attempts, conf.ndots), (Duration::from_secs(1), 1, 3));
    let conf = ResolvConf::parse(&format!("search{}\n", " a".repeat(1000)));
    assert_eq!(conf.search.len(), 32);
    assert_eq!(ResolvConf::parse("\u{0}\u{fffd}\nnameserver\u{0}1.1.1.1"), ResolvConf::default());
}

#[test]
fn the_domain_of_this_machine_is_the_suffix_where_none_is_said() {
    assert_eq!(domain_of("machine.example.org\n").as_deref(), Some("example.org."));
    assert_eq!(domain_of("machine\n"), None);
    assert_eq!(domain_of("machine.\n"), None);
}

#[test]
fn localhost_is_this_machine() {
    for name in ["localhost", "LocalHost.", "a.localhost", "a.b.localhost."] {
        assert!(is_localhost(name), "{name}");
    }
    for name in ["", ".", "ocalhost", "mylocalhost", "localhost.a", "localhost..", "äöüäöüocalhost"] {
        assert!(!is_localhost(name), "{name}");
    }
}

#[test]
fn addresses_with_ports_are_split() {
    assert_eq!(split("a:1").unwrap(), ("a", 1));
    assert_eq!(split("[::1]:65535").unwrap(), ("::1", 65535));
    assert_eq!(split(":1").unwrap(), ("", 1));
    for text in ["", "a", "a:", "a:x", "a:65536", "::1", "::1:1", "[::1:1", "[::1]"] {
        assert!(split(text).is_err(), "{text}");
    }
}

/// RFC 6724, section 10.2, where addresses of this kind matter.
#[test]
fn the_order_is_that_of_the_rfc() {
    let best = |candidates: &[(&str, Option<&str>)]| {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let ranked = candidates.iter().min_by_key(|(to, from)| sort::rank(address(to), from.map(address)));
        ranked.unwrap().0.to_owned()
    };
    let cases = [
        [("2001:db8:1::1", Some("2001:db8:1::2")), ("198.51.100.121", Some("169.254.13.78"))],
        [("198.51.100.121", Some("198.51.100.117")), ("2001:db8:1::1", Some("fe80::1"))],
        [("2001:db8:1::1", Some("2001:db8:1::2")), ("10.1.2.3", Some("10.1.2.4"))],
        [("fe80::1", Some("fe80::2")), ("2001:db8:1::1", Some("2001:db8:1::2"))],
        [("2002:c633:6401::1", Some("2002:c633:6401::2")), ("2001:db8:1::1", Some("2002:c633:6401::2"))],
        [("2001:db8:1::1", Some("2001:db8:1::2")), ("2002:c633:6401::1", Some("2002:c633:6401::2"))],
        [("127.0.0.1", Some("127.0.0.1")), ("2001:db8::1", None)],
        [("fd00::1", Some("fd00::2")), ("fec0::1", Some("fec0::2"))],
        [("2001:db8:1:2::1", Some("2001:db8:1:2::9")), ("2001:db8:ffff::1", Some("2001:db8:1:2::9"))],
    ];
    for [first, second] in cases {
        assert_eq!(best(&[first, second]), first.0);
        assert_eq!(best(&[second, first]), first.0);
    }
}

/// An answer to `a.test`, as bytes: a chain to `b.test`, and an address.
fn answer(request: &Request) -> Vec<u8> {
    let mut bytes = request.bytes().to_vec();
    bytes.truncate(bytes.len() - 11);
    bytes[2] |= 0x80;
    bytes[3] |= 0x80;
    (bytes[7], bytes[11]) = (2, 0);
    bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 1, 0, 4, 1, b'b', 0xc0, 14]);
    bytes.extend([0xc0, 36, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 7]);
    bytes
}

#[test]
fn messages_of_every_length_and_with_every_byte_are_read() {
    let request = Request::new("a.test.", Family::V4, false).unwrap();
    let whole = answer(&request);
    assert_eq!(request.fit(&whole), Fit::Answer { cut: false });
    let found = request.addresses(&whole).unwrap();
    assert_eq!((found.addresses, found.is_broken), (vec![IpAddr::from([127, 0, 0, 7])], false));
    let mut answers = 0;
    for end in 0..whole.len() {
        let fits = matches!(request.fit(&whole[..end]), Fit::Answer { .. });
        answers += usize::from(fits && request.addresses(&whole[..end]).is_ok_and(|found| !found.is_broken));
    }
    assert_eq!(answers, 0, "a part is no answer");
    for place in 0..whole.len() {
        for byte in 0..=255 {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            let fit = request.fit(&bytes);
            let _ = request.addresses(&bytes);
            let is_same = byte == whole[place];
            if place < 2 || (12..24).contains(&place) {
                let is_case = bytes[place].eq_ignore_ascii_case(&whole[place]) && (12..20).contains(&place);
                assert_eq!(fit == Fit::Answer { cut: false }, is_same || is_case, "{place}: {byte}");
            }
        }
    }
}

#[test]
fn questions_have_numbers_of_their_own() {
    let ids: std::collections::BTreeSet<Vec<u8>> =
        (0..64).map(|_| Request::new("a.test.", Family::V6, true).unwrap().bytes()[..2].to_vec()).collect();
    assert!(ids.len() > 32, "{ids:?}");
    for name in ["a..test.", "no-dot-at-the-end", &format!("{}.", "a".repeat(64)), &"abc.".repeat(64)] {
        assert!(Request::new(name, Family::V4, false).is_none(), "{name}");
    }
}
