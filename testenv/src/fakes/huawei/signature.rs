//! SDK-HMAC-SHA256, computed again.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

use super::super::https::Request;

/// Seconds that a request's time may be off.
const WINDOW: i64 = 15 * 60;

/// Who has an access key.
pub(super) struct Asker {
    pub(super) secret: &'static str,
    pub(super) token: Option<&'static str>,
}

/// Returns whether a request was signed by somebody known, lately, and as it is.
pub(super) fn is_right(request: &Request, now: i64, known: &dyn Fn(&str) -> Option<Asker>) -> bool {
    check(request, now, known).is_some()
}

fn check(request: &Request, now: i64, known: &dyn Fn(&str) -> Option<Asker>) -> Option<()> {
    let rest = request.header("authorization")?.strip_prefix("SDK-HMAC-SHA256 Access=")?;
    let (access, rest) = rest.split_once(", SignedHeaders=")?;
    let (names, signature) = rest.split_once(", Signature=")?;
    let asker = known(access)?;
    let date = request.header("x-sdk-date")?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let signed: Vec<&str> = names.split(';').collect();
    // What changes a request's meaning has to be signed.
    let wanted = request.names().filter(|name| name.starts_with("x-")).all(|name| signed.contains(&name));
    let fits = (now - time).abs() <= WINDOW
        && signed.is_sorted()
        && wanted
        && signed.contains(&"x-sdk-date")
        && request.header("x-security-token") == asker.token;
    let headers: Option<String> =
        signed.iter().map(|name| Some(format!("{name}:{}\n", request.header(name)?.trim()))).collect();
    let mut query: Vec<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let canonical = format!(
        "{}\n{}/\n{}\n{}\n{names}\n{}",
        request.method,
        request.path.trim_end_matches('/'),
        query.join("&"),
        headers?,
        hex(digest(&SHA256, &request.body).as_ref())
    );
    let text = format!("SDK-HMAC-SHA256\n{date}\n{}", hex(digest(&SHA256, canonical.as_bytes()).as_ref()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, asker.secret.as_bytes());
    let right = hex(hmac::sign(&key, text.as_bytes()).as_ref());
    (fits && verify_slices_are_equal(right.as_bytes(), signature.as_bytes()).is_ok()).then_some(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_735_689_599;
    // Of Python's hashlib and hmac.
    const SIGNATURE: &str = "74560dd189ff84665447ff3b99ccb62604d64d3c89c412c131bac8a5f805a06c";

    fn request(signature: &str, host: &str, body: &str) -> Request {
        let authorization = format!(
            "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host;x-project-id;x-sdk-date, Signature={signature}"
        );
        Request::of(
            "POST",
            "/v1.0/p1/kms/encrypt-data",
            &[
                ("authorization", &authorization),
                ("host", host),
                ("x-project-id", "p1"),
                ("x-sdk-date", "20241231T235959Z"),
            ],
            body,
        )
    }

    #[test]
    fn a_signature_is_of_one_request_one_secret_and_one_time() {
        const HOST: &str = "kms.eu-west-101.myhuaweicloud.eu";
        let known = |secret: &'static str, token| {
            move |access: &str| (access == "AK").then_some(Asker { secret, token })
        };
        let right = request(SIGNATURE, HOST, "{}");
        assert!(is_right(&right, NOW, &known("hunter2", None)));
        assert!(is_right(&right, NOW + WINDOW, &known("hunter2", None)));
        for time in [NOW + WINDOW + 1, NOW - WINDOW - 1] {
            assert!(!is_right(&right, time, &known("hunter2", None)));
        }
        assert!(!is_right(&right, NOW, &known("other", None)));
        assert!(!is_right(&right, NOW, &known("hunter2", Some("token"))));
        assert!(!is_right(&right, NOW, &|_| None));
        assert!(!is_right(&request(SIGNATURE, "evil.example", "{}"), NOW, &known("hunter2", None)));
        assert!(!is_right(&request(SIGNATURE, HOST, "{ }"), NOW, &known("hunter2", None)));
        let other = format!("0{}", &SIGNATURE[1..]);
        assert_ne!(other, SIGNATURE);
        assert!(!is_right(&request(&other, HOST, "{}"), NOW, &known("hunter2", None)));
    }
}
