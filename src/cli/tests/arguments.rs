use clap::{CommandFactory as _, Parser as _};

use crate::cli::{Cli, Command};
use crate::config::Flags;

#[test]
fn the_arguments_are_well_defined() {
    Cli::command().debug_assert();
}

#[test]
fn wrong_usage_ends_with_2() {
    for wrong in [
        "",
        "serv",
        "bill",
        "serve --colour red",
        "serve --member a --member b",
        "check-config",
        "check",
        "check --app 1",
        "check --resource group",
        "check --app 0 --resource group",
        "check --app -1 --resource group",
        "check --app x --resource group",
        "check --app 1 --resource room",
        "check --app 1 --resource group --amount 0",
        "check --app 1 --resource group --amount 101",
        "check --app 1 --resource group --endpoint https://h",
        "check --app 1 --resource group --timeout 5",
        "check --app 1 --resource group --timeout 0s",
        "check --app 1 --resource group --reserve",
        "check --app 1 --resource group --hold 30s --request-id r",
        "check --app 1 --resource group --reserve --request-id r --hold 0s",
        "check --app 1 --resource group --reserve --request-id r --hold 601s",
        "check --app 1 --resource group --reserve --request-id r --hold 30",
        "check --app 1 --resource group --reserve --request-id r --dry-run",
        "check --app 1 --resource group --reserve --request-id r --exists",
        "confirm --app 1",
        "confirm --request-id r",
        "confirm --app 0 --request-id r",
        "cancel --app 1",
        "cancel --app 1 --request-id r --resource-id g",
        "holds",
        "holds --app 1 --limit 1001",
        "holds --app 1 --endpoint http://h:1",
        "objects",
        "objects import --app 1 --resource account",
        "objects import --app 1 --file f",
        "objects import --app 1 --resource account --file f --at-count 5",
        "objects import --app 1 --resource account --at-count -1",
        "objects import --app 1 --resource account --at-count 9007199254740993",
        "release --app 1 --resource group --dry-run",
        "record-active --app 1",
        "record-active --app 1 --user a --increment 2",
        "record-active --app 1 --increment 0",
        "record-active --app 1 --user a --at yesterday",
        "usage",
        "recount --app 1 --resource group",
        "recount --app 1 --to 5",
        "recount --app 1 --resource group --to -1",
        "recount --app 1 --resource group --to 9007199254740993",
        "recount --app 1 --resource group --to 5 --token 0",
        "recount --app 1 --resource group --dry-run --token 5",
        "recount --app 1 --resource group --dry-run --cancel --token 5",
        "recount --app 1 --resource group --cancel",
        "recount --file f --app 1",
        "recount --file f --to 5",
        "recount --file f --dry-run",
        "recount --app 1 --resource group --cancel --token 5 --to 5",
        "recount --app 1 --resource group --to 5 --endpoint http://h:1",
        "members",
        "members retire",
        "members list a",
        "audit --app 0",
        "audit --limit 0",
        "audit --limit 1001",
    ] {
        let words = std::iter::once("imquota").chain(wrong.split_whitespace());
        let error = Cli::try_parse_from(words).err().expect(wrong);
        assert_eq!(error.exit_code(), 2, "{wrong}: {error}");
    }
}

#[test]
fn every_flag_of_serve_reaches_the_settings() {
    let arguments = "imquota serve --config c --listen a --listen b --store s --data-dir d \
                     --admin-listen x --http-listen h --member m --workers w --log-format l";
    let cli = Cli::try_parse_from(arguments.split_whitespace());
    let Ok(Cli {
        command: Command::Serve(args),
    }) = cli
    else {
        panic!("{arguments} is well formed");
    };
    let flags = Flags::from(args);
    let given = |text: &str| Some(text.to_owned());
    assert_eq!(flags.config, Some("c".into()));
    assert_eq!(flags.listen, ["a", "b"]);
    assert_eq!(flags.store, given("s"));
    assert_eq!(flags.data_dir, given("d"));
    assert_eq!(flags.admin_listen, given("x"));
    assert_eq!(flags.http_listen, given("h"));
    assert_eq!(flags.member, given("m"));
    assert_eq!(flags.workers, given("w"));
    assert_eq!(flags.log_format, given("l"));
}
