//! Exim takes all paths from its settings.

use super::{Place, Server, is_root, package};
use std::process::Command;

/// Exim, without a queue run: what it does not deliver at once stays. `None`: we are not root.
pub fn exim() -> Option<Server> {
    if !is_root() {
        return None;
    }
    let program = package("exim4").join("usr/sbin/exim4");
    let place = Place::new("exim");
    place.folder("spool", Some("nobody"));
    place.folder("log", Some("nobody"));
    let settings = format!(
        "exim_path = {program}
exim_user = nobody
exim_group = nogroup
never_users =
keep_environment =
spool_directory = {dir}/spool
log_file_path = {dir}/log/%s
pid_file_path = {dir}/log/pid
primary_hostname = mail.mailroom.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
acl_smtp_rcpt = check
acl_smtp_data = accept
begin acl
check:
  deny local_parts = gone
  defer local_parts = later
  accept domains = example.com
  deny message = relay not permitted
begin routers
all:
  driver = accept
  transport = dir
begin transports
dir:
  driver = appendfile
  headers_add = Delivered-To: $local_part@$domain
  maildir_format
  directory = {dir}/mail
  user = nobody
  group = nogroup
",
        program = program.display(),
        dir = place.dir.path().display(),
        port = place.port,
    );
    place.write("conf", &settings);
    let mut command = Command::new(program);
    command.arg("-C").arg(place.path("conf")).arg("-bdf");
    Some(place.start(&command))
}
