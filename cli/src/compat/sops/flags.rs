//! The commands and flags of sops 3.13.3.

use crate::compat::urfave::{App, Command, Flag, Kind};

/// The version whose behaviour this is.
pub(super) const VERSION: &str = "3.13.3";

const fn switch(names: &'static [&'static str], usage: &'static str) -> Flag {
    Flag { names, kind: Kind::Bool, variable: None, usage }
}

const fn text(names: &'static [&'static str], usage: &'static str) -> Flag {
    Flag { names, kind: Kind::Text(""), variable: None, usage }
}

const fn texts(names: &'static [&'static str], usage: &'static str) -> Flag {
    Flag { names, kind: Kind::Texts, variable: None, usage }
}

const fn from(variable: &'static str, flag: Flag) -> Flag {
    Flag { variable: Some(variable), ..flag }
}

static KEY_SERVICE: &[Flag] = &[
    Flag {
        names: &["enable-local-keyservice"],
        kind: Kind::BoolOn,
        variable: Some("SOPS_ENABLE_LOCAL_KEYSERVICE"),
        usage: "use the keys of this machine",
    },
    from(
        "SOPS_KEYSERVICE",
        texts(&["keyservice"], "key service to ask too, as tcp://host:port or unix:///path; may be repeated"),
    ),
];

static ORDER: &[Flag] = &[from(
    "SOPS_DECRYPTION_ORDER",
    text(&["decryption-order"], "key types to try, in this order, separated by commas"),
)];

static TYPES: &[Flag] = &[
    text(&["input-type"], "format of the input: yaml, json, dotenv, ini or binary; else by the file's name"),
    text(&["output-type"], "format of the output: yaml, json, dotenv, ini or binary; else that of the input"),
];

static KEYS: &[Flag] = &[
    from("SOPS_KMS_ARN", text(&["kms", "k"], "ARNs of AWS KMS keys, separated by commas")),
    text(&["aws-profile"], "AWS profile for requests to AWS"),
    from("SOPS_GCP_KMS_IDS", text(&["gcp-kms"], "resource IDs of Google KMS keys, separated by commas")),
    from(
        "SOPS_HUAWEICLOUD_KMS_IDS",
        text(&["hckms"], "Huawei KMS keys as region:key-uuid, separated by commas"),
    ),
    from(
        "SOPS_AZURE_KEYVAULT_URLS",
        text(&["azure-kv"], "URLs of Azure Key Vault keys, separated by commas"),
    ),
    from("SOPS_VAULT_URIS", text(&["hc-vault-transit"], "URIs of Vault transit keys, separated by commas")),
    from("SOPS_PGP_FP", text(&["pgp", "p"], "fingerprints of PGP keys, separated by commas")),
    from("SOPS_AGE_RECIPIENTS", text(&["age", "a"], "age recipients, separated by commas")),
];

static SELECTORS: &[Flag] = &[
    text(&["unencrypted-suffix"], "leave values under keys with this ending readable"),
    text(&["encrypted-suffix"], "encrypt only values under keys with this ending"),
    text(&["unencrypted-regex"], "leave values under matching keys readable"),
    text(&["encrypted-regex"], "encrypt only values under matching keys"),
];

static CONTEXT: &[Flag] =
    &[text(&["encryption-context"], "AWS KMS encryption context as key:value, separated by commas")];

static THRESHOLD: &[Flag] = &[Flag {
    names: &["shamir-secret-sharing-threshold"],
    kind: Kind::Number,
    variable: None,
    usage: "key groups that are needed to open the file",
}];

static IN_PLACE: &[Flag] = &[switch(&["in-place", "i"], "write back to the file instead of to stdout")];
static OUTPUT: &[Flag] = &[text(&["output"], "write to this file instead of to stdout")];
static EXTRACT: &[Flag] = &[text(&["extract"], "print only this key or branch, such as '[\"key\"][0]'")];
static IGNORE_MAC: &[Flag] = &[switch(&["ignore-mac"], "do not check the file's MAC")];
static OVERRIDE: &[Flag] =
    &[text(&["filename-override"], "take this name for rules and formats; needed to encrypt from stdin")];
static SHOW_KEYS: &[Flag] = &[switch(&["show-master-keys", "s"], "show the master keys while editing")];
static VERBOSE: &[Flag] = &[switch(&["verbose"], "tell more")];
static YES: &[Flag] = &[switch(&["yes", "y"], "do not ask")];
static INPUT_TYPE: &[Flag] = &[text(&["input-type"], "format of the file; else by its name")];
static IDEMPOTENT: &[Flag] = &[switch(&["idempotent"], "write nothing if nothing changes")];
static VALUE: &[Flag] = &[
    switch(&["value-file"], "the value argument is a file that holds the value"),
    switch(&["value-stdin"], "read the value from stdin"),
];

