//! Conditions in a path: comparisons of what is found below an element with a constant.

use sealops_formats::Plaintext;

use super::jsonpath::{Found, Path, PathError, double, quoted};
use crate::json::Json;

/// Comparisons of one condition, at most.
const MAX_COMPARISONS: usize = 32;

/// A condition: any of several groups, of which all parts have to hold.
pub(super) struct Filter {
    any: Vec<Vec<Comparison>>,
}

struct Comparison {
    path: Path,
    /// `None` asks for a true value.
    with: Option<(Operator, Constant)>,
}

#[derive(Clone, Copy)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

enum Constant {
    Text(Plaintext),
    Number(f64),
    Bool(bool),
    Null,
}

const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// Reads a condition up to its closing parenthesis; returns what follows.
pub(super) fn parse(text: &str) -> Result<(Filter, &str), PathError> {
    let mut any = vec![Vec::new()];
    let mut rest = text;
    for _ in 0..MAX_COMPARISONS {
        let (comparison, after) = comparison(rest.trim_start())?;
        if let Some(all) = any.last_mut() {
            all.push(comparison);
        }
        rest = after.trim_start();
        if let Some(after) = rest.strip_prefix("&&") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("||") {
            any.push(Vec::new());
            rest = after;
        } else {
            return Ok((Filter { any }, rest));
        }
    }
    Err(PathError::Parse("the condition has too many parts"))
}

fn comparison(text: &str) -> Result<(Comparison, &str), PathError> {
    let rest = text.strip_prefix('@').ok_or(PathError::Parse("a condition begins with @"))?;
    let (path, rest) = Path::parse_relative(rest)?;
    let rest = rest.trim_start();
    let Some((sign, operator)) = OPERATORS.into_iter().find(|(sign, _)| rest.starts_with(sign)) else {
        return Ok((Comparison { path, with: None }, rest));
    };
    let (constant, rest) = constant(rest[sign.len()..].trim_start())?;
    Ok((Comparison { path, with: Some((operator, constant)) }, rest))
}

fn constant(text: &str) -> Result<(Constant, &str), PathError> {
    if text.starts_with(['\'', '"']) {
        let (text, rest) = quoted(text)?;
        return Ok((Constant::Text(text.into()), rest));
    }
    let end = text.find([' ', ')', '&', '|']).unwrap_or(text.len());
    let constant = match &text[..end] {
        "true" => Constant::Bool(true),
        "false" => Constant::Bool(false),
        "null" | "nil" => Constant::Null,
        other => {
            let number = other.parse().ok().filter(|number: &f64| number.is_finite());
            Constant::Number(number.ok_or(PathError::Parse("this form of condition is not supported"))?)
        }
    };
    Ok((constant, &text[end..]))
}

impl Filter {
    pub(super) fn accepts(&self, element: &Json) -> bool {
        self.any.iter().any(|all| all.iter().all(|comparison| comparison.holds(element)))
    }
}

impl Comparison {
    fn holds(&self, element: &Json) -> bool {
        let Ok(Found::One(found)) = self.path.find(element) else { return false };
        match &self.with {
            None => matches!(found, Json::Bool(true)),
            Some((operator, constant)) => operator.holds(found, constant),
        }
    }
}

impl Operator {
    fn holds(self, found: &Json, constant: &Constant) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (found, constant) {
            (Json::Text(found), Constant::Text(text)) => Some(found.expose().cmp(text.expose())),
            (Json::Number(found), Constant::Number(number)) => {
                double(found).and_then(|found| found.partial_cmp(number))
            }
            (Json::Bool(found), Constant::Bool(value)) if found == value => Some(Equal),
            (Json::Null, Constant::Null) => Some(Equal),
            _ => None,
        };
        match self {
            Self::Equal => order == Some(Equal),
            Self::NotEqual => order != Some(Equal),
            Self::Less => order == Some(Less),
            Self::LessOrEqual => matches!(order, Some(Less | Equal)),
            Self::Greater => order == Some(Greater),
            Self::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
        }
    }
}
