//! What a database is, so that another can be made as it is; and what of it forbids to put another in its place.

use serde::Deserialize;
use serde_json::Value;

use crate::backends::database::psql;
use crate::config::DatabaseConfig;
use crate::domain::text::{bytes, plain};
use crate::runbook::plan::postgres::{Server, literal, name};

/// What a database is.
#[derive(Debug, Deserialize)]
pub(super) struct Facts {
    /// Its name.
    pub(super) name: String,
    /// Its number.
    pub(super) oid: u32,
    /// The server's major version.
    pub(super) major: u32,
    /// Its owner.
    pub(super) owner: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Sessions that are not the application's.
    pub(super) sessions: Vec<Sessions>,
    standby: bool,
    encoding: String,
    tablespace: String,
    /// Its row of `pg_database`, whose columns differ by version.
    row: Value,
    directory: Option<String>,
    slots: Vec<String>,
    subscriptions: u32,
    publications: u32,
    prepared: u32,
    grants: Option<Vec<Grant>>,
    settings: Vec<Setting>,
}

/// Sessions of one kind.
#[derive(Debug, Deserialize)]
pub(super) struct Sessions {
    /// Role and application.
    pub(super) who: String,
    /// How many.
    pub(super) count: u32,
}

#[derive(Debug, Deserialize)]
struct Grant {
    privilege: String,
    /// `None`: everybody.
    role: Option<String>,
    grantable: bool,
}

#[derive(Debug, Deserialize)]
struct Setting {
    /// `None`: for every role.
    role: Option<String>,
    config: Vec<String>,
}

/// Settings whose value is a list of names, kept as it is written.
const LISTS: [&str; 6] = [
    "search_path",
    "temp_tablespaces",
    "local_preload_libraries",
    "session_preload_libraries",
    "shared_preload_libraries",
    "unix_socket_directories",
];

impl Facts {
    /// Looks.
    pub(super) async fn of(server: &Server, config: &DatabaseConfig) -> Result<Self, String> {
        let sql = format!(
            "select json_build_object('name', d.datname, 'oid', d.oid::bigint, \
             'major', current_setting('server_version_num')::int / 10000, 'owner', pg_get_userbyid(d.datdba), \
             'size', pg_database_size(d.oid), 'standby', pg_is_in_recovery(), \
             'encoding', pg_encoding_to_char(d.encoding), \
             'tablespace', (select spcname from pg_tablespace t where t.oid = d.dattablespace), 'row', to_json(d), \
             'directory', case when (select rolsuper from pg_roles where rolname = current_user) and d.dattablespace = \
             (select oid from pg_tablespace where spcname = 'pg_default') then current_setting('data_directory') end, \
             'slots', (select coalesce(json_agg(slot_name), '[]') from pg_replication_slots where database = d.datname), \
             'subscriptions', (select count(*) from pg_subscription where subdbid = d.oid), \
             'publications', (select count(*) from pg_publication), \
             'prepared', (select count(*) from pg_prepared_xacts where database = d.datname), \
             'sessions', (select coalesce(json_agg(json_build_object('who', who, 'count', n)), '[]') from (select \
             concat_ws(' ', usename, nullif(application_name, '')) who, count(*) n from pg_stat_activity where \
             datid = d.oid and backend_type = 'client backend' and usename <> {role} and pid <> pg_backend_pid() \
             and application_name <> 'midwatch' group by 1) s), \
             'grants', (select json_agg(json_build_object('privilege', a.privilege_type, 'grantable', a.is_grantable, \
             'role', r.rolname) order by r.rolname, a.privilege_type) from aclexplode(d.datacl) a left join pg_roles r \
             on r.oid = a.grantee), \
             'settings', (select coalesce(json_agg(json_build_object('role', r.rolname, 'config', s.setconfig) order by \
             r.rolname), '[]') from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole where \
             s.setdatabase = d.oid)) from pg_database d where d.datname = {name}",
            role = literal(&config.user),
            name = literal(&config.name),
        );
        // In the database itself: publications are of one database.
        let answer = psql::one(server, Some(&config.password), &config.name, &sql).await?;
        let answer = answer.ok_or_else(|| format!("there is no database {}", config.name))?;
        serde_json::from_str(&answer)
            .map_err(|error| format!("what the server says of {} is not clear: {error}", config.name))
    }

