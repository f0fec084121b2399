//! Templates of both kinds of objects: what they may use, and how long those of one object may take together.
//!
//! **Random functions and "in sync".** Upstream's controllers give a template such as `{{ randAlphaNum 16 }}` a new value
//! whenever they look at the object. Here a SealedSecret keeps its value while a proof says that nothing changed (see
//! `sealed/proof.rs`); a changed object, a changed target or a lost proof gives a new one. An ExternalSecret renders when
//! it fetches, as upstream's does: at each refresh.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use sealops_formats::Plaintext;
use sealops_template::functions::{self, FunctionSet};
use sealops_template::{Capabilities, Limits, MissingKey, Options, Template, Value, system};

/// Time that all templates of one object take together.
pub const MAX_TIME: Duration = Duration::from_secs(10);

/// What templates may use beside their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TemplateOptions {
    /// Whether there are a clock and randomness: for `now`, `randAlphaNum`, `genCA`, `bcrypt` and their kin. Each run
    /// gives other values then, which a rendered folder should not have unless that is asked for.
    pub allow_random_functions: bool,
}

/// Which upstream's rules templates follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Sealed Secrets 0.40: sprig; a missing key is no error.
    SealedSecrets,
    /// External Secrets 2.9: its own copy of sprig and more; a missing key is an error.
    ExternalSecrets,
    /// The settings of External Secrets' webhook store: the same functions; a missing key is no error.
    StoreSettings,
}

static SEALED_SECRETS: LazyLock<FunctionSet> = LazyLock::new(functions::sealed_secrets);
static EXTERNAL_SECRETS: LazyLock<FunctionSet> = LazyLock::new(functions::external_secrets);

/// Why a template gave nothing, in Go's words, without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It is no template.
    Parse(String),
    /// It failed.
    Execute(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Parse(text) | Self::Execute(text)) = self;
        f.write_str(text)
    }
}

/// Renders the templates of one object.
pub(crate) struct Renderer {
    dialect: Dialect,
    options: TemplateOptions,
    root: Value,
    started: Instant,
}

impl Renderer {
    /// Makes a renderer; `values` are dot, a `map[string]string`.
    pub(crate) fn new<'a>(
        dialect: Dialect,
        options: TemplateOptions,
        values: impl IntoIterator<Item = (&'a str, &'a Plaintext)>,
    ) -> Self {
        Self::of_root(dialect, options, Value::of_strings(values))
    }

    /// Makes a renderer with any value as dot.
    pub(crate) fn of_root(dialect: Dialect, options: TemplateOptions, root: Value) -> Self {
        Self { dialect, options, root, started: Instant::now() }
    }

    /// Renders one template. The name stands in its errors.
    pub(crate) fn render(&self, name: &str, text: &Plaintext) -> Result<Plaintext, Problem> {
        let (functions, missing_key) = match self.dialect {
            Dialect::SealedSecrets => (&SEALED_SECRETS, MissingKey::Default),
            Dialect::ExternalSecrets => (&EXTERNAL_SECRETS, MissingKey::Error),
            Dialect::StoreSettings => (&EXTERNAL_SECRETS, MissingKey::Default),
        };
        let options = Options { missing_key, ..Options::default() };
        let template = Template::parse(name, text.expose(), functions, options)
            .map_err(|error| Problem::Parse(error.to_string()))?;
        let capabilities = if self.options.allow_random_functions {
            system::capabilities()
        } else {
            Capabilities::default()
        };
        let defaults = Limits::default();
        let left = MAX_TIME.saturating_sub(self.started.elapsed());
        let limits = Limits { time: defaults.time.min(left), ..defaults };
        template.execute(&self.root, limits, capabilities).map_err(|error| {
            let hint = match error.missing_capability {
                Some(_) => "; the result would be another at each run: --allow-random-functions accepts that",
                None => "",
            };
            Problem::Execute(format!("{error}{hint}"))
        })
    }
}
