//! What can be seen of the schemas of a MySQL or MariaDB server.

use super::NOT_YET;
use crate::backends::database::mysql::own::reader;
use crate::config::SiteConfig;
use crate::domain::text::plain;
use crate::runbook::plan::mysql::MysqlProbe;

pub(super) async fn holds(site: &SiteConfig, probe: &MysqlProbe) -> Result<String, String> {
    let password = site.database.as_ref().map_err(Clone::clone).map(|database| &database.password)?;
    let (MysqlProbe::Marked(server, ..) | MysqlProbe::Exchanged(server, _) | MysqlProbe::Gone(server, _)) = probe;
    let mut link = reader(server, Some(password)).await?;
    let identity = link.identity().await?;
    if identity != server.identity {
        return Err(format!("this is another server: it was {}, is {identity}", server.identity));
    }
    let held = match probe {
        MysqlProbe::Marked(_, schema, mark) => match link.mark(schema).await? {
            Some(comment) if comment.starts_with(mark) => Ok(probe.told()),
            Some(comment) => Err(format!("{NOT_YET}{} (its mark says {})", probe.told(), plain(&comment, 120))),
            None => Err(format!("{NOT_YET}{} (there is no mark in it)", probe.told())),
        },
        MysqlProbe::Exchanged(_, at) => {
            // A statement whose client is gone may still wait on the server.
            if link.taken(&at.lock()).await? {
                Err(format!("somebody is still exchanging the tables of {}", at.name))
            } else if link.mark(&at.held).await?.is_some() {
                Ok(probe.told())
            } else {
                Err(format!("{NOT_YET}{}", probe.told()))
            }
        }
        MysqlProbe::Gone(_, schema) => {
            if link.exists(schema).await? {
                Err(format!("{schema} is still there"))
            } else {
                Ok(probe.told())
            }
        }
    };
    link.close().await;
    held
}