    /// Refuses what a change of names would break.
    pub(super) fn fit(&self, name: &str) -> Result<(), String> {
        let why = if self.standby {
            "its server is a standby: restore on the primary".to_owned()
        } else if let Some(slot) = self.slots.first() {
            format!(
                "the replication slot {} hangs on it and would follow the database that is put away",
                plain(slot, 60)
            )
        } else if self.subscriptions > 0 {
            "it has subscriptions, which would go on in the database that is put away".to_owned()
        } else if self.publications > 0 {
            "it publishes to others, who would follow the database that is put away".to_owned()
        } else if self.prepared > 0 {
            format!("{} prepared transactions are open in it: nothing can be renamed", self.prepared)
        } else {
            return Ok(());
        };
        Err(format!("{name} can't be exchanged by midwatch: {why}"))
    }

    /// Refuses where there is no room for two: for one as large as that in use, or as the backup lets expect.
    pub(super) fn room(&self, restored: u64) -> Result<(), String> {
        let free = self.directory.as_ref().and_then(|directory| rustix::fs::statvfs(directory.as_str()).ok());
        let Some(free) = free.map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)) else { return Ok(()) };
        let needed = self.size.max(restored);
        let needed = needed.saturating_add(needed / 5);
        if free < needed {
            return Err(format!(
                "there is no room for a second database: {} are free, about {} are needed (restore-in-place needs none)",
                bytes(free),
                bytes(needed)
            ));
        }
        Ok(())
    }

    fn text(&self, column: &str) -> Option<&str> {
        self.row.get(column).and_then(Value::as_str)
    }

    /// What makes an empty database like it.
    pub(super) fn create(&self, as_name: &str) -> String {
        let mut out = format!(
            "create database {} template template0 owner {} encoding {}",
            name(as_name),
            name(&self.owner),
            literal(&self.encoding)
        );
        let mut add = |what: &str, value: Option<&str>| {
            if let Some(value) = value {
                out = format!("{out} {what} {}", literal(value));
            }
        };
        match self.text("datlocprovider") {
            Some("i") => {
                add("locale_provider", Some("icu"));
                add("icu_locale", self.text("datlocale").or_else(|| self.text("daticulocale")));
                add("icu_rules", self.text("daticurules"));
            }
            Some("b") => {
                add("locale_provider", Some("builtin"));
                add("builtin_locale", self.text("datlocale"));
            }
            Some(_) if self.major >= 15 => add("locale_provider", Some("libc")),
            Some(_) | None => {}
        }
        add("lc_collate", self.text("datcollate"));
        add("lc_ctype", self.text("datctype"));
        // That of the template needs no right to be used.
        if self.tablespace != "pg_default" {
            out = format!("{out} tablespace {}", name(&self.tablespace));
        }
        match self.row.get("datconnlimit").and_then(Value::as_i64) {
            Some(limit) if limit >= 0 => format!("{out} connection limit {limit}"),
            Some(_) | None => out,
        }
    }

    /// What a change of names leaves behind: grants on the database, its settings, those of roles in it.
    pub(super) fn settings(&self, to: &str) -> Vec<String> {
        let mut out = Vec::new();
        let database = name(to);
        if let Some(grants) = &self.grants {
            out.push(format!("revoke all on database {database} from public, {}", name(&self.owner)));
            out.extend(grants.iter().map(|grant| {
                let role = grant.role.as_ref().map_or_else(|| "public".to_owned(), |role| name(role));
                let with = if grant.grantable { " with grant option" } else { "" };
                format!("grant {} on database {database} to {role}{with}", grant.privilege)
            }));
        }
        for setting in &self.settings {
            let whose = match &setting.role {
                None => format!("alter database {database}"),
                Some(role) => format!("alter role {} in database {database}", name(role)),
            };
            for pair in &setting.config {
                let Some((key, value)) = pair.split_once('=') else { continue };
                let value = if LISTS.contains(&key) && !value.is_empty() { value.to_owned() } else { literal(value) };
                let key = key.split('.').map(name).collect::<Vec<_>>().join(".");
                out.push(format!("{whose} set {key} to {value}"));
            }
        }
        out
    }
}
