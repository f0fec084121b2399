//! Encrypting and decrypting all leaves of a tree, in pieces that the caller may spread over threads.

use std::mem;

use sealops_formats::Plaintext;
use sealops_formats::tree::{Comment, Item, Node, Scalar, WrongPlainBytes};

use super::stash::type_named;
use super::value::{NonceBytes, Opened, ValueCipher, ValueError};
use super::walk::{Leaf, Leaves, Slot};

/// Values of one piece: large enough that a thread is worth it.
const CHUNK_LEAVES: usize = 2048;

/// Runs independent pieces of work. This crate has no threads; the caller may have some.
pub trait Executor {
    /// Runs every chunk, in any order.
    fn run(&self, chunks: &mut [Chunk<'_, '_>]);
}

/// Runs the chunks one after the other.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inline;

impl Executor for Inline {
    fn run(&self, chunks: &mut [Chunk<'_, '_>]) {
        for chunk in chunks {
            chunk.run();
        }
    }
}

/// Some leaves of a file and what shall be done with them.
pub struct Chunk<'a, 't> {
    leaves: &'a mut [Leaf<'t>],
    plans: &'a mut [Plan],
    paths: &'a [u8],
    cipher: &'a ValueCipher,
    encrypt: bool,
    done: bool,
    /// Position of the first leaf that failed, and why.
    failure: Option<(usize, ValueError)>,
}

/// What is known about one leaf beside its place in the tree.
#[derive(Default)]
pub(super) struct Plan {
    /// Encryption: the nonce to use. Decryption: the nonce that was found.
    pub(super) nonce: Option<NonceBytes>,
    /// Encryption: the type to write, where it is not the scalar's own. Decryption: the type that was found.
    pub(super) type_name: Option<&'static str>,
    pub(super) note: Option<Note>,
}

/// Something that is accepted and should be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// A comment that should be encrypted was not.
    PlainComment,
    /// A value in a map says that it is a comment. It is not hashed.
    CommentAsValue,
    /// Text after the closing bracket.
    Trailing,
}

impl Chunk<'_, '_> {
    /// Does the work. Stops at the first leaf that fails.
    pub fn run(&mut self) {
        self.done = true;
        for (index, (leaf, plan)) in self.leaves.iter_mut().zip(self.plans.iter_mut()).enumerate() {
            if !leaf.encrypted {
                continue;
            }
            let aad = &self.paths[leaf.path.clone()];
            let result = if self.encrypt {
                encrypt(leaf, plan, aad, self.cipher)
            } else {
                decrypt(leaf, plan, aad, self.cipher)
            };
            if let Err(error) = result {
                self.failure = Some((index, error));
                return;
            }
        }
    }
}

/// Runs the work over all leaves; returns the first failure in document order with the position of its leaf.
pub(super) fn run(
    leaves: &mut Leaves<'_>,
    plans: &mut [Plan],
    cipher: &ValueCipher,
    encrypt: bool,
    executor: &dyn Executor,
) -> Result<(), (usize, ValueError)> {
    let paths = leaves.paths.as_slice();
    let pieces = leaves.leaves.chunks_mut(CHUNK_LEAVES).zip(plans.chunks_mut(CHUNK_LEAVES));
    let mut chunks: Vec<Chunk<'_, '_>> = pieces
        .map(|(leaves, plans)| Chunk { leaves, plans, paths, cipher, encrypt, done: false, failure: None })
        .collect();
    executor.run(&mut chunks);
    for (number, chunk) in chunks.iter_mut().enumerate() {
        if !chunk.done {
            chunk.run();
        }
        if let Some((index, error)) = chunk.failure {
            return Err((number * CHUNK_LEAVES + index, error));
        }
    }
    Ok(())
}

