//! Servers of Debian's packages that have paths built in, or look at files of the machine: each gets a
//! root of its own, with the package, what it runs, and the libraries of all that. For root alone.

use super::{Place, Server, is_root, package};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const USERS: &str = "root:x:0:0::/:/bin/sh
nobody:x:65534:65534::/mail:/bin/sh
courier:x:65534:65534::/mail:/bin/false
opensmtpd:x:901:901::/var/lib/opensmtpd/empty:/bin/false
opensmtpq:x:902:902::/var/lib/opensmtpd/empty:/bin/false
";
const GROUPS: &str =
    "root:x:0:\nnogroup:x:65534:\ncourier:x:65534:\nopensmtpd:x:901:\nopensmtpq:x:902:\n";

/// A root with a package, of which these programs are run, and with these of the machine.
fn root(name: &str, programs: &[&str], tools: &[&str]) -> Place {
    let place = Place::new(name);
    let package = package(name);
    run(Command::new("cp").arg("-a").arg(package.join(".")).arg(place.dir.path()));
    run(Command::new("chmod").arg("755").arg(place.dir.path()));
    let copy = |from: &Path, inside: &str| {
        let to = place.path(inside.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    };
    tools.iter().for_each(|tool| copy(Path::new(tool), tool));
    let programs = programs.iter().map(|program| package.join(program));
    for program in programs.chain(tools.iter().map(Into::into)) {
        let said = run(Command::new("ldd").arg(program));
        let libraries = said.split_whitespace().filter(|word| word.starts_with('/'));
        libraries.for_each(|library| copy(Path::new(library), library));
    }
    place.folder("tmp", Some("nobody"));
    place.folder("dev", None);
    run(Command::new("mknod")
        .args(["-m", "666"])
        .arg(place.path("dev/null"))
        .args(["c", "1", "3"]));
    place.write("etc/passwd", USERS);
    place.write("etc/group", GROUPS);
    place
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// Writes a script into a root.
fn script(place: &Place, inside: &str, text: &str) {
    place.write(inside, text);
    std::fs::set_permissions(place.path(inside), PermissionsExt::from_mode(0o755)).unwrap();
}

/// Starts a program in its root.
fn start(place: Place, words: &[&str]) -> Option<Server> {
    let mut command = Command::new("chroot");
    command.arg(place.dir.path()).args(words);
    Some(place.start(&command))
}

/// OpenSMTPD. `None`: we are not root.
pub fn opensmtpd() -> Option<Server> {
    if !is_root() {
        return None;
    }
    let delivers = "usr/libexec/opensmtpd/mail.maildir";
    let place = root("opensmtpd", &["usr/sbin/smtpd", delivers], &["/bin/sh"]);
    for inside in ["var/spool/smtpd", "var/run"] {
        place.folder(inside, None);
    }
    std::fs::set_permissions(place.path("var/spool/smtpd"), PermissionsExt::from_mode(0o711))
        .unwrap();
    let settings = format!(
        "table users {{ \"gone@example.com\" = \"error:550 no such user\", \
         \"later@example.com\" = \"error:451 not now\", \"@example.com\" = \"nobody\" }}
listen on 127.0.0.1 port {} hostname mail.mailroom.test
action all maildir \"/mail\" virtual <users>
match from any for domain example.com action all
",
        place.port
    );
    place.write("etc/smtpd.conf", &settings);
    start(place, &["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"])
}

/// Delivers a mail as a file of a name that no other has.
const DELIVER: &str = "#!/bin/sh
cd /mail && { echo \"Delivered-To: $1\"; cat; } >\"tmp/$1.$$\" && mv \"tmp/$1.$$\" new/
";

/// Sendmail, with rules as few as its language needs. `None`: we are not root.
pub fn sendmail() -> Option<Server> {
    if !is_root() {
        return None;
    }
    let program = "usr/libexec/sendmail/sendmail";
    let place = root("sendmail", &[program], &["/bin/sh", "/bin/cat", "/bin/mv"]);
    place.folder("queue", Some("nobody"));
    script(&place, "deliver", DELIVER);
    // It waits for a minute where the machine has no name with a dot.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    place.write("etc/hosts", &format!("127.0.0.1 localhost\n127.0.0.2 mail.mailroom.test {host}"));
    place.write("etc/nsswitch.conf", "hosts: files\n");
    let settings = format!(
        "V10/Berkeley
Djmail.mailroom.test
Cwlocalhost
O DaemonPortOptions=Name=MTA, Addr=127.0.0.1, Port={}
O QueueDirectory=/queue
O PidFile=/queue/pid
O OperatorChars=.:%@!^/[]+
O DontProbeInterfaces=True
O DeliveryMode=background
O Timeout.ident=0
O QueueLA=1000
O RefuseLA=1000
O RunAsUser=nobody
O DefaultUser=nobody
Troot nobody
H?P?Return-Path: <$g>
Mlocal, P=/deliver, F=lsDFMPn, T=DNS/RFC822/X-Unix, A=deliver $u
Mprog, P=/bin/false, F=ls, T=X-Unix/X-Unix/X-Unix, A=false
S3
R$* < $+ > $*\t$@ $2
S0
Rgone @ $+\t$#error $@ 5.1.1 $: \"550 User unknown\"
Rlater @ $+\t$#error $@ 4.2.0 $: \"450 Not now\"
R$+ @ example.com\t$#local $: $1 @ example.com
R$*\t$#error $@ 5.7.1 $: \"550 Relaying denied\"
",
        place.port,
    );
    place.write("etc/mail/sendmail.cf", &settings);
    start(place, &[&format!("/{program}"), "-bD", "-C", "/etc/mail/sendmail.cf"])
}

/// Whether Courier takes a recipient: its filter is asked with `rcptfilter-NAME`.
const FILTER: &str = "#!/bin/sh
case $4 in
    rcptfilter-gone) echo '550 No such user' ;;
    rcptfilter-later) echo '450 Not now' ;;
    *) exit 0 ;;
