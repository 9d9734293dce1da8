use super::*;

fn engine(version: &str) -> Facts {
    Facts {
        version: version.to_owned(),
        ..Facts::default()
    }
}

fn is_warned(finding: Option<&Finding>) -> bool {
    finding.is_some_and(|it| it.result == Outcome::Warning && it.hint.is_some())
}

#[test]
fn engines_before_28_let_neighbours_in() {
    for (version, expected) in [
        ("20.10.24+dfsg1", true),
        ("24.0.7", true),
        ("27.5.1", true),
        ("27.5.1-1ubuntu1", true),
        ("28.0.0", false),
        ("28.2.2+dfsg1", false),
        ("29.0.0-rc.1", false),
    ] {
        let finding = neighbours(&engine(version));
        assert_eq!(is_warned(finding.as_ref()), expected, "{version}");
    }
    assert_eq!(neighbours(&engine("master-dev")), None);
    for facts in [
        Facts {
            is_podman: true,
            ..engine("4.3.1")
        },
        Facts {
            root: Root::EnginesUser,
            ..engine("20.10.24")
        },
        Facts {
            root: Root::OfMachine,
            ..engine("24.0.6")
        },
    ] {
        assert_eq!(neighbours(&facts), None, "{facts:?}");
    }
    let facts = Facts {
        interface: Some("wlan0".into()),
        ..engine("24.0.7")
    };
    let hint = neighbours(&facts).unwrap().hint.unwrap();
    assert_eq!(hint.matches("DOCKER-USER -i wlan0 ").count(), 2, "{hint}");
}

#[test]
fn a_runc_with_known_ways_out_is_told_with_their_names() {
    const OLD: &str = "CVE-2024-21626";
    const NEW: &str = "CVE-2025-31133";
    for (version, open, mended) in [
        ("1.0.0-rc93", &[OLD, NEW][..], &[][..]),
        ("1.1.5", &[OLD, NEW], &[]),
        ("1.1.11", &[OLD, NEW], &[]),
        ("v1.1.11-0-g4bccb38", &[OLD, NEW], &[]),
        ("1.1.12", &[NEW], &[]),
        ("v1.1.12-0-g51d5e946", &[NEW], &[]),
        ("1.2.0", &[NEW], &[]),
        ("1.2.7", &[NEW], &[]),
        ("1.2.8", &[], &[]),
        ("1.2.9", &[], &[]),
        ("1.3.0", &[NEW], &[]),
        ("1.3.2", &[NEW], &[]),
        ("1.3.3", &[], &[]),
        ("1.4.0-rc.2", &[NEW], &[]),
        ("1.4.0-rc.3", &[], &[]),
        ("1.4.0", &[], &[]),
        ("1.5.0-rc.1", &[], &[]),
        ("2.0.0", &[], &[]),
        // Debian's: the fault is mended, the number is old.
        ("1.1.5+ds1-1+deb12u1", &[NEW], &[OLD]),
        ("1.1.5+ds1-1+deb12u2", &[NEW], &[OLD]),
        ("1.1.5+ds1-1", &[OLD, NEW], &[]),
        ("1.1.5+ds1", &[OLD, NEW], &[]),
        ("1.0.0~rc93+ds1-5+deb11u3", &[NEW], &[OLD]),
        ("1.0.0~rc93+ds1-5+deb11u2", &[OLD, NEW], &[]),
        ("1.1.12-0ubuntu2~22.04.1", &[NEW], &[]),
    ] {
        let facts = Facts {
            runc: Some(version.to_owned()),
            ..engine("24.0.7")
        };
        let finding = runc_escapes(&facts).unwrap();
        assert_eq!(is_warned(Some(&finding)), !open.is_empty(), "{finding:?}");
        let (told, as_mended) = finding
            .message
            .split_once("; ")
            .unwrap_or((&finding.message, ""));
        for name in [OLD, NEW] {
            assert_eq!(told.contains(name), open.contains(&name), "{finding:?}");
            assert_eq!(
                as_mended.contains(name),
                mended.contains(&name),
                "{finding:?}"
            );
        }
        let of_distribution = version.contains("ds1") || version.contains("ubuntu");
        let hint = finding.hint.unwrap_or_default();
        assert_eq!(hint.contains("changelog"), of_distribution, "{version}");
    }
    assert_eq!(runc_escapes(&engine("24.0.7")), None);
    let odd = Facts {
        runc: Some("unknown".into()),
        ..engine("24.0.7")
    };
    assert_eq!(runc_escapes(&odd), None);
}

#[test]
fn ipv6_that_passes_no_filter_is_told_where_sandboxes_have_it() {
    for (version, has_ipv6, filters, expected) in [
        ("20.10.24", true, Some(true), true),
        ("26.1.5", true, None, true),
        ("27.0.0", true, None, false),
        ("27.0.0", true, Some(true), false),
        ("28.2.2", true, Some(false), true),
        ("20.10.24", false, Some(false), false),
    ] {
        let facts = Facts {
            has_ipv6,
            filters_ipv6_bridges: filters,
            ..engine(version)
        };
        let found = ipv6_filter(&facts);
        assert_eq!(is_warned(found.as_ref()), expected, "{facts:?}");
    }
}

#[test]
fn bridges_that_pass_no_filter_are_told() {
    for (filters, expected) in [(None, false), (Some(true), false), (Some(false), true)] {
        let facts = Facts {
            filters_bridges: filters,
            ..engine("24.0.7")
        };
        assert_eq!(
            is_warned(bridge_filter(&facts).as_ref()),
            expected,
            "{filters:?}"
        );
    }
}

#[test]
fn root_inside_is_told_to_be_root_outside_where_it_is() {
    for (facts, expected) in [
        (engine("24.0.7"), true),
        (
            Facts {
                is_podman: true,
                ..engine("5.0.0")
            },
            true,
        ),
        (
            Facts {
                root: Root::EnginesUser,
                ..engine("24.0.7")
            },
            false,
        ),
        (
            Facts {
                root: Root::Mapped,
                ..engine("24.0.7")
            },
            false,
        ),
        (
            Facts {
                root: Root::OfMachine,
                ..engine("24.0.7")
            },
            false,
        ),
    ] {
        assert_eq!(is_warned(Some(&users(&facts))), expected, "{facts:?}");
    }
}

#[test]
fn the_interface_is_that_of_the_default_route() {
    let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n";
    let local = "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\n";
    let half = "tun0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000080\t0\n";
    let default = "enp3s0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\n";
    let found = default_interface(&[head, local, half, default].concat());
    assert_eq!(found.as_deref(), Some("enp3s0"));
    assert_eq!(default_interface(&[head, local].concat()), None);
    assert_eq!(default_interface(""), None);
}
