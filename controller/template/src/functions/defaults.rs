//! Defaults and choices.

use super::Function;
use crate::value::{Type, Value};

pub(crate) const TABLE: &[Function] = &[
    Function::variadic("default", &[Type::Any], Type::Any, |_, args| {
        Ok(args.get(1).filter(|given| given.is_true()).unwrap_or(&args[0]).clone())
    }),
    Function::new("empty", &[Type::Any], |_, args| Ok((!args[0].is_true()).into())),
    Function::variadic("coalesce", &[], Type::Any, |_, args| {
        Ok(args.iter().find(|value| value.is_true()).cloned().unwrap_or(Value::Nil))
    }),
    Function::variadic("all", &[], Type::Any, |_, args| Ok(args.iter().all(Value::is_true).into())),
    Function::variadic("any", &[], Type::Any, |_, args| Ok(args.iter().any(Value::is_true).into())),
    Function::new("ternary", &[Type::Any, Type::Any, Type::Bool], |_, args| {
        Ok(args[usize::from(!args[2].as_bool()?)].clone())
    }),
];
