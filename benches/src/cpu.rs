//! CPU time of this process, user and kernel.

use anyhow::Context as _;

/// Clock ticks per second that Linux reports to user space, on every architecture it runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of CPU this process has used so far, all threads.
pub(crate) fn process_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("no /proc/self/stat here")?;
    let after_name = stat.rsplit_once(") ").context("an odd /proc/self/stat")?.1;
    let mut fields = after_name.split(' ').skip(11);
    let mut ticks = || -> anyhow::Result<f64> {
        let field = fields.next().context("a short /proc/self/stat")?;
        Ok(f64::from(field.parse::<u32>()?))
    };
    Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
}
