use amika_core::config;
use pretty_assertions::assert_eq;

use super::*;

/// A request by which nothing was asked for.
pub(in crate::create) fn request() -> Request {
    Request {
        name: None,
        image: None,
        setup: None,
        setup_once: false,
        opencode: None,
        env: BTreeMap::new(),
        secret_env: BTreeMap::new(),
        without_env: BTreeSet::new(),
        unset_env: Vec::new(),
        mounts: Vec::new(),
        rights: HostRights::default(),
        credentials: Selection::none(),
        own_ways: OwnWays::none(),
        dotfiles: None,
        publish: Vec::new(),
        port_host_ip: HostIp::LOCALHOST,
        expose_opencode: false,
        network: None,
        own_uid: false,
        limits: AskedLimits::default(),
        cap_add: BTreeSet::new(),
        command: Vec::new(),
        stamp: amika_core::label::Labels::new(),
    }
}

fn file(text: &str) -> RepoConfig {
    config::parse(text).expect("a configuration").config
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let other = |name: &str| Image::Other(name.to_owned());
    let image = "[sandbox]\nimage = \"debian\"\n";
    let dind = "[sandbox]\npreset = \"coder-dind\"\n";
    for (flag, text, expected) in [
        (None, "", Image::Preset(Preset::Coder)),
        (None, image, other("debian")),
        (None, dind, Image::Preset(Preset::CoderDind)),
        (Some(other("alpine")), image, other("alpine")),
        (
            Some(Image::Preset(Preset::Coder)),
            dind,
            Image::Preset(Preset::Coder),
        ),
    ] {
        let request = Request {
            image: flag,
            ..request()
        };
        let settings =
            merge(&request, Layer::silent(), &file(text), Scripts::default()).expect("settings");
        assert_eq!(settings.image, expected, "{text}");
        // Nobody is given the rights of an engine unawares.
        let is_told = rights_by_configuration(&settings).is_some();
        assert_eq!(is_told, request.image.is_none() && text == dind, "{text}");
    }
    let script = || Some("setup.sh".to_owned());
    for (flag, configured, expected) in [
        (None, None, Setup::Image),
        (None, script(), Setup::Repository("setup.sh".into())),
        (Some(Setup::Off), script(), Setup::Off),
    ] {
        let request = Request {
            setup: flag,
            ..request()
        };
        let settings = merge(
            &request,
            Layer::silent(),
            &RepoConfig::default(),
            Scripts {
                setup: configured,
                start: None,
            },
        )
        .expect("settings");
        assert_eq!(settings.setup, expected);
    }
}

#[test]
fn variables_are_joined_and_a_flags_value_wins() {
    let request = Request {
        env: BTreeMap::from([("A".into(), "flag".into()), ("C".into(), "flag".into())]),
        ..request()
    };
    let config = file("[env]\nA = \"file\"\nB = \"file\"\n");
    let env = merge(&request, Layer::silent(), &config, Scripts::default())
        .expect("settings")
        .env;
    let env: Vec<(&str, &str)> = env.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(env, [("A", "flag"), ("B", "file"), ("C", "flag")]);
}

#[test]
fn what_reaches_the_host_comes_from_flags_alone() {
    let text = "[sandbox]\nnetwork = \"host\"\ncap_add = [\"ALL\"]\nmounts = [\"/:/host\"]\ncredentials = true\n";
    let config = config::parse(text)
        .map(|parsed| parsed.config)
        .unwrap_or_default();
    let settings =
        merge(&request(), Layer::silent(), &config, Scripts::default()).expect("settings");
    assert_eq!(settings.network, None);
    assert!(settings.cap_add.is_empty() && settings.mounts.is_empty());
    assert!(settings.publish.is_empty() && !settings.expose_opencode);
    assert_eq!(settings.rights, HostRights::default());
    assert_eq!(settings.credentials, Selection::none());
}

#[test]
fn a_script_that_runs_once_is_of_whoever_says_so_for_this_script() {
    let once = |text: &str, setup: Option<Setup>, flag: bool| {
        let request = Request {
            setup,
            setup_once: flag,
            ..request()
        };
        let scripts = Scripts {
            setup: text.contains("setup_script").then(|| "a.sh".to_owned()),
            start: None,
        };
        let settings = merge(&request, Layer::silent(), &file(text), scripts).expect("settings");
        settings.setup_once.map(|once| once.files)
    };
    let files = |files: &[&str]| Some(files.iter().map(|&file| file.to_owned()).collect());
    let of_file = "[lifecycle]\nsetup_script = \"a.sh\"\nsetup_once = \"x.lock\"\n";
    assert_eq!(once(of_file, None, false), files(&["x.lock"]));
    assert_eq!(once(of_file, None, true), files(&["x.lock"]));
    // Of the image's own script the file may say it too, of another nobody but the flag.
    assert_eq!(
        once("[lifecycle]\nsetup_once = true\n", None, false),
        files(&[])
    );
    assert_eq!(once(of_file, Some(Setup::Off), false), None);
    assert_eq!(once(of_file, Some(Setup::Text(vec![])), true), files(&[]));
    assert_eq!(once("", None, false), None);
}

#[test]
fn a_start_script_is_a_service_that_all_others_wait_for() {
    let config = file(
        "[services.web]\ncommand = \"x\"\ndepends_on = [\"db\"]\n[services.db]\ncommand = \"y\"\n[services.note]\n",
    );
    let scripts = Scripts {
        setup: None,
        start: Some("bin/up".to_owned()),
    };
    let settings = merge(&request(), Layer::silent(), &config, scripts).expect("settings");
    let told: Vec<(&str, Option<&[String]>)> = settings
        .services
        .iter()
        .map(|it| {
            (
                it.name.as_str(),
                it.run.as_ref().map(|run| run.depends_on.as_slice()),
            )
        })
        .collect();
    let on = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        told,
        [
            ("start-script", Some(on(&[]).as_slice())),
            ("db", Some(on(&["start-script"]).as_slice())),
            ("note", None),
            ("web", Some(on(&["db", "start-script"]).as_slice())),
        ]
    );
    let run = settings.services[0].run.as_ref().expect("it runs");
    assert_eq!(run.command, ["./bin/up"]);
}
