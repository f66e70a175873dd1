//! How an aimed scenario begins, in words: `Wish 0 0; flow; Freeze; bring Beat`.

use crate::scenario::Lead;
use crate::words::Kind;
use crate::world::Act;

pub fn script(text: &str) -> Vec<Lead> {
    text.split(';').map(|line| lead(line.trim())).collect()
}

fn lead(line: &str) -> Lead {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    let act = match words[0] {
        "flow" => return Lead::Flow,
        "bring" => return Lead::Bring(kind(words[1])),
        "Freeze" => Act::Freeze,
        "Notice" => Act::Notice,
        "Cancel" => Act::Cancel,
        "Commit" => Act::Commit,
        "TtlPasses" => Act::TtlPasses,
        "Snapshot" => Act::Snapshot,
        "Rollback" => Act::Rollback,
        "Flush" => Act::Flush,
        "Ask" => Act::Ask(number(1), number(2)),
        "Reply" => Act::Reply(number(1), number(2)),
        "Wish" => Act::Wish(number(1), number(2)),
        "Release" => Act::Release(number(1), number(2)),
        "Beat" => Act::Beat(number(1)),
        "Settle" => Act::Settle(number(1)),
        "Restate" => Act::Restate(number(1)),
        "Restart" => Act::Restart(number(1)),
        "Join" => Act::Join(number(1)),
        "Lose" => Act::Lose(number(1)),
        "Retire" => Act::Retire(number(1)),
        "GiveUpMember" => Act::GiveUpMember(number(1)),
        "Leave" => Act::Leave(number(1)),
        "Silent" => Act::Silent(number(1)),
        "LeaseEnds" => Act::LeaseEnds(number(1)),
        other => panic!("a script has no {other}"),
    };
    Lead::Do(act)
}

fn kind(word: &str) -> Kind {
    match word {
        "Take" => Kind::Take,
        "Taken" => Kind::Taken,
        "Give" => Kind::Give,
        "Settle" => Kind::Settle,
        "Settled" => Kind::Settled,
        "Restate" => Kind::Restate,
        "Restated" => Kind::Restated,
        "Beat" => Kind::Beat,
        "Beaten" => Kind::Beaten,
        other => panic!("a script brings no {other}"),
    }
}
