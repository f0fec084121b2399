//! Messages of DNS (RFC 1035, RFC 6891): a question made, and an answer judged.

use std::net::IpAddr;

use domain::base::iana::{Class, OptRcode};
use domain::base::name::{NameBuilder, ToName};
use domain::base::{Message, MessageBuilder, Name, Question, Rtype};
use domain::dep::octseq::Array;
use domain::rdata::{A, Aaaa};

use super::{MAX_ADDRESSES, Problem};

/// Largest answer over UDP that is asked for and read: it needs no fragments anywhere (dnsflagday.net/2020).
pub(super) const MAX_UDP_BYTES: usize = 1232;
/// A question with the longest name, and EDNS.
const MAX_REQUEST_BYTES: usize = 512;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// A question on its way. Each one has a number of its own.
pub(super) struct Request {
    id: u16,
    question: Question<Name<Array<255>>>,
    bytes: Array<MAX_REQUEST_BYTES>,
}

/// How a message fits a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is its answer; `cut` says that not all of it is there.
    Answer { cut: bool },
    /// It is an answer with more than one question.
    Crowded,
    /// It answers something else.
    Foreign,
    /// It is no message.
    Unreadable,
}

/// The addresses of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    /// The answer makes no sense from some place on.
    pub(super) is_broken: bool,
}

impl Request {
    /// Asks for the addresses of a name that ends with a dot.
    pub(super) fn new(name: &str, family: Family, trust_ad: bool) -> Option<Self> {
        let rtype = match family {
            Family::V4 => Rtype::A,
            Family::V6 => Rtype::AAAA,
        };
        let question = Question::new(wire_name(name)?, rtype, Class::IN);
        let mut id = [0; 2];
        getrandom::fill(&mut id).ok()?;
        let id = u16::from_be_bytes(id);
        let mut message = MessageBuilder::from_target(Array::<MAX_REQUEST_BYTES>::default()).ok()?;
        let header = message.header_mut();
        header.set_id(id);
        header.set_rd(true);
        header.set_ad(trust_ad);
        let mut message = message.question();
        message.push(&question).ok()?;
        let mut message = message.additional();
        message
            .opt(|opt| {
                opt.set_udp_payload_size(MAX_UDP_BYTES as u16);
                Ok(())
            })
            .ok()?;
        Some(Self { id, question, bytes: message.finish() })
    }

    /// The message, without the length that precedes it over TCP.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Compares a message with the question.
    pub(super) fn fit(&self, bytes: &[u8]) -> Fit {
        let Ok(message) = Message::from_octets(bytes) else { return Fit::Unreadable };
        let Some(Ok(asked)) = message.question().next() else { return Fit::Unreadable };
        let header = message.header();
        let is_answer = header.qr()
            && header.id() == self.id
            && asked.qtype() == self.question.qtype()
            && asked.qclass() == self.question.qclass()
            && asked.qname().name_eq(self.question.qname());
        match message.header_counts().qdcount() {
            _ if !is_answer => Fit::Foreign,
            1 => Fit::Answer { cut: header.tc() },
            _ => Fit::Crowded,
        }
    }

    /// Takes the addresses from an answer that fits. They need not be those of the name itself: names of a chain precede
    /// them, which whoever was asked has followed.
    pub(super) fn addresses(&self, bytes: &[u8]) -> Result<Found, Problem> {
        let message = Message::from_octets(bytes).map_err(|_| Problem::Unreadable)?;
        check(&message)?;
        let mut is_answered = false;
        let mut found = Found::default();
        for record in message.answer().map_err(|_| Problem::Unreadable)? {
            let Ok(record) = record else {
                found.is_broken = true;
                break;
            };
            is_answered |= record.rtype() == self.question.qtype();
            let address = match record.rtype() {
                Rtype::A => record.to_record::<A>().map(|a| a.map(|a| IpAddr::V4(a.data().addr()))),
                Rtype::AAAA => record.to_record::<Aaaa>().map(|a| a.map(|a| IpAddr::V6(a.data().addr()))),
                _ => continue,
            };
            let Ok(address) = address else {
                found.is_broken = true;
                break;
            };
            found.addresses.extend(address.map(|address| address.to_canonical()));
            if found.addresses.len() >= MAX_ADDRESSES {
                break;
            }
        }
        match (is_answered, found.is_broken) {
            (true, _) => Ok(found),
            (false, true) => Err(Problem::Unreadable),
            (false, false) => Err(Problem::NoSuchHost),
        }
    }
}

/// Judges the code of an answer, and whether there is anything in it.
fn check(message: &Message<&[u8]>) -> Result<(), Problem> {
    let code = message.opt_rcode();
    if code == OptRcode::NXDOMAIN {
        return Err(Problem::NoSuchHost);
    }
    let mut answers = message.answer().map_err(|_| Problem::Unreadable)?;
    let is_empty = match answers.next() {
        None => true,
        Some(Ok(_)) => false,
        Some(Err(_)) => return Err(Problem::Unreadable),
    };
    let header = message.header();
    if code != OptRcode::NOERROR {
        return Err(Problem::Misbehaving);
    }
    let says_more = || message.additional().is_ok_and(|mut rest| matches!(rest.next(), Some(Ok(_))));
    if is_empty && !header.aa() && !header.ra() && !says_more() {
        return Err(Problem::LameReferral);
    }
    Ok(())
}

fn wire_name(name: &str) -> Option<Name<Array<255>>> {
    let mut builder = NameBuilder::<Array<255>>::new();
    for label in name.strip_suffix('.')?.split('.').filter(|_| name != ".") {
        if label.is_empty() {
            return None;
        }
        builder.append_label(label.as_bytes()).ok()?;
    }
    builder.into_name().ok()
}