static ADD_AND_REMOVE: &[Flag] = &[
    text(&["add-gcp-kms"], "add Google KMS keys"),
    text(&["rm-gcp-kms"], "remove Google KMS keys"),
    text(&["add-hckms"], "add Huawei KMS keys"),
    text(&["rm-hckms"], "remove Huawei KMS keys"),
    text(&["add-azure-kv"], "add Azure Key Vault keys"),
    text(&["rm-azure-kv"], "remove Azure Key Vault keys"),
    text(&["add-kms"], "add AWS KMS keys"),
    text(&["rm-kms"], "remove AWS KMS keys"),
    text(&["add-hc-vault-transit"], "add Vault transit keys"),
    text(&["rm-hc-vault-transit"], "remove Vault transit keys"),
    text(&["add-age"], "add age recipients"),
    text(&["rm-age"], "remove age recipients"),
    text(&["add-pgp"], "add PGP fingerprints"),
    text(&["rm-pgp"], "remove PGP fingerprints"),
];

static BACKGROUND: &[Flag] = &[switch(&["background"], "do not wait for the command (deprecated)")];
static USER: &[Flag] = &[text(&["user"], "run the command as this user")];

static GROUP_FILE: &[Flag] = &[text(&["file", "f"], "the file to change")];
static GROUP_KEYS: &[Flag] = &[
    texts(&["pgp"], "PGP fingerprint of the new group; may be repeated"),
    texts(&["kms"], "AWS KMS ARN of the new group; may be repeated"),
    text(&["aws-profile"], "AWS profile for requests to AWS"),
    texts(&["gcp-kms"], "Google KMS resource ID of the new group; may be repeated"),
    texts(&["hckms"], "Huawei KMS key of the new group; may be repeated"),
    texts(&["azure-kv"], "Azure Key Vault URL of the new group; may be repeated"),
    texts(&["hc-vault-transit"], "Vault transit URI of the new group; may be repeated"),
    texts(&["age"], "age recipient of the new group; may be repeated"),
];

const fn command(
    name: &'static str,
    usage: &'static str,
    arguments: &'static str,
    flags: &'static [&'static [Flag]],
) -> Command {
    Command { name, usage, arguments, flags, commands: &[] }
}

const fn group(name: &'static str, usage: &'static str, commands: &'static [Command]) -> Command {
    Command { name, usage, arguments: "", flags: &[], commands }
}

