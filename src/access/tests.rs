//! Who is known, by what, and what of it the files change.

use std::fs;

use super::*;

fn grant(name: &str, roles: &[Role], apps: Option<&[u64]>) -> Arc<Grant> {
    let mut of = Roles::default();
    for role in roles {
        assert!(of.add(*role));
    }
    let apps = apps.map(|apps| apps.iter().filter_map(|app| AppId::new(*app)).collect());
    Arc::new(Grant {
        name: name.into(),
        roles: of,
        apps,
    })
}

fn line(token: &str) -> String {
    use std::fmt::Write as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut line = "sha256:".to_owned();
    for byte in digest.as_ref() {
        write!(line, "{byte:02x}").unwrap();
    }
    line + "\n"
}

#[test]
fn a_grant_is_of_roles_and_apps() {
    let some = grant("some", &[Role::Check, Role::Read], Some(&[1, 5]));
    assert!(some.allows(Role::Check, 5) && some.allows(Role::Read, 1));
    assert!(!some.allows(Role::Check, 2) && !some.allows(Role::Bill, 1));
    assert!(some.allows(Role::Check, 0), "that is another's to refuse");
    assert!(!some.allows_all(Role::Check));
    let all = grant("all", &[Role::Admin], None);
    assert!(all.allows_all(Role::Admin) && all.allows(Role::Admin, 7));
    assert!(!all.allows_all(Role::Check));
}

#[test]
fn whoever_is_bound_is_known() {
    let name = Name::spiffe("spiffe://example.org/a").unwrap();
    let bindings = [
        Binding {
            who: Who::Named(name.clone()),
            grant: grant("a", &[Role::Check], None),
        },
        Binding {
            who: Who::User(7),
            grant: grant("b", &[Role::Check], None),
        },
    ];
    let access = Access::open(&bindings).unwrap();
    let other = Name::dns("example.org").unwrap();
    let known = access.of_names(&[other.clone(), name]).unwrap();
    assert_eq!(&*known.name, "a");
    assert!(access.of_names(&[other]).is_none());
    assert_eq!(&*access.of_user(7).unwrap().name, "b");
    assert!(access.of_user(0).is_none(), "root is nobody special");
    assert!(access.of_token(b"").is_none());
}

#[test]
fn tokens_are_changed_while_they_are_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ops");
    let write = |text: &str| fs::write(&path, text).unwrap();
    let bindings = [Binding {
        who: Who::Token(path.clone()),
        grant: grant("ops", &[Role::Admin], None),
    }];
    let fault = Access::open(&bindings).unwrap_err().to_string();
    assert!(
        fault.ends_with("No such file or directory (os error 2)"),
        "{fault}"
    );

    write(&line("old"));
    let access = Access::open(&bindings).unwrap();
    assert!(access.of_token(b"old").is_some() && access.of_token(b"new").is_none());
    assert!(!access.refresh().unwrap());
    write(&format!(
        "# both for a while\n\n{}{}",
        line("old"),
        line("new")
    ));
    assert!(access.refresh().unwrap());
    assert!(access.of_token(b"old").is_some() && access.of_token(b"new").is_some());

    // A token that was written by mistake is refused, and not repeated.
    write(&format!("{}plain-token\n", line("new")));
    let fault = access.refresh().unwrap_err().to_string();
    assert!(
        fault.contains("line 2 is no hash") && !fault.contains("plain"),
        "{fault}"
    );
    assert!(access.of_token(b"old").is_some(), "what counted goes on");
    write("");
    assert!(access.refresh().unwrap());
    assert!(access.of_token(b"old").is_none() && access.of_token(b"new").is_none());
    write(&line("x").repeat(17));
    assert!(access.refresh().is_err());
}
