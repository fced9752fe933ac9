//! What is in docs/deploy: the unit, the examples for containers, the package.

use crate::support::cluster::Database;
use crate::support::endpoint::Endpoint;
use crate::support::manager::Manager;
use crate::support::program::{KEY, PATIENCE, Program, Text, wait_until};
use crate::support::python::python;
use crate::support::tools::{assert_silent, run, tool};
use mailroom::mail::error::Kind;
use mailroom::ops::cmd;
use mailroom::ops::config::VARS;
use mailroom::ops::config::reader::{Inputs, Var};
use mailroom::ops::settings::Settings;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn path(name: &str) -> PathBuf {
    root().join("docs/deploy").join(name)
}

/// The values of a key of the unit, in their order.
fn unit(key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(path("mailroom.service")).unwrap();
    let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// What systemd has to say about this text as our unit. It reads the units that ours names too, and
/// what it finds in another package's is left out.
fn complaints(text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("mailroom.service");
    std::fs::write(&copy, text).unwrap();
    let mut verify = tool("systemd-analyze").unwrap();
    let output = verify.args(["verify", "--man=no"]).arg(copy).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    log.lines().filter(|line| line.contains("mailroom.service")).map(str::to_owned).collect()
}

#[test]
fn systemd_finds_the_unit_sound_and_little_exposed() {
    let Some(mut security) = tool("systemd-analyze") else { return };
    let text = std::fs::read_to_string(path("mailroom.service")).unwrap();
    // The program is not installed here; in the unit it must be where the package puts it.
    let start = concat!("ExecStart=", env!("CARGO_BIN_EXE_mailroom"), " ");
    let here = text.replace("ExecStart=/usr/bin/mailroom ", start);
    assert_ne!(here, text);
    assert_eq!(complaints(&here), [""; 0]);
    for (right, wrong) in [("Type=", "Typo="), (start, "ExecStart=/nowhere ")] {
        assert_eq!(complaints(&here.replace(right, wrong)).len(), 1, "it finds what is wrong");
    }
    let said = run(security.args(["security", "--offline=true"]).arg(path("mailroom.service")));
    let level = said.split("Overall exposure level for mailroom.service: ").nth(1).unwrap();
    let level: f32 = level.split(' ').next().unwrap().parse().unwrap();
    assert!(level < 2.0, "{said}");
    println!("exposure: {level}");
}

#[test]
fn the_program_runs_with_what_the_unit_gives_it_and_tells_when_it_is_ready() {
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let directory = tempfile::tempdir().unwrap();
    for credential in unit("LoadCredential") {
        let (name, _) = credential.split_once(':').unwrap();
        assert!(VARS.iter().any(|var| var.name == name && var.is_secret()), "{name}");
        let text = if name == "MAILROOM_SECRET_KEY" { KEY } else { &database.url };
        std::fs::write(directory.path().join(name), format!("{text}\n")).unwrap();
    }
    let mut program = Program::run(&database, &endpoint.url())
        .without("MAILROOM_DATABASE_URL")
        .without("MAILROOM_SECRET_KEY")
        .env("CREDENTIALS_DIRECTORY", directory.path());
    for assignment in unit("Environment") {
        let (name, value) = assignment.split_once('=').unwrap();
        assert!(VARS.iter().any(|var| var.name == name), "{name}");
        program = program.env(name, value.replace("%S", &directory.path().display().to_string()));
    }
    assert_eq!(unit("ExecStart"), ["/usr/bin/mailroom run"]);
    assert_eq!(unit("Type"), ["notify"]);
    let manager = Manager::start();
    let run = manager.manages(program).start();
    manager.wait("READY=1");
    database.accounts("user", 1);
    manager.wait("STATUS=1 messages handed over");
    assert_eq!(run.stop().code, Some(0));
    let never = [Kind::Usage, Kind::Config].map(|kind| (kind as u8).to_string());
    assert_eq!(unit("RestartPreventExitStatus"), [never.join(" ")]);
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    let script = "import sys, json, yaml; \
                  print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let out = run(Command::new(python()).args(["-c", script]).arg(path(name)));
    serde_json::from_str(&out).unwrap()
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The program takes these words in this environment. The files named in it must be among those
/// that are there; they get a value that fits.
fn assert_taken(arguments: &[String], env: &BTreeMap<String, String>, files: &[String]) {
    let dir = tempfile::tempdir().unwrap();
    let parsed = cmd::parse(arguments.iter().map(Into::into).collect()).unwrap();
    let mut env = env.clone();
    for (name, value) in &mut env {
        if let Some(secret) = name.strip_suffix("_FILE") {
            assert!(files.contains(value), "{name}: nothing is mounted at {value}: {files:?}");
            let text = if secret == "MAILROOM_SECRET_KEY" { KEY } else { "dbname=example" };
            *value = dir.path().join(secret).display().to_string();
            std::fs::write(&*value, text).unwrap();
        }
        let setting = name.strip_suffix("_FILE").unwrap_or(name);
        let used = |var: &&Var| var.used_by.contains(&parsed.name);
        let known = VARS.iter().filter(used).any(|var| var.name == setting);
        assert!(known || name.starts_with("AWS_"), "{name} is no setting of {}", parsed.name);
    }
    let flags = parsed.flags;
    let lookup = |name: &str| env.get(name).map(Into::into);
    let inputs = Inputs { command: parsed.name, flags: &flags, env: &lookup };
    let problems = Settings::read(&inputs).problems;
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn the_compose_file_gives_the_program_settings_that_it_takes() {
    let [file] = &yaml("compose.yaml")[..] else { panic!("one document") };
    let services = file["services"].as_object().unwrap();
    let mut ours = 0;
    for service in services.values() {
        let mut files = Vec::new();
        for secret in words(&service.get("secrets").cloned().unwrap_or(Value::Array(vec![]))) {
            assert!(file["secrets"].get(&secret).is_some(), "{secret}");
            files.push(format!("/run/secrets/{secret}"));
        }
        for (needed, _) in
            service.get("depends_on").and_then(Value::as_object).into_iter().flatten()
        {
            assert!(services.contains_key(needed), "{needed}");
        }
        if service["image"] != "mailroom" {
            continue;
        }
        ours += 1;
        let env = service["environment"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let env = env.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        assert_taken(&words(&service["command"]), &env, &files);
        assert_eq!(service["read_only"], true);
        assert_eq!(words(&service["cap_drop"]), ["ALL"]);
    }
    assert_eq!(ours, 2, "the schema and the daemon");
}

#[test]
fn compose_itself_takes_the_compose_file() {
    // Version 2 is a part of docker, version 1 a program of its own.
    for words in [&["docker", "compose"][..], &["docker-compose"]] {
        let compose = || {
            let mut compose = std::process::Command::new(words[0]);
            compose.args(&words[1..]);
            compose
        };
        if !compose().arg("version").output().is_ok_and(|output| output.status.success()) {
            eprintln!("left out, not installed: {}", words.join(" "));
            continue;
        }
        let file = path("compose.yaml");
        assert_silent(compose().arg("-f").arg(file).args(["config", "--quiet"]));
    }
}

#[test]
fn the_kubernetes_example_gives_the_program_settings_that_it_takes_and_no_rights() {
    let documents = yaml("kubernetes.yaml");
    let accounts: Vec<&Value> =
        documents.iter().filter(|it| it["kind"] == "ServiceAccount").collect();
    let mut kinds = Vec::new();
    for document in documents.iter().filter(|it| it["kind"] != "ServiceAccount") {
        kinds.push(document["kind"].as_str().unwrap());
        let pod = &document["spec"]["template"]["spec"];
        assert_eq!(pod["serviceAccountName"], accounts[0]["metadata"]["name"]);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let [container] = &pod["containers"].as_array().unwrap()[..] else { panic!("one") };
        let mut files = Vec::new();
        for mount in container["volumeMounts"].as_array().unwrap() {
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap();
            let at = mount["mountPath"].as_str().unwrap();
            for item in volume["secret"]["items"].as_array().into_iter().flatten() {
                files.push(format!("{at}/{}", item["path"].as_str().unwrap()));
            }
        }
        let text = |pair: &Value, name: &str| pair[name].as_str().unwrap().to_owned();
        let env = container["env"].as_array().unwrap();
        let env = env.iter().map(|pair| (text(pair, "name"), text(pair, "value"))).collect();
        assert_taken(&words(&container["args"]), &env, &files);
        let rights = &container["securityContext"];
        assert_eq!(rights["allowPrivilegeEscalation"], false);
        assert_eq!(rights["readOnlyRootFilesystem"], true);
        assert_eq!(words(&rights["capabilities"]["drop"]), ["ALL"]);
        assert!(container["resources"]["limits"]["memory"].is_string());
        if document["kind"] == "Deployment" {
            let labels = &document["spec"]["template"]["metadata"]["labels"];
            assert_eq!(&document["spec"]["selector"]["matchLabels"], labels);
            let words = words(&container["readinessProbe"]["exec"]["command"]);
            assert_eq!(words[0], "/mailroom", "the image has nothing else");
            let parsed = cmd::parse(words[1..].iter().map(Into::into).collect()).unwrap();
            assert_eq!(parsed.name, "health");
        }
    }
    assert_eq!(kinds, ["Job", "Deployment"]);
}

#[test]
fn the_image_asks_the_program_whether_mail_moves() {
    let text = std::fs::read_to_string(root().join("Dockerfile")).unwrap();
    let text = text.replace("\\\n", "");
    let check = text.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")).unwrap();
    let (_, command) = check.split_once("CMD ").unwrap();
    let words: Vec<String> = serde_json::from_str(command).unwrap();
    assert_eq!(words, ["/mailroom", "health"]);
    assert!(text.contains("ENTRYPOINT [\"/mailroom\"]"));
}

#[test]
fn the_package_holds_files_that_are_there() {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    let cargo = cargo.args(["metadata", "--no-deps", "--format-version=1", "--offline"]);
    let metadata: Value = serde_json::from_str(&run(cargo.current_dir(root()))).unwrap();
    let deb = &metadata["packages"][0]["metadata"]["deb"];
    let mut programs = 0;
    for asset in deb["assets"].as_array().unwrap() {
        let words = words(asset);
        let [source, target, mode] = &words[..] else { panic!("three words: {words:?}") };
        programs += u32::from(target == "usr/bin/" && mode == "755");
        if source == "target/release/mailroom" {
            continue;
        }
        let (folder, name) = source.rsplit_once('/').unwrap_or((".", source));
        let files = std::fs::read_dir(root().join(folder)).unwrap().flatten();
        let names = files.map(|entry| entry.file_name().into_string().unwrap());
        let fits = |file: &String| match name.split_once('*') {
            Some((start, end)) => file.starts_with(start) && file.ends_with(end),
            None => file == name,
        };
        assert!(names.into_iter().any(|file| fits(&file)), "there is no {source}");
    }
    assert_eq!(programs, 1);
}

#[test]
fn supervisord_starts_it_again_unless_a_setting_is_wrong_and_stops_it_in_time() {
    let Some(mut supervisord) = tool("supervisord") else { return };
    let database = Database::migrated();
    let endpoint = Endpoint::start();
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().display().to_string();
    let settings = format!(
        "MAILROOM_DATABASE_URL={}\nMAILROOM_SECRET_KEY={KEY}\nMAILROOM_SES_SOURCE=Mail <a@b.c>\n\
         MAILROOM_BATCH_TIMEOUT=100\nAWS_ENDPOINT_URL={}\nAWS_REGION=eu-central-1\n\
         AWS_ACCESS_KEY_ID=AKIDEXAMPLE\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI\n",
        database.url,
        endpoint.url()
    );
    let env_file = dir.path().join("mailroom.env");
    std::fs::write(&env_file, &settings).unwrap();
    let text = std::fs::read_to_string(path("supervisord.conf")).unwrap();
    // The same, but where this test may write, and as its user.
    let text = text
        .replace("/usr/local/bin/mailroom", env!("CARGO_BIN_EXE_mailroom"))
        .replace("/etc/mailroom", &home)
        .replace("/var/lib/mailroom", &home)
        .replace("/var/log", &home)
        .replace("user = mailroom\n", "");
    let own = format!(
        "[supervisord]\nnodaemon = true\nlogfile = /dev/null\nlogfile_maxbytes = 0\npidfile = {home}/pid\n"
    );
    let config = dir.path().join("supervisord.conf");
    std::fs::write(&config, own + &text).unwrap();
    supervisord.arg("-c").arg(&config).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut daemon = supervisord.spawn().unwrap();
    let said = Text::follow(daemon.stdout.take().unwrap());
    let log = || std::fs::read_to_string(dir.path().join("mailroom.log")).unwrap_or_default();
    let connected = |times| log().matches("[PG] connected").count() >= times;
    wait_until("it listens", || connected(1));
    database.accounts("user", 1);
    endpoint.wait_for(1, PATIENCE);
    // A process that dies is started again.
    let child = || -> Option<i32> {
        let text = said.get();
        text.rsplit_once("with pid ")?.1.split_whitespace().next()?.parse().ok()
    };
    kill(Pid::from_raw(child().unwrap()), Signal::SIGKILL).unwrap();
    wait_until("it listens again", || connected(2));
    database.accounts("more", 1);
    endpoint.wait_for(2, PATIENCE);
    // One whose setting is wrong is not.
    std::fs::write(&env_file, settings.replace(KEY, "short")).unwrap();
    kill(Pid::from_raw(child().unwrap()), Signal::SIGKILL).unwrap();
    wait_until("it has ended", || said.get().contains("(exit status 78; expected)"));
    let starts = said.get().matches("spawned: 'mailroom'").count();
    assert_eq!(starts, 3, "{}", said.get());
    assert!(log().contains("MAILROOM_SECRET_KEY"), "{}", log());
    // It is asked to stop, and then so is what runs.
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(!said.get().contains("SIGKILL') "), "{}", said.get());
    std::fs::write(&env_file, &settings).unwrap();
    let mut daemon = supervisord.spawn().unwrap();
    let said = Text::follow(daemon.stdout.take().unwrap());
    wait_until("it listens", || connected(3));
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert!(said.get().contains("stopped: mailroom (exit status 0)"), "{}", said.get());
}

#[test]
fn openrc_reads_its_script() {
    if let Some(mut shellcheck) = tool("shellcheck") {
        // Variables and functions are read by openrc-run, and some of its own are used.
        let script = shellcheck.args(["--shell=sh", "--exclude=SC2034,SC2154,SC2317"]);
        assert_silent(script.arg(path("mailroom.openrc")));
    }
    let Some(mut openrc) = tool("openrc-run") else { return };
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("mailroom");
    std::fs::copy(path("mailroom.openrc"), &script).unwrap();
    let output = openrc.arg(&script).arg("describe").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("mailroom, which sends the mails"), "{said} {output:?}");
}