static COMMANDS: &[Command] = &[
    group(
        "completion",
        "print completions for a shell",
        &[
            command("bash", "completions for bash: source <(sops completion bash)", "", &[]),
            command("zsh", "completions for zsh: source <(sops completion zsh)", "", &[]),
        ],
    ),
    command(
        "exec-env",
        "run a command with the decrypted values in its environment",
        "[file to decrypt] [command to run]",
        &[
            BACKGROUND,
            &[switch(&["pristine"], "pass the decrypted values only, not the present environment")],
            USER,
            &[switch(&["same-process"], "become the command instead of starting it")],
            ORDER,
            KEY_SERVICE,
        ],
    ),
    command(
        "exec-file",
        "run a command with the decrypted content as a temporary file, {}",
        "[file to decrypt] [command to run]",
        &[
            BACKGROUND,
            &[switch(&["no-fifo"], "use a regular file instead of a pipe")],
            USER,
            TYPES,
            &[text(&["filename"], "name of the temporary file")],
            ORDER,
            KEY_SERVICE,
        ],
    ),
    command(
        "publish",
        "send a file, or a folder, to its destination by the configuration",
        "file",
        &[
            YES,
            &[
                switch(&["omit-extensions"], "leave the extension out of the destination's name"),
                switch(&["recursive"], "send everything in a folder"),
            ],
            VERBOSE,
            ORDER,
            KEY_SERVICE,
        ],
    ),
    command(
        "keyservice",
        "serve the keys of this machine to SOPS on another one",
        "",
        &[
            &[
                Flag {
                    names: &["network", "net"],
                    kind: Kind::Text("tcp"),
                    variable: None,
                    usage: "tcp or unix",
                },
                Flag {
                    names: &["address", "addr"],
                    kind: Kind::Text("127.0.0.1:5000"),
                    variable: None,
                    usage: "address or socket to listen on",
                },
                switch(&["prompt"], "ask before each answer"),
            ],
            VERBOSE,
        ],
    ),
    command("filestatus", "tell whether a file is encrypted", "file", &[INPUT_TYPE]),
    group(
        "groups",
        "add and remove key groups",
        &[
            command(
                "add",
                "add a key group to a file",
                "",
                &[GROUP_FILE, GROUP_KEYS, IN_PLACE, THRESHOLD, CONTEXT, KEY_SERVICE],
            ),
            command(
                "delete",
                "remove a key group from a file",
                "[index]",
                &[GROUP_FILE, IN_PLACE, THRESHOLD, KEY_SERVICE],
            ),
        ],
    ),
    command(
        "updatekeys",
        "give files the keys that the configuration names",
        "file",
        &[YES, INPUT_TYPE, KEY_SERVICE],
    ),
    command(
        "decrypt",
        "decrypt a file, or stdin",
        "[file]",
        &[IN_PLACE, EXTRACT, OUTPUT, TYPES, IGNORE_MAC, OVERRIDE, ORDER, KEY_SERVICE],
    ),
    command(
        "encrypt",
        "encrypt a file, or stdin",
        "[file]",
        &[IN_PLACE, OUTPUT, KEYS, TYPES, SELECTORS, CONTEXT, THRESHOLD, OVERRIDE, KEY_SERVICE],
    ),
    command(
        "rotate",
        "encrypt all values anew under a new data key",
        "file",
        &[IN_PLACE, OUTPUT, TYPES, CONTEXT, ADD_AND_REMOVE, OVERRIDE, ORDER, KEY_SERVICE],
    ),
    command(
        "edit",
        "edit an encrypted file",
        "file",
        &[KEYS, TYPES, SELECTORS, CONTEXT, THRESHOLD, SHOW_KEYS, IGNORE_MAC, ORDER, KEY_SERVICE],
    ),
    command(
        "set",
        "set a key or branch of a file to a JSON value: file '[\"key\"][0]' '{\"a\": true}'",
        "file index [ value ]",
        &[TYPES, VALUE, THRESHOLD, IGNORE_MAC, ORDER, IDEMPOTENT, KEY_SERVICE],
    ),
    command(
        "unset",
        "remove a key or branch from a file",
        "file index",
        &[TYPES, THRESHOLD, IGNORE_MAC, ORDER, IDEMPOTENT, KEY_SERVICE],
    ),
];

/// Flags in front of a command, and those of the old style without one (`sops -d file`).
static GLOBAL: &[&[Flag]] = &[
    &[
        switch(&["decrypt", "d"], "decrypt a file to stdout"),
        switch(&["encrypt", "e"], "encrypt a file to stdout"),
        switch(&["rotate", "r"], "encrypt all values anew under a new data key"),
        from(
            "SOPS_DISABLE_VERSION_CHECK",
            switch(&["disable-version-check"], "accepted: nothing here asks for newer versions"),
        ),
        switch(&["check-for-updates"], "accepted: nothing here asks for newer versions"),
    ],
    KEYS,
    IN_PLACE,
    EXTRACT,
    TYPES,
    SHOW_KEYS,
    ADD_AND_REMOVE,
    IGNORE_MAC,
    &[switch(&["mac-only-encrypted"], "compute the MAC over encrypted values only")],
    SELECTORS,
    &[
        text(&["unencrypted-comment-regex"], "leave values under matching comments readable"),
        text(&["encrypted-comment-regex"], "encrypt only values under matching comments"),
        from(
            "SOPS_CONFIG",
            text(&["config"], "configuration file; without it, .sops.yaml is searched upwards"),
        ),
    ],
    CONTEXT,
    &[text(&["set"], "set a key or branch to a JSON value, in one argument: '[\"key\"][0] {\"a\": true}'")],
    THRESHOLD,
    &[Flag {
        names: &["indent"],
        kind: Kind::Number,
        variable: None,
        usage: "spaces per level in YAML and JSON",
    }],
    VERBOSE,
    OUTPUT,
    OVERRIDE,
    ORDER,
    KEY_SERVICE,
];

/// The program.
pub(super) static APP: App = App {
    name: "sops",
    usage: "opens, edits and closes encrypted files (sealops)",
    text: "sops [global options] command [command options] [arguments...]\n   sops [global options] file\n\n   \
           Keys come from flags, from SOPS_* variables or from the creation rules of .sops.yaml. Without a command the\n   \
           file is opened in an editor ($SOPS_EDITOR, $EDITOR, vim, nano, vi). Global options stand in front of the\n   \
           command; options behind the file are taken for arguments where there is no command.",
    version: VERSION,
    flags: GLOBAL,
    commands: COMMANDS,
};
