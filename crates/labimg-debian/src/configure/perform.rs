//! Performs the recognised actions: each with the tool that the script would have called.

use super::recognise::Action;
use super::tools::{
    adduser, base_files, base_passwd, deb_systemd_helper, dpkg_divert, dpkg_statoverride, pam_auth_update,
    shadowconfig, shell, systemctl, systemd_sysusers, systemd_tmpfiles, ucf, units, update_alternatives,
    update_ca_certificates, update_rc_d, update_shells,
};
use super::{ConfigureError, Context};

/// Performs one action.
///
/// # Errors
/// When the tree cannot take the change, or a file that the tool reads is missing or malformed.
pub(super) fn perform(action: &Action, context: &mut Context<'_>) -> Result<(), ConfigureError> {
    match action {
        Action::Sysusers { files } => systemd_sysusers::create(context, files),
        Action::AddUser { name, home } => adduser::system_user(context, name, home),
        Action::AddGroup { name } => adduser::system_group(context, name),
        Action::Shadow => shadowconfig::on(context),
        Action::Dir { path, mode, owner, group } => shell::mkdir(context, path, *mode, owner, group),
        Action::File { path, mode, owner, group, content } => shell::file(context, path, *mode, owner, group, content),
        Action::Copy { from, to, without } => shell::copy(context, from, to, without.as_deref()),
        Action::Link { path, target, replace } => {
            let target = context.expand(target);
            shell::link(context, path, &target, *replace)
        }
        Action::Own { path, owner, group, mode } => {
            shell::own(context, path, owner.as_deref(), group.as_deref(), *mode)
        }
        Action::StatOverride { path, owner, group, mode } => dpkg_statoverride::add(context, owner, group, *mode, path),
        Action::Divert { path, to } => {
            let (path, to) = (context.expand(path), context.expand(to));
            dpkg_divert::add(context, &path, &to)
        }
        Action::Enable { unit, user } => deb_systemd_helper::enable(context, unit, units::Manager::of(*user)),
        Action::UpdateState { unit, user } => {
            deb_systemd_helper::update_state(context, unit, units::Manager::of(*user))
        }
        Action::Systemctl { enable } => systemctl::enable(context.tree, enable),
        Action::Tmpfiles { files } => systemd_tmpfiles::create(context, files),
        Action::Rc { script } => update_rc_d::defaults(context, script),
        Action::Trigger { name } => {
            context.triggered.insert(name.clone());
            Ok(())
        }
        Action::Alternative { words } => update_alternatives::call(context, words),
        Action::BaseFiles => base_files::configure(context),
        Action::BasePasswd => base_passwd::configure(context),
        Action::Shells => update_shells::update(context),
        Action::Certificates { head } => update_ca_certificates::configure(context, head),
        Action::Pam => pam_auth_update::package(context, &[]),
        Action::UcfState => ucf::prepare(context),
        Action::Ucf { source, target, three_way, register } => {
            ucf::install(context, source, target, *three_way)?;
            if *register {
                ucf::register(context, target)?;
            }
            Ok(())
        }
    }
}
