mod faults;

use kube::core::PartialObjectMeta;

use super::*;

type Event = watcher::Event<PartialObjectMeta<Secret>>;

fn secret(namespace: &str) -> PartialObjectMeta<Secret> {
    let mut secret = PartialObjectMeta::<Secret>::default();
    secret.metadata.namespace = Some(namespace.to_owned());
    secret.metadata.name = Some("x".to_owned());
    secret
}

fn refusal(code: u16) -> watcher::Error {
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(
        kube::core::Status::failure("no", "Forbidden").with_code(code),
    )))
}

fn feed(state: &mut Merge, number: usize, event: watcher::Result<Event>) -> Option<Vec<String>> {
    let seen = state.take(number, event, "Secret", |object| Some(object.metadata.name));
    seen.into_iter().find_map(|seen| match seen {
        Seen::Complete(keys) => {
            let mut keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            keys.sort();
            Some(keys)
        }
        _ => None,
    })
}

fn state(parts: usize) -> Merge {
    Merge { parts: (0..parts).map(|_| Part::default()).collect(), told: false }
}

/// A namespace that is being listed again still has what it had.
#[test]
fn a_list_in_progress_takes_nothing_away() {
    let mut state = state(2);
    for (number, namespace) in [(0, "a"), (1, "b")] {
        assert_eq!(feed(&mut state, number, Ok(Event::Init)), None);
        assert_eq!(feed(&mut state, number, Ok(Event::InitApply(secret(namespace)))), None);
        let complete = feed(&mut state, number, Ok(Event::InitDone));
        assert_eq!(complete.is_some(), number == 1);
    }
    feed(&mut state, 0, Ok(Event::Init));
    feed(&mut state, 1, Ok(Event::Init));
    feed(&mut state, 1, Ok(Event::InitApply(secret("b"))));
    assert_eq!(feed(&mut state, 1, Ok(Event::InitDone)).unwrap(), ["a/x", "b/x"]);
    assert_eq!(feed(&mut state, 0, Ok(Event::InitDone)).unwrap(), ["b/x"], "now it is known to be gone");
}

/// B6 F14: the rights of one namespace are missing.
#[test]
fn a_namespace_without_rights_keeps_no_other_waiting() {
    let mut state = state(2);
    feed(&mut state, 0, Ok(Event::Init));
    feed(&mut state, 0, Ok(Event::InitApply(secret("a"))));
    assert_eq!(feed(&mut state, 0, Ok(Event::InitDone)), None);
    feed(&mut state, 1, Ok(Event::Init));
    assert_eq!(feed(&mut state, 1, Err(refusal(500))), None, "that will pass");
    assert_eq!(feed(&mut state, 1, Err(refusal(403))).unwrap(), ["a/x"]);
    assert_eq!(feed(&mut state, 1, Err(refusal(403))), None, "told once");
    feed(&mut state, 1, Ok(Event::Init));
    feed(&mut state, 1, Ok(Event::InitApply(secret("b"))));
    assert_eq!(feed(&mut state, 1, Ok(Event::InitDone)).unwrap(), ["a/x", "b/x"]);
}

#[test]
fn without_the_right_to_anything_nothing_is_complete() {
    let mut state = state(1);
    feed(&mut state, 0, Ok(Event::Init));
    assert_eq!(feed(&mut state, 0, Err(refusal(403))), None);
}
