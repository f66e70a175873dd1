//! Objects that exist, taken in under their names.

use futures_util::StreamExt;

use super::{
    Admission, Check, CheckMode, Fault, Import, Imported, Outcome, Patience, Silence, Verdict,
};
use crate::ledger::State;
use crate::quota::{Amount, ObjectId};
use crate::store::{Adopted, OBJECTS_MAX};

/// How many objects are counted at a time.
const TOGETHER_MAX: usize = 16;

impl Admission {
    /// Counts objects that exist under their names, whatever they exceed; those that are counted without a
    /// name get it.
    ///
    /// # Errors
    /// [`Fault`]: some may have been taken in; the same call again takes in the rest.
    pub async fn import(&self, import: Import, patience: Patience) -> Result<Imported, Fault> {
        let Import {
            app,
            resource,
            objects,
        } = import;
        let entry = self.entry(app)?.ok_or(Fault::UnknownApp(app))?;
        if !entry.rules().track_objects {
            return Err(Fault::Invalid {
                field: "app_id",
                problem: "its settings say track_objects: false; names are not looked at".into(),
            });
        }
        if self.ledger.state() != State::Up {
            return Err(away());
        }
        let budget = self.budget(patience);
        // What is counted here and not told yet may be some of them.
        let told = Box::pin(self.ledger.settle_app(&entry));
        self.ask(told, budget).await.map_err(|_: Silence| away())?;
        let numbers: Option<Vec<_>> = objects
            .iter()
            .map(|name| self.ledger.object(app, resource, name))
            .collect();
        let numbers = numbers.ok_or_else(away)?;
        let mut imported = Imported::default();
        let mut missing = Vec::new();
        for (names, numbers) in objects.chunks(OBJECTS_MAX).zip(numbers.chunks(OBJECTS_MAX)) {
            let adopted = self
                .ledger
                .store()
                .adopt(app, resource, numbers, self.ledger.now());
            let adopted = self.ask(adopted, budget).await.map_err(|_| away())?;
            for (name, adopted) in names.iter().zip(adopted) {
                match adopted {
                    Adopted::Named => imported.named += 1,
                    Adopted::Known => imported.known += 1,
                    Adopted::Missing => missing.push(name.clone()),
                }
            }
        }
        let count = |name: ObjectId| {
            let check = Check {
                app,
                resource,
                amount: Amount::ONE,
                request_id: None,
                resource_id: Some(name),
                mode: CheckMode::Record,
            };
            self.check(check, patience)
        };
        let mut counting = futures_util::stream::iter(missing)
            .map(count)
            .buffer_unordered(TOGETHER_MAX);
        while let Some(verdict) = counting.next().await {
            let Verdict {
                outcome,
                already_counted,
                source,
                ..
            } = verdict?;
            if matches!(outcome, Outcome::Deny(_)) || source == super::Source::Degraded {
                return Err(away());
            }
            if already_counted {
                imported.known += 1;
            } else {
                imported.counted += 1;
            }
        }
        Ok(imported)
    }
}

fn away() -> Fault {
    Fault::Away(
        "the ledger did not take in all objects; the same call again takes in the rest".into(),
    )
}