/// Where it fails, the leaf may have lost its value: the file as a whole has failed then.
fn encrypt(leaf: &mut Leaf<'_>, plan: &Plan, aad: &[u8], cipher: &ValueCipher) -> Result<(), ValueError> {
    let nonce = plan.nonce.as_ref().ok_or(ValueError::NonceLength(0))?;
    match &mut leaf.slot {
        Slot::Comment(comment) => {
            if !comment.text.is_empty() {
                let text = mem::take(&mut comment.text);
                comment.text = cipher.encrypt(text, "comment", aad, nonce)?.into();
            }
        }
        Slot::Item(item) if matches!(item, Item::Comment(_)) => {
            let Item::Comment(comment) = item else { return Ok(()) };
            // SOPS writes an empty comment of a list as an element "", which stays one: one blank is read back by both.
            let text =
                if comment.text.is_empty() { Plaintext::from(" ") } else { mem::take(&mut comment.text) };
            let text = cipher.encrypt(text, "comment", aad, nonce)?;
            **item = Item::Node(Node::Scalar(Scalar::Str(text.into())));
        }
        Slot::Node(Node::Scalar(scalar)) | Slot::Item(Item::Node(Node::Scalar(scalar))) => {
            let type_name = plan.type_name.unwrap_or(scalar.type_name());
            let bytes = scalar.take_plain_bytes().map_err(|_| ValueError::UnknownType)?;
            if !bytes.is_empty() {
                *scalar = Scalar::Str(cipher.encrypt(bytes, type_name, aad, nonce)?.into());
            }
        }
        Slot::Node(_) | Slot::Item(_) => {}
    }
    Ok(())
}

fn decrypt(leaf: &mut Leaf<'_>, plan: &mut Plan, aad: &[u8], cipher: &ValueCipher) -> Result<(), ValueError> {
    if let Some(comment) = leaf.comment() {
        if comment.text.is_empty() {
            return Ok(());
        }
        match cipher.decrypt(comment.text.expose(), aad) {
            Ok(Opened { bytes, nonce, .. }) => {
                plan.nonce = nonce;
                plan.type_name = Some("comment");
                match &mut leaf.slot {
                    Slot::Comment(comment) => comment.text = bytes,
                    Slot::Item(Item::Comment(comment)) => comment.text = bytes,
                    _ => {}
                }
            }
            // Old versions left comments as they were.
            Err(_) => plan.note = Some(Note::PlainComment),
        }
        return Ok(());
    }
    let Some(scalar) = leaf.scalar() else { return Ok(()) };
    let Scalar::Str(text) = scalar else { return Err(ValueError::NotText(scalar.go_type())) };
    if text.is_empty() {
        return Ok(());
    }
    let Opened { bytes, type_name, nonce, trailing } = cipher.decrypt(text.expose(), aad)?;
    plan.nonce = nonce;
    plan.note = trailing.then_some(Note::Trailing);
    let type_name = type_named(type_name).ok_or(ValueError::UnknownType)?;
    plan.type_name = Some(type_name);
    let decrypted = match type_name {
        "comment" => {
            place_comment(leaf, plan, bytes);
            return Ok(());
        }
        _ => Scalar::from_plain_bytes(type_name, bytes).map_err(|error| match error {
            WrongPlainBytes::Malformed(what) => ValueError::Malformed(what),
            WrongPlainBytes::UnknownType => ValueError::UnknownType,
        })?,
    };
    match &mut leaf.slot {
        Slot::Node(node) => **node = Node::Scalar(decrypted),
        Slot::Item(item) => **item = Item::Node(Node::Scalar(decrypted)),
        Slot::Comment(_) => {}
    }
    Ok(())
}

/// Puts a decrypted comment into its list. In a map there is no place for it: someone changed the type, which the MAC
/// notices because it is not hashed.
fn place_comment(leaf: &mut Leaf<'_>, plan: &mut Plan, text: Plaintext) {
    match &mut leaf.slot {
        Slot::Item(item) => **item = Item::Comment(Comment { text, inline: false }),
        Slot::Node(node) => {
            plan.note = Some(Note::CommentAsValue);
            **node = Node::Scalar(Scalar::Str(text));
        }
        Slot::Comment(_) => {}
    }
}
