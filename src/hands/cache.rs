//! The cache of a site, which remembers what its database no longer says.

use std::time::Duration;

use super::work::Tools;
use crate::domain::text::plain;

/// How long it may take in all.
const LIMIT: Duration = Duration::from_mins(1);
/// Keys asked for at once.
const MANY: usize = 1_000;

/// Removes the keys that begin so, a few at a time: nothing else is held up.
pub(super) async fn forget(tools: &Tools<'_>, prefix: &str) -> Result<String, String> {
    let site = tools.site.ok_or_else(|| "there is no site".to_owned())?;
    let client = crate::backends::redis::client(site.redis.as_ref().map_err(Clone::clone)?).await?;
    match tokio::time::timeout(LIMIT, removed(&client, prefix)).await {
        Ok(Ok(removed)) => Ok(format!("{removed} keys are removed")),
        Ok(Err(error)) => Err(format!("Redis: {}", plain(&error.to_string(), 160))),
        Err(_) => Err(format!("Redis has not answered within {} s", LIMIT.as_secs())),
    }
}

async fn removed(client: &redis::Client, prefix: &str) -> redis::RedisResult<u64> {
    let mut connection = client.get_multiplexed_async_connection().await?;
    let (mut cursor, mut removed) = (0_u64, 0_u64);
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(MANY);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        if !keys.is_empty() {
            removed += redis::cmd("UNLINK").arg(keys).query_async::<u64>(&mut connection).await?;
        }
        if next == 0 {
            return Ok(removed);
        }
        cursor = next;
    }
}
