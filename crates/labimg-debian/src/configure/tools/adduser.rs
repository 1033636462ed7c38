//! `adduser --system` and `addgroup --system` (adduser(8)).

use super::super::{ConfigureError, Context};
use super::accounts::{Accounts, User};

/// Ids of system users and groups, counted up (adduser.conf(5), `FIRST_SYSTEM_UID`).
const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 100..=999;
/// `nogroup`, the group of system users without their own group.
const NOGROUP: u32 = 65_534;

/// `adduser --system --no-create-home --home HOME NAME`.
///
/// # Errors
/// When no uid is free, or the account files cannot be read or written.
pub(crate) fn system_user(context: &mut Context<'_>, name: &str, home: &str) -> Result<(), ConfigureError> {
    Accounts::edit(context.tree, |accounts| add_user(accounts, name, home))
}

/// `addgroup --system NAME`.
///
/// # Errors
/// When no gid is free, or the account files cannot be read or written.
pub(crate) fn system_group(context: &mut Context<'_>, name: &str) -> Result<(), ConfigureError> {
    Accounts::edit(context.tree, |accounts| add_group(accounts, name))
}

/// Group `nogroup`, no login, the first free uid from 100 up. An existing user stays as it is.
pub(super) fn add_user(accounts: &mut Accounts, name: &str, home: &str) -> Result<(), ConfigureError> {
    if accounts.has_user(name) {
        return Ok(());
    }
    let uid = SYSTEM_IDS.clone().find(|&id| !accounts.holds_uid(id));
    let uid = uid.ok_or_else(|| ConfigureError::NoFreeId { kind: "user", name: name.to_owned() })?;
    let user = User {
        name: name.to_owned(),
        password: "x".to_owned(),
        uid,
        gid: NOGROUP,
        gecos: String::new(),
        home: home.to_owned(),
        shell: "/usr/sbin/nologin".to_owned(),
    };
    accounts.add_user(user, "!", None);
    Ok(())
}

/// The first free gid from 100 up. An existing group stays as it is.
pub(super) fn add_group(accounts: &mut Accounts, name: &str) -> Result<(), ConfigureError> {
    if accounts.has_group(name) {
        return Ok(());
    }
    let gid = SYSTEM_IDS.clone().find(|&id| !accounts.holds_gid(id));
    let gid = gid.ok_or_else(|| ConfigureError::NoFreeId { kind: "group", name: name.to_owned() })?;
    accounts.add_group(name, gid, "!");
    Ok(())
}
