//! How a database is restored, by its engine.

mod drill;
mod point;
mod postgres;
mod sqlite;

use super::{Draft, NoPlan, Step};
use crate::domain::database::Engine;

pub(super) use postgres::choices as held;

impl Draft<'_> {
    /// Beside the one in use, then in its place.
    pub(super) async fn restore_database(&mut self, backup: &str, step: &Step) -> Result<(), NoPlan> {
        let site = self.ground.site.ok_or_else(|| NoPlan::Impossible("there is no site to restore".to_owned()))?;
        let database = site.database.as_ref().map_err(|why| NoPlan::Impossible(why.clone()))?;
        match database.engine {
            Engine::Postgresql => self.restore_postgres(backup, step).await,
            Engine::Sqlite => self.restore_sqlite(backup, step).await,
            Engine::Mysql => Err(NoPlan::Impossible("midwatch restores PostgreSQL and SQLite, not MySQL".to_owned())),
        }
    }
}
