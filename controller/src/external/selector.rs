//! Label selectors, as Kubernetes reads them.

use std::collections::BTreeMap;

use sealops_crds::secret_store::{LabelRequirement, LabelSelector};

/// Returns whether labels fit a selector. One without requirements fits everything.
///
/// # Errors
/// Returns the operator that is not known, or that has values where it may not or none where it has to.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> Result<bool, String> {
    let wanted = selector.match_labels.iter().flatten();
    let mut fits = wanted.into_iter().all(|(key, value)| labels.get(key) == Some(value));
    for requirement in &selector.match_expressions {
        fits &= meets(requirement, labels)?;
    }
    Ok(fits)
}

fn meets(requirement: &LabelRequirement, labels: &BTreeMap<String, String>) -> Result<bool, String> {
    let LabelRequirement { key, operator, values } = requirement;
    let found = labels.get(key);
    let listed = found.is_some_and(|value| values.contains(value));
    let (fits, takes_values) = match operator.as_str() {
        "In" => (listed, true),
        "NotIn" => (!listed, true),
        "Exists" => (found.is_some(), false),
        "DoesNotExist" => (found.is_none(), false),
        other => return Err(format!("{other:?} is not a valid label selector operator")),
    };
    if takes_values == values.is_empty() {
        let rule = if takes_values { "needs values" } else { "takes no values" };
        return Err(format!("the label selector operator {operator} {rule}"));
    }
    Ok(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_labels: None,
            match_expressions: vec![LabelRequirement {
                key: "team".into(),
                operator: operator.into(),
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            }],
        }
    }

    #[test]
    fn selects_as_kubernetes_does() {
        let blue = BTreeMap::from([("team".to_owned(), "blue".to_owned())]);
        let none = BTreeMap::new();
        assert_eq!(matches(&LabelSelector::default(), &none), Ok(true));
        for (operator, values, with, without) in [
            ("In", &["red", "blue"][..], true, false),
            ("In", &["red"], false, false),
            ("NotIn", &["red"], true, true),
            ("NotIn", &["blue"], false, true),
            ("Exists", &[], true, false),
            ("DoesNotExist", &[], false, true),
        ] {
            let selector = requirement(operator, values);
            assert_eq!(matches(&selector, &blue), Ok(with), "{operator} {values:?}");
            assert_eq!(matches(&selector, &none), Ok(without), "{operator} {values:?}");
        }
        let mut both = requirement("Exists", &[]);
        both.match_labels = Some(BTreeMap::from([("team".to_owned(), "red".to_owned())]));
        assert_eq!(matches(&both, &blue), Ok(false), "all parts have to fit");
        for (operator, values) in [("in", &["a"][..]), ("In", &[]), ("Exists", &["a"])] {
            assert!(matches(&requirement(operator, values), &blue).is_err(), "{operator} {values:?}");
        }
    }
}
