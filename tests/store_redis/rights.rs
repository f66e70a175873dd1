//! The user with the least rights: what the README says is enough, and with one right less it is said which.

use std::time::Duration;

use imquota::config::{Login, Password};
use imquota::store::{Store, StoreFault};

use crate::fixture::{Sidecar, options};
use crate::redis_server::RedisServer;

/// The rule as the README prints it.
fn rule() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let line = readme
        .lines()
        .find(|line| line.starts_with("ACL SETUSER imquota "));
    let words = line.expect("the README has the rule").split(' ');
    words
        .map(|word| word.replace(">PASSWORD", ">s3cret"))
        .collect()
}

fn login(password: Password) -> Login {
    Login {
        username: Some("imquota".into()),
        password: Some(password),
    }
}

/// What is said of a user with the rights that `words` give.
async fn probed(server: &RedisServer, words: &[String]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    server.command::<u64>(&["ACL", "DELUSER", "imquota"]);
    server.command::<()>(&words);
    let mut options = options(&server.url());
    options.login = login(Password::Text("s3cret".into()));
    let probed = imquota::store::redis::probe(&options).await;
    probed.fault.map(|fault| fault.to_string())
}

#[tokio::test]
async fn with_one_right_less_it_is_said_which() {
    let server = RedisServer::start();
    let rule = rule();
    assert_eq!(probed(&server, &rule).await, None);
    let needed = |word: &&String| word.starts_with(['+', '~']);
    for missing in rule.iter().filter(needed) {
        let others = rule.iter().filter(|word| *word != missing);
        let others: Vec<String> = others.cloned().collect();
        let said = probed(&server, &others).await;
        if missing == "+config|get" {
            assert_eq!(said, None, "it is not needed");
            continue;
        }
        let said = said.unwrap_or_default();
        let lacks = format!("lacks {missing};");
        assert!(said.contains(&lacks), "without {missing}: {said}");
    }
}

#[tokio::test]
async fn a_password_file_is_read_for_each_connection() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    server.command::<()>(&["ACL", "SETUSER", "imquota", "on", ">first", "~*", "+@all"]);
    let mut options = options(&server.url());
    options.response_timeout = Duration::from_secs(3);
    options.login = login(Password::File(path.clone()));
    let one = Sidecar::with(1, options);
    let absent = one.hello(None).await.unwrap_err().to_string();
    assert!(absent.contains("the password file"), "{absent}");
    std::fs::write(&path, "wrong\n").unwrap();
    let wrong = one.hello(None).await.unwrap_err();
    assert!(matches!(&wrong, StoreFault::Away(words) if words.contains("store.password_file")));
    assert!(!wrong.to_string().contains("wrong\n"));
    std::fs::write(&path, "first\n").unwrap();
    let known = one.hello(None).await.unwrap();
    // It is changed at the server, then here: the next connection has it.
    server.command::<()>(&["ACL", "SETUSER", "imquota", "resetpass", ">second"]);
    server.command::<u64>(&["CLIENT", "KILL", "USER", "imquota"]);
    std::fs::write(&path, "second").unwrap();
    assert_eq!(one.hello(Some(known)).await, Ok(known));
    assert!(
        one.store
            .beat(&imquota::store::Beat::default())
            .await
            .is_ok()
    );
}
