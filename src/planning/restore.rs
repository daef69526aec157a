//! How a database is restored, by its engine.

mod backed;
mod drill;
mod dump;
mod mysql;
mod older;
mod point;
mod postgres;
mod sqlite;

use super::{Act, Draft, NoPlan, PlannedStep, Step};
use crate::domain::database::Engine;

pub(super) use postgres::choices as held;

/// A step that takes little time, and may be done again.
pub(super) fn small_step(name: &str, act: Act) -> PlannedStep {
    postgres::step(name, act, postgres::SHORT_MS)
}

impl Draft<'_> {
    /// Beside the one in use, then in its place.
    /// `as_it_was`: an older one is not migrated, for the code that knows it comes back, too.
    pub(super) async fn restore_database(
        &mut self,
        (backup, as_it_was): (&str, bool),
        step: &Step,
    ) -> Result<(), NoPlan> {
        match self.engine()? {
            Engine::Postgresql | Engine::Mysql if as_it_was => Err(NoPlan::Impossible(
                "only SQLite's are put into use as they were: PostgreSQL's with what undo-upgrade-and-restore puts back, \
                 others by hand, with the application stopped"
                    .to_owned(),
            )),
            Engine::Postgresql => self.restore_postgres(backup, step).await,
            Engine::Sqlite => self.restore_sqlite((backup, as_it_was), step).await,
            Engine::Mysql => self.restore_mysql(backup, step).await,
        }
    }

    /// What is held comes back; what is in use is held.
    pub(super) async fn swap_back(&mut self, held: &str, step: &Step) -> Result<(), NoPlan> {
        if self.engine()? == Engine::Mysql {
            self.swap_back_mysql(held, step).await
        } else {
            self.swap_back_postgres(held, step).await
        }
    }

    /// What is held is dropped.
    pub(super) async fn release_held(&mut self, held: &str, step: &Step) -> Result<(), NoPlan> {
        if self.engine()? == Engine::Mysql {
            self.release_mysql(held, step).await
        } else {
            self.release_postgres(held, step).await
        }
    }

    /// What the site's database is.
    pub(super) fn engine(&self) -> Result<Engine, NoPlan> {
        let database = self.site()?.database.as_ref();
        database.map(|database| database.engine).map_err(|why| NoPlan::Impossible(why.clone()))
    }
}
