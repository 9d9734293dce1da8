use pretty_assertions::assert_eq;
use proptest::prelude::*;

use super::*;

type Text = Layer<&'static str, &'static str>;

fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        ports: Vec::new(),
        run: None,
        sidecar: None,
    }
}

/// A layer that says `word` of everything that `said` has a bit for.
fn layer(word: &'static str, said: u8) -> Text {
    let says = |bit: u8| said & (1 << bit) != 0;
    Layer {
        image: says(0).then_some(word),
        setup_script: says(1).then_some(word),
        env: says(2)
            .then(|| ("A".to_owned(), word.to_owned()))
            .into_iter()
            .collect(),
        secret_env: says(7)
            .then(|| ("A".to_owned(), word.to_owned()))
            .into_iter()
            .collect(),
        services: says(3).then(|| vec![service(word)]),
        limits: AskedLimits {
            cpus: says(4).then(|| "1".parse().expect("a number")),
            memory: says(5).then_some(Limit::Unlimited),
            pids: says(6).then_some(Limit::Unlimited),
        },
    }
}

proptest! {
    /// For each setting by itself: the first of request, saved and file that says something.
    #[test]
    fn each_setting_is_decided_by_itself(request in any::<u8>(), saved in any::<u8>(), file in any::<u8>()) {
        let resolved = resolve(layer("request", request), layer("saved", saved), layer("file", file));
        let expected = |bit: u8| {
            [(request, "request", Origin::Request), (saved, "saved", Origin::Saved), (file, "file", Origin::File)]
                .into_iter()
                .find(|(said, ..)| said & (1 << bit) != 0)
                .map(|(_, value, origin)| Sourced { value, origin })
        };
        prop_assert_eq!(resolved.image, expected(0));
        prop_assert_eq!(resolved.setup_script, expected(1));
        // A variable is one setting, whether it has a value or is a secret.
        let origin = |it: Option<&Sourced<String>>| it.map(|it| it.origin);
        let (plain, secret) = (resolved.env.get("A"), resolved.secret_env.get("A"));
        let decided = [expected(2), expected(7)].into_iter().flatten().map(|it| it.origin).min();
        let is_plain = decided.is_some() && expected(2).map(|it| it.origin) == decided;
        prop_assert_eq!(origin(plain), decided.filter(|_| is_plain));
        prop_assert_eq!(origin(secret), decided.filter(|_| !is_plain));
        let services = resolved.services;
        let named = services.value.first().map(|it| it.name.clone());
        prop_assert_eq!(named.as_deref(), expected(3).map(|it| it.value));
        prop_assert_eq!(services.origin, expected(3).map_or(Origin::Default, |it| it.origin));
        let origin = |bit| expected(bit).map(|it| it.origin);
        prop_assert_eq!(resolved.limits.cpus.map(|it| it.origin), origin(4));
        prop_assert_eq!(resolved.limits.memory.map(|it| it.origin), origin(5));
        prop_assert_eq!(resolved.limits.pids.map(|it| it.origin), origin(6));
    }
}

#[test]
fn any_saved_service_wins_over_all_of_the_file_and_none_saved_is_an_answer_too() {
    let with = |services: Option<Vec<Service>>| Text {
        services,
        ..Layer::silent()
    };
    let file = || with(Some(vec![service("api"), service("web")]));
    for (saved, names, origin) in [
        (None, &["api", "web"][..], Origin::File),
        (Some(vec![service("db")]), &["db"], Origin::Saved),
        (Some(Vec::new()), &[], Origin::Saved),
    ] {
        let services = resolve(Layer::silent(), with(saved), file()).services;
        let found: Vec<&str> = services.value.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((found, services.origin), (names.to_vec(), origin));
    }
    let none = resolve(Text::silent(), Layer::silent(), Layer::silent());
    assert_eq!(none.services, Sourced::default());
}

#[test]
fn variables_are_joined_by_name() {
    let with = |pairs: &[(&str, &str)]| Text {
        env: pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..Layer::silent()
    };
    let resolved = resolve(
        with(&[("A", "request")]),
        with(&[("A", "saved"), ("B", "saved")]),
        with(&[("A", "file"), ("B", "file"), ("C", "file")]),
    );
    let env: Vec<_> = resolved
        .env
        .iter()
        .map(|(name, it)| (name.as_str(), it.value.as_str(), it.origin))
        .collect();
    assert_eq!(
        env,
        [
            ("A", "request", Origin::Request),
            ("B", "saved", Origin::Saved),
            ("C", "file", Origin::File),
        ]
    );
}