esac
exit 1
";

/// Courier, as the package has it, but without DNS, without the wait after a refusal, and with more than five
/// connections from an address: those that end count for a while. `None`: we are not root.
pub fn courier() -> Option<Server> {
    if !is_root() {
        return None;
    }
    // What needs most libraries; the others need no more.
    let programs = [
        "usr/lib/courier/courier-authlib/authdaemond",
        "usr/lib/courier/courier/courierd",
        "usr/lib/libcourierauthcommon.so.0",
    ];
    let place = root("courier", &programs, &["/bin/sh", "/bin/sleep", "/usr/bin/setsid"]);
    for inside in ["", "/allfilters", "/filters", "/msgq", "/msgs", "/tmp", "/track"] {
        place.folder(&format!("var/lib/courier{inside}"), Some("nobody"));
    }
    place.folder("run/courier/authdaemon", Some("nobody"));
    for (name, line) in [
        ("environment", ""),
        ("courier/me", "mail.mailroom.test"),
        ("courier/locals", "example.com"),
        ("courier/esmtpacceptmailfor", "example.com"),
        ("courier/maildropfilter", "/filter"),
        ("courier/aliasdir/.courier-default", "/mail"),
        ("courier/authdaemonrc", "authmodulelist=\"\"\ndaemons=2"),
    ] {
        place.write(&format!("etc/{name}"), &format!("{line}\n"));
    }
    script(&place, "filter", FILTER);
    let text = format!(
        "#!/bin/sh
set -a
. /etc/courier/courierd
. /etc/courier/esmtpd
BOFHCHECKDNS=0
TARPIT=0
MAXPERC=$MAXDAEMONS
MAXPERIP=$MAXDAEMONS
# The listener leaves the group of these processes.
trap 'trap \"\" TERM; kill 0 $listener; wait; exit' TERM
/usr/lib/courier/courier-authlib/authdaemond &
# Without it no recipient is known.
until [ -S /run/courier/authdaemon/socket ]; do sleep 0.02; done
/usr/lib/courier/courier/courierd &
/usr/sbin/couriertcpd -address=127.0.0.1 -nodnslookup -noidentlookup \
    -user=$MAILUSER -group=$MAILGROUP \
    -maxprocs=$MAXDAEMONS -maxperc=$MAXPERC -maxperip=$MAXPERIP \
    {} /usr/sbin/courieresmtpd &
listener=$!
wait
",
        place.port,
    );
    script(&place, "start", &text);
    start(place, &["/usr/bin/setsid", "/start"])
}
