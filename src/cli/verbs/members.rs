//! `members`: who shares the ledger, and the end of one that will not come back.

use serde_json::json;

use super::words;
use crate::cli::Exit;
use crate::cli::admin::connect;
use crate::cli::args::{MembersListArgs, RetireArgs};
use crate::cli::client::{Answer, NoAnswer};
use crate::cli::table::{Side, aligned, below};
use crate::config::Environment;
use crate::grpc::proto::{
    ListMembersRequest, ListMembersResponse, MemberInfo, RetireMemberRequest, RetireMemberResponse,
};

pub(in crate::cli) async fn list(
    args: &MembersListArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(ListMembersRequest {});
    let reply = client.service.list_members(request).await?.into_inner();
    let members: Vec<_> = reply.members.iter().map(member_json).collect();
    Ok(Answer {
        text: table(&reply),
        json: json!({ "members": members }),
        exit: Exit::Done,
    })
}

pub(in crate::cli) async fn retire(
    args: &RetireArgs,
    environment: &Environment,
) -> Result<Answer, NoAnswer> {
    let mut client = connect(&args.common, environment).await?;
    let request = client.request(RetireMemberRequest {
        member: args.member.clone(),
        reason: args.why.reason.clone(),
    });
    let reply = client.service.retire_member(request).await?.into_inner();
    let member = reply.member.as_ref().map(member_json);
    Ok(Answer {
        text: retired(&reply),
        json: json!({ "member": member, "apps": reply.apps, "booked": reply.booked }),
        exit: Exit::Done,
    })
}

fn table(reply: &ListMembersResponse) -> String {
    let head = ["member", "incarnation", "standing", "boot", "last seen"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(reply.members.iter().map(|member| {
        vec![
            member.name.clone(),
            member.incarnation.clone(),
            words::standing(member.standing).to_owned(),
            member.boot.to_string(),
            seen(member).unwrap_or_default(),
        ]
    }));
    let [left, right] = [Side::Left, Side::Right];
    aligned(&rows, &[left, left, left, right, left])
}

fn retired(reply: &RetireMemberResponse) -> String {
    let of = |member: &MemberInfo| format!("{} ({})", member.name, member.incarnation);
    let who = reply.member.as_ref().map(of).unwrap_or_default();
    let mut facts = vec![("apps", reply.apps.to_string())];
    facts.push(("booked as used", reply.booked.to_string()));
    if reply.booked > 0 {
        let note = "a recount of its apps frees what it had not created".to_owned();
        facts.push(("note", note));
    }
    below(&format!("RETIRED: {who}"), &facts)
}

fn member_json(member: &MemberInfo) -> serde_json::Value {
    json!({
        "name": member.name,
        "incarnation": member.incarnation,
        "boot": member.boot,
        "seen": seen(member),
        "standing": words::standing_json(member.standing),
    })
}

fn seen(member: &MemberInfo) -> Option<String> {
    member.seen.as_ref().and_then(words::time)
}
