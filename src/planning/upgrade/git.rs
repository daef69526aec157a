//! An upgrade to one commit of a repository: which it is, what its source says, and whether it may follow what is installed.

use super::super::NoPlan;
use super::built::Built;
use super::{Draft, Installation, Step, Subject, Upgrade, environment, installation, no, room};
use crate::backends::git::{self, Source};
use crate::backends::pip;
use crate::domain::repository::{Wish, address, chosen, short, wish};
use crate::domain::text::plain;

/// What stands for the application's own repository.
const OWN: &str = "own";
/// Migrations that are named.
const NAMED: usize = 12;

/// Where the application is developed.
fn own(of: &Installation) -> Result<String, NoPlan> {
    match of.name {
        "pretix" => Ok("https://github.com/pretix/pretix.git".to_owned()),
        "pretalx" => Ok("https://github.com/pretalx/pretalx.git".to_owned()),
        name => Err(no(format!("where {name} is developed is not known: give its repository"))),
    }
}

/// What is installed must fit together now: the same is asked of what was built, and would fail for what was so before.
async fn fits(of: &Installation) -> Result<(), NoPlan> {
    if pip::fits(of).await.map_err(no)? {
        return Ok(());
    }
    Err(no(format!(
        "what is installed in {} does not fit together as it is: `{} -m pip check` says what; mend that first",
        of.venv.display(),
        of.python().display()
    )))
}

impl Draft<'_> {
    /// Looks at everything that must be so, and makes the steps. What is planned is one commit: a branch may move on.
    pub(in crate::planning) async fn upgrade_from_git(
        &mut self,
        (commit, repository): (&str, &str),
        step: &Step,
    ) -> Result<(), NoPlan> {
        let site = self.upgraded()?;
        if site.releases.is_some() {
            return Err(no(
                "its releases lie side by side: lay the commit's there as one of them, then `upgrade` to it",
            ));
        }
        let of = installation(site).map_err(no)?;
        Self::may_change(&of)?;
        environment(&of)?;
        let wrong = |name: &str, value: &str, why| NoPlan::Wrong(name.to_owned(), plain(value, 60), why, Vec::new());
        // The address is not repeated: there may be a password in it.
        let url = match repository {
            OWN => own(&of)?,
            told => address(told).map_err(|why| wrong("repository", "…", why))?,
        };
        let wish = wish(commit).map_err(|why| wrong("commit", commit, why))?;
        git::there().map_err(no)?;
        let found = match wish {
            Wish::Id(id) => {
                // Beside what is approved, as the name of a branch is: a token for the one is good for the other.
                self.at_risk.push(format!(
                    "Some servers (GitHub's is one) hand out commits of everybody's copies of a repository under its address: \
                     that {id} is one of {url} itself is for whoever approves this. A branch or a tag is looked up there."
                ));
                id
            }
            Wish::Name(name) => {
                let listed = git::listed(&of, &url, &name).await.map_err(no)?;
                let found = chosen(&listed, &name).map_err(|why| wrong("commit", commit, format!("{url} {why}")))?;
                self.at_risk.push(format!("{name} is commit {found} of {url}."));
                found
            }
        };
        // From here on it is the commit alone, and no name of it.
        self.typed = Some(short(&found).to_owned());
        self.values.insert("commit".to_owned(), found.clone());
        self.values.insert("repository".to_owned(), url.clone());
        let source = git::fetch(&of, &url, &found).await.map_err(no)?;
        let fail = |why: String| no(format!("commit {found} of {url}: {why}"));
        let version = source.version(of.name).map_err(fail)?;
        let built = Built { repository: url, commit: found };
        let same = of.version == version && of.commit.as_ref() == Some(&built.commit);
        if same {
            self.is_unfinished(&of).await?;
        } else {
            self.may_jump(&of, &version, None).await?;
            self.may_migrate((&of, &version), &built, &source).await?;
            room(&of).await?;
            fits(&of).await?;
        }
        drop(source);
        let (web, behind) = self.running(&of).await?;
        let backup = self.fresh_backup(site).await?;
        let schema = self.count_on(Subject::Schema).await?;
        let built = (!same).then_some(built);
        let upgrade = Upgrade { of, version, wheels: None, changes: Vec::new(), built, backup, schema, web, behind };
        self.upgrade_steps(&upgrade, step).await
    }

    /// What the commit's source says of itself: the database must know nothing that it lacks.
    async fn may_migrate(
        &mut self,
        (of, version): (&Installation, &str),
        built: &Built,
        source: &Source,
    ) -> Result<(), NoPlan> {
        let Built { repository, commit } = built;
        let packages = source.packages(of.name);
        let told = packages.display().to_string();
        let code = self.looker.code_in(&told, of.name).await;
        let code =
            code.map_err(|_none| no(format!("commit {commit} of {repository} has no migrations of {}", of.name)))?;
        let foreign = self.looker.foreign(&packages, of.name).await.map_err(no)?;
        if !foreign.is_empty() {
            return Err(no(format!(
                "the database has seen migrations that commit {commit} does not know: {}. That is no upgrade but a way back: \
                 undo-upgrade puts back what an upgrade by midwatch has kept, where the database allows it",
                foreign.join(", ")
            )));
        }
        let mut pending = self.looker.pending(&code).await.map_err(no)?;
        let more = pending.len().saturating_sub(NAMED);
        pending.truncate(NAMED);
        let migrations = match (pending.as_slice(), more) {
            ([], _) => "none of its own".to_owned(),
            (some, 0) => some.join(", "),
            (some, more) => format!("{} and {more} more", some.join(", ")),
        };
        self.costs.push(format!(
            "{} {} is exchanged for what is built from commit {commit} of {repository}, which says it is {version}.",
            of.name,
            of.told()
        ));
        self.costs.push(format!(
            "Building it runs that repository's own code as {} on this host, with all that this user may do: in the step \
             `build`, before anything is stopped. Nothing of it was run for this plan.",
            of.user
        ));
        self.costs.push(format!(
            "What else is installed with it can't be known before it is built: `install into a copy of the installation` \
             says it, before anything is stopped. Migrations it brings, as its source says: {migrations}."
        ));
        Ok(())
    }
}
