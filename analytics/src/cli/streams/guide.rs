//! What a plan says beside its commands: how the Workers are bound, the way from the version before, the view over all.

use std::collections::BTreeSet;

use super::folder::Version;
use super::Target;

/// The steps by hand for `version`, and its view over the `older` ones.
pub(super) fn guide(target: &Target, version: &Version, older: &[&Version]) -> String {
    let steps = match older.last() {
        Some(previous) => replacing(target, version, previous, older.len() + 1),
        None => format!("# {}\n", binding(target, version)),
    };
    format!(
        "{steps}# View without repetitions (DuckDB, attached as lake)\n{}\n\n",
        view(version, older)
    )
}

/// How the Workers are bound to `version`.
pub(super) fn binding(target: &Target, version: &Version) -> String {
    format!(
        "Bind {} to {} in env.{} of wrangler.jsonc: \"pipeline\" is its id (`wrangler {} streams list`).",
        version.binding(),
        target.named(&version.name()),
        target.environment,
        target.product.words().join(" "),
    )
}

fn replacing(target: &Target, version: &Version, previous: &Version, table_count: usize) -> String {
    format!(
        "# From {old} to {new}, by hand:\n\
         # 1. Dual send: in every Worker that binds {old_binding}, keep it and bind {new_binding} beside it. {bind}\n\
         #    Deploy Workers of this checkout. They acknowledge an event when both streams have it, and send it again to\n\
         #    both when one fails; the log names the stream.\n\
         # 2. Read both by the view below, {table_count} tables: an event has one event_id in all and counts once.\n\
         #    Before a `weir` of this checkout refreshes, run `weir backfill --from` its first order `--until now --again` for\n\
         #    each shop: it reads the new table, and all of the history is told again to it under the same ids.\n\
         # 3. Cut over: when every reader uses the view or the new table, remove the binding {old_binding} and deploy.\n\
         #    Until then going back is removing {new_binding}. {old} and its table stay as history; when nothing is bound to\n\
         #    it, its pipeline, sink and stream may be deleted, the table not.\n",
        old = previous.name(),
        new = version.name(),
        old_binding = previous.binding(),
        new_binding = version.binding(),
        bind = binding(target, version),
    )
}

/// One row per event over every version of a family, from the newest version that has it.
fn view(version: &Version, older: &[&Version]) -> String {
    let mut all: Vec<&Version> = older.to_vec();
    all.push(version);
    let selects: Vec<_> = all
        .iter()
        .map(|one| {
            format!(
                "select *, {} as stream_version from lake.{}.{}",
                one.number,
                one.family,
                one.table()
            )
        })
        .collect();
    let columns: BTreeSet<_> = all
        .iter()
        .flat_map(|one| &one.columns)
        .filter(|name| *name != "event_id")
        .collect();
    let picked: Vec<_> = columns
        .iter()
        // Struct around the value: arg_max skips nulls, and a newer null must not be filled from an older row.
        .map(|name| format!("arg_max({{'v': {name}}}, (stream_version, received_at)).v as {name}"))
        .collect();
    format!(
        "create or replace view {}_telemetry as\nselect event_id, {}\nfrom (\n  {}\n)\ngroup by event_id;",
        version.family,
        picked.join(",\n  "),
        selects.join("\n  union all by name\n  ")
    )
}
