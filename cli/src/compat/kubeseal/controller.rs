//! The modes that ask the controller: `--validate` and `--re-encrypt`.

use std::path::{Path, PathBuf};

use sealops_controller::pflag::Parsed;
use sealops_formats::Plaintext;
use sealops_formats::manifest::{self, Source, Syntax};

use super::{format, read, write};
use crate::certificates::CertificateFlags;
use crate::connection::{ConnectionFlags, Controller};
use crate::error::CommandError;
use crate::resealing::{Sealer, reseal};
use crate::sealed_file::{SealedFile, write_back};
use crate::sealing::Format;

/// Says nothing when every SealedSecret opens; the first that does not is the error.
pub(super) fn validate(
    flags: &Parsed,
    source: &CertificateFlags,
    connection: &ConnectionFlags,
) -> Result<(), CommandError> {
    let controller = Controller::find(connection, &source.controller_namespace, &source.controller_name)?;
    let file = SealedFile::read(read(flags, "json/yaml k8s resource")?)?;
    file.check_not_empty()?;
    for object in &file.objects {
        let body = serde_json::to_vec(&object.sealed).map_err(CommandError::input)?;
        let answer = controller.verify(&body)?;
        if answer.status == 409 {
            return Err(CommandError::input(format!("unable to decrypt sealed secret: {}", object.name())));
        }
        if !answer.is_success() {
            let text = format!("cannot validate sealed secret: {}", controller.refusal(&answer));
            return Err(CommandError::connection(text));
        }
    }
    Ok(())
}

/// Seals the values anew and leaves everything else as it is.
pub(super) fn re_encrypt(
    flags: &Parsed,
    source: &CertificateFlags,
    connection: &ConnectionFlags,
) -> Result<(), CommandError> {
    let asked = format(flags)?;
    let controller = Controller::find(connection, &source.controller_namespace, &source.controller_name)?;
    let file = SealedFile::read(read(flags, "json/yaml k8s resource")?)?;
    file.check_not_empty()?;
    let objects: Vec<_> = file.objects.iter().collect();
    let mut edits = Vec::new();
    for (object, resealed) in objects.iter().zip(reseal(&objects, &Sealer::Controller(&controller))) {
        edits.extend(resealed?.edits(object, None));
    }
    let text = file.edited(&edits)?;
    if flags.non_empty("sealed-secret-file").is_none()
        && let Some(path) = flags.non_empty("secret-file").map(PathBuf::from)
    {
        return in_place(&path, &file, &text);
    }
    write(flags, in_format(&text, asked)?.expose())
}

fn in_place(path: &Path, file: &SealedFile, text: &Plaintext) -> Result<(), CommandError> {
    match path.metadata().is_ok_and(|found| found.is_file()) {
        true => write_back(path, &file.input, text),
        // A pipe, such as /dev/stdin, cannot be written back to.
        false => Err(CommandError::input("this is no file that could be written")
            .within(path.display())
            .hint("-w FILE says where to write")),
    }
}

/// Returns the text as it is where it has the format already, else every object of it in kubeseal's layout.
fn in_format(text: &Plaintext, format: Format) -> Result<Plaintext, CommandError> {
    let syntax = Source::parse(text.expose()).map_err(CommandError::input)?.syntax();
    if (syntax == Syntax::Json) == (format == Format::Json) {
        return Ok(text.duplicate());
    }
    let documents = manifest::parse(text.expose()).map_err(CommandError::input)?;
    let roots: Vec<_> = documents.into_iter().map(|document| document.root).collect();
    Ok(format.text(&roots))
}
