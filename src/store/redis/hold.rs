//! Reservations as they are read, and the names of objects.

use super::answer::{Answer, unexpected};
use super::{RedisStore, keys};
use crate::clock::{Day, Millis};
use crate::quota::{
    Amount, AppId, COUNTERS, Charge, Limit, ObjectNumber, Part, RequestId, Resource,
};
use crate::store::{
    Adopted, Fingerprint, HOLDS_MAX, Hold, HoldState, OBJECTS_MAX, Shard, StoreFault,
};

impl RedisStore {
    /// Reads the reservation of an id, or the open ones.
    async fn read_holds(&self, app: AppId, id: &str, most: usize) -> Result<Vec<Hold>, StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.holds(app)).key(&self.keys.records(app));
        step.arg(id).arg(most);
        let (_, mut answer) = self.run(&link, shard, &self.scripts.held, step).await?;
        let mut holds = Vec::new();
        while !answer.is_empty() {
            holds.push(read_hold(&mut answer)?);
        }
        Ok(holds)
    }

    pub(super) async fn read_hold_of(
        &self,
        app: AppId,
        id: &RequestId,
    ) -> Result<Option<Hold>, StoreFault> {
        let holds = self.read_holds(app, id.as_str(), 1).await?;
        Ok(holds.into_iter().next())
    }

    pub(super) async fn read_open_holds(
        &self,
        app: AppId,
        most: usize,
    ) -> Result<Vec<Hold>, StoreFault> {
        if most == 0 {
            return Ok(Vec::new());
        }
        self.read_holds(app, "", most.min(HOLDS_MAX)).await
    }

    pub(super) async fn read_object(
        &self,
        app: AppId,
        object: ObjectNumber,
    ) -> Result<bool, StoreFault> {
        let link = self.linked_to_stay()?;
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(app)).key(&self.keys.records(app));
        step.arg(keys::object_field(object));
        let (_, mut answer) = self.run(&link, shard, &self.scripts.known, step).await?;
        answer.flag()
    }

    pub(super) async fn adopt_all(
        &self,
        app: AppId,
        resource: Resource,
        objects: &[ObjectNumber],
    ) -> Result<Vec<Adopted>, StoreFault> {
        debug_assert!(objects.len() <= OBJECTS_MAX);
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let link = self.linked_to_stay()?;
        let shard = Shard::of(app);
        let mut step = self.step(&link, shard)?;
        step.key(&self.keys.app(app)).key(&self.keys.records(app));
        step.arg(link.full).arg(resource.counter().index());
        for &object in objects {
            step.arg(keys::object_field(object));
        }
        let (_, mut answer) = self.run(&link, shard, &self.scripts.adopt, step).await?;
        let adopted = answer.text()?;
        if adopted.len() != objects.len() {
            return Err(unexpected());
        }
        let of = |digit| match digit {
            b'0' => Ok(Adopted::Named),
            b'1' => Ok(Adopted::Known),
            b'2' => Ok(Adopted::Missing),
            _ => Err(unexpected()),
        };
        adopted.bytes().map(of).collect()
    }
}

fn read_hold(answer: &mut Answer) -> Result<Hold, StoreFault> {
    let id = RequestId::parse(&answer.text()?).map_err(|_| unexpected())?;
    let key = keys::key_of(&answer.text()?).ok_or_else(unexpected)?;
    let fingerprint = u64::from_str_radix(&answer.text()?, 16).map_err(|_| unexpected())?;
    let amount = answer.small()?;
    let counters = answer.text()?;
    let day = i32::try_from(answer.signed()?).map_err(|_| unexpected())?;
    let until = answer.stored()?;
    Ok(Hold {
        id,
        key,
        fingerprint: Fingerprint(fingerprint),
        charge: charge_of(amount, &counters)?,
        day: Day::from_number(day).ok_or_else(unexpected)?,
        until: Millis(i64::try_from(until).map_err(|_| unexpected())?),
        state: state_of(answer.signed()?)?,
    })
}

fn charge_of(amount: u32, counters: &str) -> Result<Charge, StoreFault> {
    let amount = Amount::from_wire(amount).ok_or_else(unexpected)?;
    let part = |digit: u8| {
        let counter = COUNTERS.get(usize::from(digit.wrapping_sub(b'0')));
        counter.map(|&counter| Part {
            counter,
            limit: Limit::Unlimited,
        })
    };
    let parts: Option<Vec<Part>> = counters.bytes().map(part).collect();
    parts
        .and_then(|parts| Charge::from_parts(amount, &parts))
        .ok_or_else(unexpected)
}

fn state_of(number: i64) -> Result<HoldState, StoreFault> {
    Ok(match number {
        0 => HoldState::Open,
        1 => HoldState::Confirmed { late: false },
        2 => HoldState::Confirmed { late: true },
        3 => HoldState::Charged,
        4 => HoldState::Lapsed,
        5 => HoldState::Cancelled,
        6 => HoldState::AlreadyCounted,
        _ => return Err(unexpected()),
    })
}
