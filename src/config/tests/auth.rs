//! Who may do what: what is understood, what is refused and where.

use super::{faults, read};
use crate::access::{Role, Who};
use crate::tls::Name;

#[test]
fn each_line_says_who_may_do_what() {
    let settings = read(
        "auth:
  - { spiffe: 'spiffe://example.org/gateway', roles: [check, report, read], apps: [5, 1] }
  - { dns: Bills.example.org, name: billing, roles: [bill] }
  - { uid: 0, roles: [read, check, read] }
  - { token_file: /run/ops, name: ops, roles: [admin] }
admin_listen: 0.0.0.0:50052
tls: { admin_listen: { cert: c, key: k } }
",
    )
    .expect("no fault");
    let bindings = settings.auth.expect("there are some");
    let names: Vec<_> = bindings.iter().map(|line| &*line.grant.name).collect();
    let expected = [
        "spiffe://example.org/gateway",
        "billing",
        "uid 0",
        "token ops",
    ];
    assert_eq!(names, expected);
    let gateway = &bindings[0].grant;
    assert!(gateway.allows(Role::Report, 1) && gateway.allows(Role::Read, 5));
    assert!(!gateway.allows(Role::Report, 2) && !gateway.allows(Role::Admin, 1));
    assert_eq!(
        bindings[1].who,
        Who::Named(Name::Dns("bills.example.org".into()))
    );
    assert_eq!(bindings[2].who, Who::User(0));
    assert_eq!(bindings[3].who, Who::Token("/run/ops".into()));
    assert!(bindings[3].grant.allows_all(Role::Admin));
    assert_eq!(read("").expect("no fault").auth, None);
}

#[test]
fn a_line_that_says_nothing_or_too_much_is_refused() {
    let one_of = "must have exactly one of spiffe, dns, uid and token_file";
    for (text, lines) in [
        (
            "auth: []",
            &["f.yaml:1: auth: must name 1 to 1000 of those who may; leave the key out for none".to_owned()][..],
        ),
        (
            "auth:\n- { roles: [check] }\n- { uid: 1, dns: x, roles: [check] }",
            &[
                format!("f.yaml:2: auth[0]: {one_of}"),
                format!("f.yaml:3: auth[1]: {one_of}"),
            ],
        ),
        (
            "auth:\n- { uid: 1, roles: [] }\n- { uid: 2 }\n- { uid: 3, roles: [chek], apps: [] }",
            &[
                "f.yaml:2: auth[0].roles: must name a role: check, report, read, bill or admin".into(),
                "f.yaml:3: auth[1].roles: is missing".into(),
                "f.yaml:4: auth[2].apps: must name 1 to 10000 apps; leave the key out for all".into(),
                "f.yaml:4: auth[2].roles[0]: must be check, report, read, bill or admin, not \"chek\"; did you \
                 mean \"check\"?"
                    .into(),
                "f.yaml:4: auth[2].roles: must name a role: check, report, read, bill or admin".into(),
            ],
        ),
        (
            "auth:\n- { token_file: x, roles: [bill] }\n- { dns: '*.x', roles: [bill] }\n- { spiffe: 'https://x', roles: [bill] }",
            &[
                "f.yaml:2: auth[0]: needs a name, for the audit list: a token has none of its own".into(),
                "f.yaml:3: auth[1].dns: must be a name such as gateway.example.org, without wildcards".into(),
                "f.yaml:4: auth[2].spiffe: must be a SPIFFE id such as spiffe://example.org/gateway".into(),
            ],
        ),
        (
            "auth:\n- { uid: 1, roles: [bill] }\n- { uid: 1, roles: [read] }",
            &["f.yaml:3: auth[1]: is bound already: one line says all that somebody may".into()],
        ),
    ] {
        assert_eq!(faults(text), lines, "{text}");
    }
}
