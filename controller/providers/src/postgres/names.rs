//! Names of settings: those that count, those that are known and refused, and their variables.

/// Settings and their variables (`Config` of lib/pq's connector.go).
pub(super) const VARIABLES: &[(&str, &str)] = &[
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("options", "PGOPTIONS"),
    ("application_name", "PGAPPNAME"),
    ("sslmode", "PGSSLMODE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("client_encoding", "PGCLIENTENCODING"),
    ("datestyle", "PGDATESTYLE"),
    ("TimeZone", "PGTZ"),
    ("geqo", "PGGEQO"),
    ("passfile", "PGPASSFILE"),
    ("service", "PGSERVICE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslsni", "PGSSLSNI"),
    ("krbsrvname", "PGKRBSRVNAME"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("min_protocol_version", "PGMINPROTOCOLVERSION"),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION"),
    ("ssl_min_protocol_version", "SSLPGMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "SSLPGMAXPROTOCOLVERSION"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("gssencmode", "PGGSSENCMODE"),
    ("require_auth", "PGREQUIREAUTH"),
    ("requirepeer", "PGREQUIREPEER"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("sslcertmode", "PGSSLCERTMODE"),
];

/// Known to lib/pq or libpq and not to us, beside those that have a variable.
const UNSUPPORTED: &[&str] = &[
    "sslinline",
    "krbspn",
    "sslpassword",
    "gsslib",
    "replication",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
];

/// Sent to the server for the session.
pub(super) const RUNTIME: &[&str] = &["search_path", "statement_timeout", "lock_timeout", "TimeZone", "geqo"];

/// Returns the name of a setting that PostgreSQL has, as we write it.
pub(super) fn known(name: &str) -> Option<&'static str> {
    let others = ["fallback_application_name"];
    match name {
        "database" => Some("dbname"),
        "tz" => Some("TimeZone"),
        _ => VARIABLES
            .iter()
            .map(|(known, _)| known)
            .chain(UNSUPPORTED)
            .chain(RUNTIME)
            .chain(&others)
            .find(|known| known.eq_ignore_ascii_case(name))
            .copied(),
    }
}

/// Returns whether a setting counts here.
pub(super) fn is_supported(name: &str) -> bool {
    let settings = [
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "options",
        "application_name",
        "sslmode",
        "sslcert",
        "sslkey",
        "sslrootcert",
        "connect_timeout",
        "client_encoding",
        "datestyle",
    ];
    settings.contains(&name) || RUNTIME.contains(&name)
}
